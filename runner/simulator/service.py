"""The service as an aiohttp application: who may ask, what is admitted, what is charged, what is answered."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from runner.simulator import wire
from runner.simulator.answers import latency_of
from runner.simulator.config import SimulatorConfig
from runner.simulator.dialects import DIALECTS
from runner.simulator.documents import Document, error_body, synchronous_answer
from runner.simulator.errors import ServiceError
from runner.simulator.faults import KINDS, Fault, FaultPlan, Stage
from runner.simulator.polls import Polls
from runner.simulator.reading import caller_key, read_order, wants_task
from runner.simulator.responses import as_service_error, json_response, turn_away
from runner.simulator.studio import Studio
from runner.simulator.tally import PromptTally, Tally
from runner.simulator.tasks import Task
from runner.simulator.timetable import Timetable
from runner.simulator.validation import Order, read_document
from runner.simulator.windows import Limiter
from schemas.providers import PROFILES

GENERATIONS = "images/generations"
MAX_BODY_BYTES = 2**20
CALLER_GONE = 499
KEY_HEADERS = ("Authorization", "x-api-key", "api-key")
SUBMIT_STAGES = (Stage.REFUSAL, Stage.PAGE, Stage.WIRE)
"""Stages of faults that a submit meets; those of the others show in the finished task."""
_TURNING = ("task_in_sync_reply", "sync_in_async_reply")
"""Kinds that answer with what was not asked for."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Attempt:
    """One POST for images on its way through; `key`, `fault`, `number` and `task` are known once it is admitted.

    started: seconds, monotonic. number: which request for its prompt this is, from 1. task: None for an answer at once.
    """

    request: web.Request
    id: str
    started: float
    key: str = ""
    fault: Fault | None = None
    number: int = 0
    task: Task | None = None


