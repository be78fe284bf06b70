"""Plays answers and judges what they come to."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from jobs.classify import classify_refusal
from jobs.cost import Prices, outcome_cost
from jobs.rate_headers import reported_rates
from jobs.retry import RetryPolicy, decide
from jobs.work import FIRST
from runner.engine.durable_io import DurableIO
from runner.engine.ingest import Ingest
from runner.engine.settlement import safe
from runner.engine.shutdown import Shutdown
from runner.ledger import attempt_log
from runner.ledger.schema import create_tables
from runner.limits.rate_limiter import AdaptiveRateLimiter
from runner.process.redaction import Redactor
from runner.providers.conversation import Checkpoint, Conversation, Fetch, Poll, Send, Step, Wait
from runner.providers.generations import ClientProfile, converse
from runner.providers.polling import PollTiming
from schemas.attempt import Measured
from schemas.failures import Billed, Failure, FailureKind, RowStatus
from schemas.job import LimitsTable
from schemas.outcome import Failed, Spooled, Success, Unfinished
from schemas.received import Rejected, Result
from schemas.request import ImageRequest
from schemas.row import Row
from schemas.task_dialects import DIALECTS
from tests.attacks.answers.mutator import Mutator
from tests.support.canary import CANARY
from tests.support.fakes import FakeLog, FakeStore

_MOST_STEPS = 400


@dataclass
class Campaign:
    """Plays answers and judges what they come to. problems: what must not be."""

    mutator: Mutator
    store: FakeStore = field(default_factory=lambda: FakeStore([]))
    ledger: sqlite3.Connection = field(
        default_factory=lambda: sqlite3.connect(":memory:", isolation_level=None)
    )
    redactor: Redactor = field(default_factory=Redactor)
    ends: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    now: float = 0.0

    def __post_init__(self) -> None:
        create_tables(self.ledger, simulated=False)
        self.redactor.register(CANARY)
        timing = PollTiming(1.0, 60.0, lambda: self.now, lambda: 1_800_000_000.0)
        self._profiles = [ClientProfile(dialect, timing) for dialect in DIALECTS.values()]
        self._ingest = Ingest(DurableIO(self.store, FakeLog([]), Shutdown()), self.redactor)

    async def documents(self, count: int) -> None:
        """Play so many conversations."""
        for number in range(count):
            self.store.files.clear()
            answers: list[bytes] = []
            started = time.perf_counter()
            try:
                await self._one(number, answers)
            except Exception as error:  # noqa: BLE001 - what the campaign looks for
                self.problems.append(
                    f"{type(error).__name__}: {str(error)[:200]} over {answers[-1:]!r:.2000}"
                )
            self.slowest_s = max(self.slowest_s, time.perf_counter() - started)

    async def _one(self, number: int, answers: list[bytes]) -> None:
        chance = self.mutator.chance
        row = Row(
            0,
            f"r{number}",
            ImageRequest("a fox", (("n", chance.choice((1, 1, 2))), ("quality", "high"))),
            b"x" * 16,
        )
        profile = chance.choice(self._profiles)
        profile.proof.is_api = chance.random() < 0.5
        result = self._played(converse(row.request, profile), number, answers)
        if isinstance(result, Unfinished):
            self.ends["unfinished"] += 1
            return
        taken = await self._ingest.ingest(result, row, number)
        assert not isinstance(taken, Spooled)
        outcome = safe(taken, self.redactor)
        kind = "succeeded" if isinstance(outcome, Success) else outcome.failure.kind.value
        self.ends[kind] += 1
        self._record(number, outcome, row)
        self._judge(result, outcome, answers)

    def _played(self, conversation: Conversation, number: int, answers: list[bytes]) -> Result:
        step: Step = next(conversation)
        try:
            for _ in range(_MOST_STEPS):
                step = conversation.send(self._reply(step, number, answers))
        except StopIteration as end:
            result: Result = end.value
            return result
        raise AssertionError(f"a conversation of more than {_MOST_STEPS} steps")

    def _reply(self, step: Step, number: int, answers: list[bytes]) -> Any:
        match step:
            case Send() | Poll():
                answer = self.mutator.answer()
                answers.append(b"".join(answer.body.verbatim()))
                reported_rates(answer.headers)
                return answer
            case Wait(seconds):
                self.now += seconds
            case Fetch():
                lost = Failure(FailureKind.DOWNLOAD, "lost")
                return self.mutator.chance.choice(((b"image",), (b"bad",), lost))
            case Checkpoint(task):
                for statement in attempt_log.accepted_task(number, task, 1):
                    self.ledger.execute(*statement)
        return None

    def _record(self, number: int, outcome: Success | Failed, row: Row) -> None:
        cost, estimated = outcome_cost(outcome, row.request, Prices(0.04))
        measured = Measured(number, 1, 0.1, cost, estimated)
        if isinstance(outcome, Success):
            statements = attempt_log.success(outcome, measured)
        else:
            decide(outcome.failure, FIRST, RetryPolicy(), now=0.0, draw=0.5)
            statements = attempt_log.failure(outcome, RowStatus.FAILED, measured)
        for statement in statements:
            self.ledger.execute(*statement)

    def _judge(self, result: Result, outcome: Success | Failed, answers: list[bytes]) -> None:
        """A body that may have been paid for is an image, in quarantine, or behind a URL that is told."""
        if isinstance(outcome, Success):
            return
        failure = outcome.failure
        if "cannot be checked" in failure.message:
            self.problems.append(f"{failure.message} over {answers[-1:]!r:.2000}")
        status = failure.http_status or 0
        whole_answer = isinstance(result, Rejected) and 200 <= status < 300 and len(answers) == 1
        told = failure.kind in (FailureKind.DOWNLOAD, FailureKind.TASK_FAILED)
        if whole_answer and failure.maybe_billed and not told:
            kept = [data for name, data in self.store.files.items() if name.startswith("quarantine/")]
            if kept != [b"".join(self.redactor.body_pieces([answers[0]]))]:
                self.problems.append(f"{failure.kind.value}: the paid body is not kept: {answers[0]!r:.2000}")

    async def headers(self, count: int) -> None:
        """Let limiters hear so many answers' headers: no allowance may make a run wait for hours."""
        for _ in range(count):
            headers = {name: value for _ in range(3) for name, value in self.mutator.headers().items()}
            try:
                rates = reported_rates(headers)
                limiter = AdaptiveRateLimiter(LimitsTable())
                limiter.start()
                limiter.observe_rates(rates)
                classify_refusal(429, headers, None, "", now=0.0, server_error_billed=Billed.NO)
                slow = [rate for rate in rates.values() if rate.limit is not None and rate.limit < 1]
                if slow:
                    self.problems.append(f"an allowance of {slow} over {headers!r:.2000}")
            except Exception as error:  # noqa: BLE001 - what the campaign looks for
                self.problems.append(f"{type(error).__name__}: {str(error)[:200]} over {headers!r:.2000}")


def campaign(documents: int, headers: int, seed: int) -> Campaign:
    """Play so many of each."""
    played = Campaign(Mutator(random.Random(seed)))

    async def play() -> None:
        await played.documents(documents)
        await played.headers(headers)

    asyncio.run(play())
    return played
