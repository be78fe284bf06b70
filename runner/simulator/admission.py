"""Who is admitted: key, body and limits are checked, the fault is chosen, the request is charged, its task begins."""

from __future__ import annotations

import time
from dataclasses import dataclass

from aiohttp import web

from runner.simulator.answers.document import latency_of
from runner.simulator.config import SimulatorConfig
from runner.simulator.dialects import DIALECTS
from runner.simulator.faults.kinds import KINDS, Fault, Stage
from runner.simulator.faults.plan import FaultPlan
from runner.simulator.requests.errors import ServiceError
from runner.simulator.requests.read import caller_key, read_order, wants_task
from runner.simulator.requests.validate import Order, read_document
from runner.simulator.sliding_window import Limiter
from runner.simulator.stats import PromptStats, Stats
from runner.simulator.tasks.life import Task, TaskBook
from runner.simulator.timetable import Timetable

MAX_BODY_BYTES = 2**20
SUBMIT_STAGES = (Stage.REFUSAL, Stage.PAGE, Stage.WIRE)
"""Stages of faults that a submit meets; those of the others show in the finished task."""
_TURNING = ("task_in_sync_reply", "sync_in_async_reply")
"""Kinds that answer with what was not asked for."""


@dataclass(slots=True)
class Attempt:
    """One POST for images on its way through; `key`, `fault`, `latency_s` and `task` are known once it is admitted.

    started: seconds, monotonic. latency_s: what a good answer takes. task: None for an answer at once.
    """

    request: web.Request
    id: str
    started: float
    key: str = ""
    fault: Fault | None = None
    latency_s: float = 0.0
    task: Task | None = None


class Admission:
    """The limits and faults of one simulator. stats, book: what it charges and begins is written there."""

    def __init__(self, config: SimulatorConfig, stats: Stats, book: TaskBook) -> None:
        self._config = config
        self._dialect = DIALECTS[config.dialect]
        self._stats = stats
        self._book = book
        self._timetable = Timetable(config.limits, config.limits_changes, config.outages)
        self._plan = FaultPlan(config.faults, config.seed)
        self._first_request: float | None = None
        self.limiter = Limiter(config.limits)

    async def admit(self, attempt: Attempt) -> Order:
        """Check key, body and limits, choose the fault, and charge; ServiceError where the service refuses."""
        if self._first_request is None:
            self._first_request = attempt.started
        attempt.key = caller_key(attempt.request, self._dialect)
        document = read_document(await _read_body(attempt.request), attempt.request.content_type)
        if isinstance(document.get("prompt"), str):
            self._stats.arrive(document["prompt"])
        order = read_order(document, self._dialect, self._config.profile)
        entry = self._stats.prompts[order.prompt]
        attempt.latency_s = latency_of(self._config.latency, self._config.seed, order.prompt, entry.requests)
        asked = wants_task(attempt.request, document, self._dialect)
        attempt.fault = self.outage() or self._limited(order, entry, asked)
        self._charge(attempt.fault, entry, order.n)
        if asked != (attempt.fault is not None and attempt.fault.kind in _TURNING):
            attempt.task = self._begin_task(attempt, order)
        return order

    def outage(self) -> Fault | None:
        """The fault that every request meets now, if any."""
        return self._timetable.outage_at(self._elapsed_s())

    def _charge(self, fault: Fault | None, entry: PromptStats, images: int) -> None:
        if fault is not None:
            self._stats.faults[fault.kind] += 1
        if fault is None or fault.is_billed:
            self._stats.bill(entry, images)
        else:
            self._stats.refused += 1

    def _begin_task(self, attempt: Attempt, order: Order) -> Task | None:
        """The task that a request has begun; None where it was turned away instead."""
        fault = attempt.fault
        stage = KINDS[fault.kind].stage if fault else None
        if fault is not None and stage in SUBMIT_STAGES and not fault.is_billed:
            return None
        delays = fault is not None and stage not in SUBMIT_STAGES and not KINDS[fault.kind].paces
        task = Task(
            number=len(self._book),
            key=attempt.key,
            order=order,
            fault=None if stage in SUBMIT_STAGES else fault,
            submitted_s=time.monotonic(),
            created=int(time.time()),
            latency_s=attempt.latency_s + (fault.delay_s if fault and delays else 0.0),
        )
        self._book.add(task)
        return task

    def _elapsed_s(self) -> float:
        """Seconds since the first request."""
        now = time.monotonic()
        return now - (now if self._first_request is None else self._first_request)

    def _limited(self, order: Order, entry: PromptStats, asked: bool) -> Fault | None:
        """The fault of a request that the limits admit; ServiceError for one that they refuse."""
        self.limiter.limits = self._timetable.limits_at(self._elapsed_s())
        self.limiter.admit(time.monotonic(), order.n)
        return self._plan.choose(order.prompt, entry.row, for_task=asked)


async def _read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        message = f"The request is larger than {MAX_BODY_BYTES} bytes."
        raise ServiceError(413, message, code="request_too_large") from None