class Service:
    """One simulated service with its counts; `application` serves it."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.dialect = DIALECTS[config.dialect]
        self.tally = Tally()
        self.limiter = Limiter(config.limits)
        self.timetable = Timetable(config.limits, config.limits_changes, config.outages)
        self.first_request: float | None = None
        self.plan = FaultPlan(config.faults, config.seed)
        self.studio = Studio(config, self.dialect)
        self.polls = Polls(self.dialect, self.studio, self.tally, self._outage)

    def application(self) -> web.Application:
        """The routes, ready to be run."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._json_errors])
        base = self.dialect.route or self.dialect.base
        app.router.add_post(f"{base}/{GENERATIONS}", self.generations)
        if self.dialect.switch.path:
            app.router.add_post(f"{base}/{self.dialect.switch.path}", self.generations)
        for path in self.polls.paths(base):
            app.router.add_get(path, self.polls.poll)
        app.router.add_get(f"{base}/models", self.models)
        app.router.add_get(f"{self.dialect.files}{{name}}", self.files)
        app.router.add_get("/stats", self.stats)
        app.cleanup_ctx.append(self._studio_life)
        return app

    async def _studio_life(self, app: web.Application) -> AsyncIterator[None]:
        yield
        self.studio.close()

    async def stats(self, request: web.Request) -> web.Response:
        """`GET /stats`: what was charged, without a key."""
        tasks = self.polls.book.document(time.monotonic())
        return web.json_response(self.tally.document(self.limiter) | tasks)

    async def models(self, request: web.Request) -> web.Response:
        """`GET …/models`."""
        caller_key(request, self.dialect)
        names = [PROFILES[self.config.profile].model, "gpt-image-2", "gpt-image-1.5", "gpt-image-1-mini"]
        owned = {"object": "model", "created": 1_776_729_600, "owned_by": "simulator"}
        return web.json_response(
            {"object": "list", "data": [{"id": name} | owned for name in dict.fromkeys(names)]}
        )

    async def files(self, request: web.Request) -> web.StreamResponse:
        """`GET /files/…`: an image that an answer named by URL; no key needed."""
        self.tally.downloads += 1
        self.tally.downloads_with_key += any(name in request.headers for name in KEY_HEADERS)
        entry = self.studio.find(request)
        return entry if isinstance(entry, web.Response) else await self.studio.send(request, entry)

    async def generations(self, request: web.Request) -> web.StreamResponse:
        """`POST …/images/generations`."""
        attempt = Attempt(request, f"req_{uuid.uuid4().hex}", time.monotonic())
        self.tally.begin()
        if self.first_request is None:
            self.first_request = attempt.started
        try:
            response = await self._answer(attempt)
        except ServiceError as error:
            if attempt.fault is None:
                self.tally.refused += 1
            response = self._error_response(error)
        finally:
            self.tally.in_flight -= 1
        self.tally.statuses[str(response.status) if wire.is_connected(request) else "cut"] += 1
        if not response.prepared:
            response.headers.update(self._headers(attempt))
        return response

    def _headers(self, attempt: Attempt) -> dict[str, str]:
        now = time.monotonic()
        own = {
            "x-request-id": attempt.id,
            "openai-processing-ms": str(round((now - attempt.started) * 1000)),
            "openai-version": "2020-10-01",
        }
        return own | self.limiter.headers(now)

    async def _answer(self, attempt: Attempt) -> web.StreamResponse:
        order = await self._admit(attempt)
        fault, task = attempt.fault, attempt.task
        if fault is None:
            return await self._good(attempt, order)
        kind = KINDS[fault.kind]
        if kind.stage not in SUBMIT_STAGES:
            return await self._good(attempt, order)
        if task is None and kind.late:
            await self._take_time(attempt, order)
        if not kind.paces:
            await asyncio.sleep(fault.delay_s)
        if kind.stage is not Stage.WIRE:
            return turn_away(fault, attempt.id)
        return await wire.misbehave(attempt.request, fault, lambda: self._body(attempt, order))

    async def _good(self, attempt: Attempt, order: Order) -> web.StreamResponse:
        """A submit's or a synchronous answer, the latter in its time; faults of its document are in it."""
        task, fault = attempt.task, attempt.fault
        if task is not None:
            body, headers = self.polls.submitted(task, attempt.request)
            task.answered = wire.is_connected(attempt.request)
            return json_response(body, self.dialect.task.submit_status, headers)
        await self._take_time(attempt, order)
        if fault is not None and not KINDS[fault.kind].paces:
            await asyncio.sleep(fault.delay_s)
        return json_response(await self._body(attempt, order))

    async def _admit(self, attempt: Attempt) -> Order:
        """Check key, body and limits, choose the fault, and charge; ServiceError where the service refuses."""
        attempt.key = caller_key(attempt.request, self.dialect)
        document = read_document(await _read_body(attempt.request), attempt.request.content_type)
        if isinstance(document.get("prompt"), str):
            self.tally.arrive(document["prompt"])
        order = read_order(document, self.dialect, self.config.profile)
        asked = wants_task(attempt.request, document, self.dialect)
        entry = self.tally.prompts[order.prompt]
        attempt.number = entry.requests
        attempt.fault = self._outage() or self._limited(order, entry, asked)
        if attempt.fault is not None:
            self.tally.faults[attempt.fault.kind] += 1
        if attempt.fault is None or attempt.fault.is_billed:
            self.tally.bill(entry, order.n)
        else:
            self.tally.refused += 1
        if asked != (attempt.fault is not None and attempt.fault.kind in _TURNING):
            attempt.task = self._begin_task(attempt, order)
        return order

    def _begin_task(self, attempt: Attempt, order: Order) -> Task | None:
        """The task that a request has begun; None where it was turned away instead."""
        fault = attempt.fault
        stage = KINDS[fault.kind].stage if fault else None
        if fault is not None and stage in SUBMIT_STAGES and not fault.is_billed:
            return None
        delay_s = (
            fault.delay_s if fault and stage not in SUBMIT_STAGES and not KINDS[fault.kind].paces else 0.0
        )
        task = Task(
            number=len(self.polls.book),
            key=attempt.key,
            order=order,
            fault=None if stage in SUBMIT_STAGES else fault,
            submitted_s=time.monotonic(),
            created=int(time.time()),
            latency_s=self._latency_s(attempt, order) + delay_s,
        )
        self.polls.book.add(task)
        return task

    def _elapsed_s(self) -> float:
        """Seconds since the first request."""
        now = time.monotonic()
        return now - (now if self.first_request is None else self.first_request)

    def _outage(self) -> Fault | None:
        return self.timetable.outage_at(self._elapsed_s())

    def _limited(self, order: Order, entry: PromptTally, asked: bool) -> Fault | None:
        """The fault of a request that the limits admit; ServiceError for one that they refuse."""
        self.limiter.limits = self.timetable.limits_at(self._elapsed_s())
        self.limiter.admit(time.monotonic(), order.n)
        return self.plan.choose(order.prompt, entry.row, for_task=asked)

    def _latency_s(self, attempt: Attempt, order: Order) -> float:
        return latency_of(self.config.latency, self.config.seed, order.prompt, attempt.number)

    async def _take_time(self, attempt: Attempt, order: Order) -> None:
        seconds = self._latency_s(attempt, order)
        if seconds:
            await asyncio.sleep(seconds)

    async def _body(self, attempt: Attempt, order: Order) -> bytes:
        """The body of a 200 to a POST."""
        if attempt.task is not None:
            return self.polls.submitted(attempt.task, attempt.request)[0]
        extra = {
            "id": attempt.id,
            "model": order.model,
            "background": order.background,
            "output_format": order.format,
            "size": order.size,
            "quality": order.quality,
        }

        def dress(document: Document) -> Document:
            return synchronous_answer(document, self.dialect, extra)

        return await self.studio.body(order, attempt.fault, attempt.key, attempt.request, dress)

    def _error_response(self, error: ServiceError) -> web.Response:
        status, document = error_body(error, self.dialect)
        return json_response(json.dumps(document).encode(), status, error.headers)

    @web.middleware
    async def _json_errors(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Every refusal, aiohttp's own included, in the service's JSON shape; callers who leave leave no trace."""
        try:
            return await handler(request)
        except ConnectionError:
            return web.Response(status=CALLER_GONE)
        except ServiceError as error:
            return self._error_response(error)
        except web.HTTPException as error:
            return self._error_response(as_service_error(request, error))


async def _read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        message = f"The request is larger than {MAX_BODY_BYTES} bytes."
        raise ServiceError(413, message, code="request_too_large") from None
