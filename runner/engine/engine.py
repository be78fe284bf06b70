"""The engine: the only place where a run is orchestrated.

One dispatcher walks the work in order. For each row it waits for a concurrency slot, then for the gate and the rate
permits, then reserves money, and only then makes a task that carries out one attempt. A row that must be sent again goes
into `Waiting` with the time before which it may not be sent; it holds nothing meanwhile. So at any moment a row is in
exactly one place: still in the manifest, waiting, in flight, or settled in the ledger.

An attempt task writes its intent, exchanges, lands what came, decides with `jobs.retry.decide`, and records the outcome
together with what becomes of the row. It is never cancelled from outside: `Ending.hard` makes it stop waiting, park its
row and record that. Whatever stops a run goes through `Ending.stop`; the dispatcher then ends, the tasks in flight end by
themselves, and the first reason stands.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import nullcontext, suppress
from typing import Any

from jobs import concurrency_window
from jobs.cost import Estimate, estimate, likely_tokens
from jobs.retry import PROBE_S, Decision, Halt, Retry
from jobs.send_history import Weight
from runner.engine.attempt import Flight, safe
from runner.engine.counters import Counters, Numbers
from runner.engine.parts import EngineParts
from runner.engine.policy import halt_code, row_status
from runner.engine.queue import FIRST, Waiting, Work, with_history
from runner.http.memory_budget import Memory
from runner.ledger import statements as records
from runner.ledger.open_tasks import OpenTask, waited
from runner.ledger.writer import LedgerWriteError
from runner.limits.rate_limiter import Permit
from runner.providers.conversation import Result
from schemas.errors import ExitCode, JobError
from schemas.failures import Failure, FailureKind, Resend, RowStatus
from schemas.outcome import Failed, Outcome, Success, Unfinished

WAITING_CAP = 10_000
"""With so many rows waiting for another attempt, no new row is read from the manifest."""
AT_ONCE = 48
"""Answers that are saved and recorded at a time; of more, none would be done and its place free before all are."""

_LOG = logging.getLogger(__name__)


class Engine:
    """One run over one source of work."""

    def __init__(self, parts: EngineParts, numbers: Numbers, *, concurrency: int | None) -> None:
        self.source = parts.source
        self.counters = Counters()
        self.waiting = Waiting()
        self.window = concurrency_window.opening(concurrency, parts.line.pacer.told_per_s)
        self.budget = parts.budget
        self.cost_usd = self.cost_before_usd = parts.cost_usd
        self._line = parts.line
        self._pacer = parts.line.pacer
        self._ending = parts.ending
        self._verdicts = parts.verdicts
        self._headroom = parts.headroom
        self._numbers = numbers
        self._memory = Memory()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting_reason(self) -> str:
        """Why senders wait now, "" when nothing holds them back."""
        return self._pacer.waiting

    async def run(self) -> None:
        """Send everything that is still to do, or as much as the ending allows; returns when nothing is in flight.

        When it is cancelled, rows in flight are parked before the cancellation goes on.
        """
        self._verdicts.start(asyncio.get_running_loop().time())
        self._pacer.start()
        dispatcher = asyncio.create_task(self._dispatch())
        stopping = asyncio.create_task(self._ending.stopping.wait())
        try:
            await asyncio.wait((dispatcher, stopping), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._ending.cut()
            raise
        finally:
            stopping.cancel()
            dispatcher.cancel()
            await asyncio.wait((dispatcher,))
            while self._tasks:
                await asyncio.wait(self._tasks)
            await self.source.close()
        if not dispatcher.cancelled() and (error := dispatcher.exception()) is not None:
            self._fault(error)

    async def _dispatch(self) -> None:
        while (work := await self._next_work()) is not None:
            while self.counters.in_flight >= self.window.limit:
                await self._change()
            if work.task is not None:
                self._fly(self._rejoin(work, work.task))
                continue
            request = work.row.request
            price = estimate(request, self._line.prices)
            if not await self._affordable(price):
                return
            permit = await self._pacer.permit(Weight(request.n, likely_tokens(request, price)))
            if self._ending.stopping.is_set() or not await self._affordable(price):
                return
            self._launch(work, price, permit)

    async def _next_work(self) -> Work | None:
        """A retry whose time has come, else the next row, else whatever comes first; None when all is done."""
        loop = asyncio.get_running_loop()
        exhausted = False
        while True:
            now = loop.time()
            opens = self._verdicts.quota.opens_at(now)
            due = self.waiting.due(now) if opens <= now else None
            if due is not None:
                self._verdicts.quota.resent(now)
                return due
            if (reason := self._verdicts.breaker.canary_died) is not None and await self.source.anything():
                self._ending.stop(ExitCode.SERVICE_DOWN, reason)
                return None
            if not exhausted and len(self.waiting) < WAITING_CAP and not self._verdicts.breaker.holds:
                work = await self.source.next()
                if work is not None:
                    return work
                exhausted = True
            next_due = self.waiting.next_due()
            if next_due is None and self.counters.in_flight == 0:
                return None
            await self._change(None if next_due is None else max(0.0, max(next_due, opens) - loop.time()))

    async def _change(self, timeout_s: float | None = None) -> None:
        """Wait until an attempt ends, or so long."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with nullcontext() if timeout_s is None else asyncio.timeout(timeout_s):
                await self._changed.wait()

    async def _affordable(self, price: Estimate) -> bool:
        """Whether this request may be paid for and its answer kept; False ends the run."""
        while (refusal := self.budget.refusal(price)) is not None:
            if self.counters.in_flight == 0:
                self._ending.stop(ExitCode.BUDGET, refusal)
                return False
            await self._change()
        problem = self._headroom.problem(self.counters.in_flight)
        if problem is not None:
            self._ending.stop(ExitCode.LOCAL, problem)
        return problem is None

    def _launch(self, work: Work, price: Estimate, permit: Permit) -> None:
        number = self._numbers.attempt
        fresh = work.item is None
        item = self._numbers.item if work.item is None else work.item
        self._numbers = Numbers(self._numbers.run, number + 1, self._numbers.item + fresh)
        reserved = self.budget.reserve(price)
        if self._verdicts.down:
            self._pacer.close_gate(PROBE_S, "the service is down; one request at a time")
        if work.history == FIRST:
            self._verdicts.quota.first_sent()
            self._verdicts.breaker.sent()
        intent = records.Intent(
            number,
            item,
            self._numbers.run,
            work.row,
            int(time.time() * 1000),
            None if price.high is None else reserved,
            fresh,
            work.indexes,
        )
        self._fly(self._attempt(with_history(work, item, work.history), intent, reserved, permit))

    def _fly(self, attempt: Coroutine[Any, Any, None]) -> None:
        self.counters.in_flight += 1
        task = asyncio.create_task(attempt)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.counters.in_flight -= 1
        self._changed.set()
        if not task.cancelled() and task.exception() is not None:
            self._fault(task.exception())

    def _fault(self, error: BaseException | None) -> None:
        """An attempt ended in a way that is not an outcome: this machine's trouble, or a bug."""
        if isinstance(error, JobError):
            self._ending.stop(error.exit_code, error.message)
        elif isinstance(error, OSError):
            self._ending.stop(ExitCode.LOCAL, f"this machine refused: {error}")
        else:
            self._ending.stop(ExitCode.INTERNAL, f"internal error: {type(error).__name__}: {error}")

    async def _attempt(self, work: Work, intent: records.Intent, reserved: float, permit: Permit) -> None:
        try:
            await self._line.writer.record(records.intent(intent))
        except LedgerWriteError:
            self.budget.settle(reserved, cost_usd=None, maybe_billed=False)
            raise
        self.counters.sent += 1
        with self._memory.holding() as held:
            flight = Flight(intent.attempt, held)
            result, latency_s = await self._line.exchange(work.row, flight, permit, cut=self._ending.hard)
            async with self._turns:
                await self._settle(result, work, flight, reserved, latency_s)

    async def _rejoin(self, work: Work, task: OpenTask) -> None:
        """Go on with a task of an earlier run: nothing is sent, so it needs no permit and no money."""
        reserved = self.budget.rejoin(task.reserved_usd)
        with self._memory.holding() as held:
            flight = Flight(task.attempt, held)
            result, latency_s = await self._line.rejoin(work.row, task.task, flight, cut=self._ending.hard)
            async with self._turns:
                await self._settle(result, work, flight, reserved, latency_s)

    async def _settle(
        self, result: Result, work: Work, flight: Flight, reserved: float, latency_s: float
    ) -> None:
        """From what came back to what becomes of the row, in the ledger and in this run."""
        if isinstance(result, Unfinished):
            await self._leave(result, work, flight.attempt)
            return
        landed = await self._line.landing.land(result, work.row, flight.attempt, work.indexes)
        outcome = safe(landed, self._line.redactor)
        decision, work = self._verdicts.on(
            outcome, work, stopping=self._ending.stopping.is_set(), now=asyncio.get_running_loop().time()
        )
        status = row_status(decision)
        statements, cost = self._line.outcome_records(
            outcome, status, flight.attempt, work.row.request, latency_s
        )
        await self._line.persistence.record(statements)
        maybe = isinstance(outcome, Failed) and outcome.failure.maybe_billed
        self.budget.settle(reserved, cost_usd=cost, maybe_billed=maybe)
        self._count(outcome, status, cost, work.row.request.n)
        self._act(decision, work if work.task is None else work._replace(task=None), outcome, latency_s)

    async def _leave(self, result: Unfinished, work: Work, attempt: int) -> None:
        """The task goes on without us; what is set aside for it stays so."""
        if result.kind is FailureKind.TASK_TIMEOUT:
            await self._line.persistence.record(waited(attempt, result.message, int(time.time() * 1000)))
            self.counters.parked += work.row.request.n
            self._verdicts.breaker.settled(result.kind, first=work.task is None)
        elif result.kind is not FailureKind.STOPPED:
            self._ending.stop(halt_code(result.kind), f"{result.kind.value}: {result.message}")

    def _count(self, outcome: Outcome, status: RowStatus, cost: float | None, n: int) -> None:
        if cost is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost
        if isinstance(outcome, Success):
            self._headroom.saw(sum(image.bytes for image in outcome.images))
            self.counters.done += len(outcome.images)
            self.counters.failed += len(outcome.missing)
        elif status is RowStatus.FAILED:
            self.counters.failed += n
        elif status is RowStatus.PARKED:
            self.counters.parked += n

    def _act(self, decision: Decision | None, work: Work, outcome: Outcome, latency_s: float) -> None:
        now = asyncio.get_running_loop().time()
        if (reason := self._verdicts.breaker.tripped) is not None:
            self._ending.stop(ExitCode.SERVICE_DOWN, reason)
        if isinstance(outcome, Success):
            self.window = concurrency_window.grown(self.window, latency_s)
            self._pacer.admitted()
            return
        failure = outcome.failure
        closed_s = self._verdicts.gate_s(failure, now)
        if closed_s:
            self._slow_down(failure, closed_s)
        if (reason := self._verdicts.hopeless(failure, now + closed_s)) is not None:
            self._ending.stop(ExitCode.SERVICE_DOWN, reason)
        match decision:
            case Retry(not_before):
                self.waiting.add(work, not_before)
            case Halt():
                self._ending.stop(halt_code(failure.kind), f"{failure.kind.value}: {failure.message}")

    def _slow_down(self, failure: Failure, closed_s: float) -> None:
        self._pacer.close_gate(closed_s, f"the service says {failure.kind.value}")
        if failure.rule.resend is Resend.PATIENT:
            self._pacer.refused(closed_s)
            self.window = concurrency_window.steadied(self.window, self.counters.in_flight)
            _LOG.debug(
                "slower: the service says %s, wait %.3g s; %s",
                failure.kind.value,
                closed_s,
                self._pacer.waiting,
            )
