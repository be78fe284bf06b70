"""From what came back to what becomes of the row: saved, decided, recorded, counted, in this order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from jobs import concurrency_window
from jobs.cost import Prices, outcome_cost
from jobs.retry import Decision, Halt, Retry
from jobs.work import Work
from runner.engine.durable_io import DurableIO
from runner.engine.ingest import Ingest
from runner.engine.policy import Verdicts, halt_code, row_status
from runner.engine.ports import Arrival, Ports
from runner.engine.run_state import RunState
from runner.engine.shutdown import Ending
from runner.process.redaction import Redactor
from schemas.attempt import Measured
from schemas.errors import ExitCode
from schemas.failures import Failure, FailureKind, Resend
from schemas.outcome import Failed, Outcome, Success, Unfinished

_MAX_ID_CHARS = 200
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settlement:
    """Settles attempts of one run. wall_ms: Unix milliseconds."""

    ports: Ports
    state: RunState
    ending: Ending
    verdicts: Verdicts
    prices: Prices
    redactor: Redactor
    durable: DurableIO
    ingest: Ingest
    wall_ms: Callable[[], int]

    async def settle(self, arrival: Arrival, work: Work, attempt: int, reserved_usd: float) -> None:
        """Make durable what came back, and act on it."""
        result, latency_s = arrival
        if isinstance(result, Unfinished):
            await self._still_open(result, work, attempt)
            return
        saved = await self.ingest.ingest(result, work.row, attempt, work.indexes)
        outcome = safe(saved, self.redactor)
        now = asyncio.get_running_loop().time()
        decision, work = self.verdicts.decide(outcome, work, stopping=self.ending.stopping.is_set(), now=now)
        status = row_status(decision)
        request = work.row.request
        cost_usd, estimated = outcome_cost(outcome, request, self.prices)
        measured = Measured(attempt, self.wall_ms(), latency_s, cost_usd, estimated)
        await self.durable.keep(lambda: self.ports.log.conclude(outcome, status, measured))
        maybe = isinstance(outcome, Failed) and outcome.failure.maybe_billed
        self.ports.budget.settle(reserved_usd, cost_usd=cost_usd, maybe_billed=maybe)
        self.state.count(outcome, status, cost_usd, request.n)
        self._act(decision, work if work.task is None else work._replace(task=None), outcome, latency_s)

    async def _still_open(self, result: Unfinished, work: Work, attempt: int) -> None:
        """The task goes on without us; what is set aside for it stays so."""
        if result.kind is FailureKind.TASK_TIMEOUT:
            await self.durable.keep(lambda: self.ports.log.still_open(attempt, result.message))
            self.state.counters.parked += work.row.request.n
            self.verdicts.breaker.settled(result.kind, first=work.task is None)
        elif result.kind is not FailureKind.STOPPED:
            self.ending.stop(halt_code(result.kind), f"{result.kind.value}: {result.message}")

    def _act(self, decision: Decision | None, work: Work, outcome: Outcome, latency_s: float) -> None:
        now = asyncio.get_running_loop().time()
        if (reason := self.verdicts.breaker.tripped) is not None:
            self.ending.stop(ExitCode.SERVICE_DOWN, reason)
        if isinstance(outcome, Success):
            self.state.window = concurrency_window.grown(self.state.window, latency_s)
            self.ports.limiter.admitted()
            return
        failure = outcome.failure
        closed_s = self.verdicts.gate_s(failure, now)
        if closed_s:
            self._slow_down(failure, closed_s)
        if (reason := self.verdicts.hopeless(failure, now + closed_s)) is not None:
            self.ending.stop(ExitCode.SERVICE_DOWN, reason)
        match decision:
            case Retry(not_before):
                self.state.waiting.add(work, not_before)
            case Halt():
                self.ending.stop(halt_code(failure.kind), f"{failure.kind.value}: {failure.message}")

    def _slow_down(self, failure: Failure, closed_s: float) -> None:
        limiter = self.ports.limiter
        limiter.close_gate(closed_s, f"the service says {failure.kind.value}")
        if failure.rule.resend is Resend.PATIENT:
            limiter.throttled(closed_s)
            self.state.window = concurrency_window.steadied(self.state.window, self.state.counters.in_flight)
            _LOG.debug(
                "slower: the service says %s, wait %.3g s; %s",
                failure.kind.value,
                closed_s,
                limiter.waiting_reason,
            )


def safe(outcome: Outcome, redactor: Redactor) -> Outcome:
    """The outcome with every text of the service's made harmless."""
    reported = outcome.reported
    if reported.request_id is not None:
        reported = reported._replace(request_id=redactor.text(reported.request_id)[:_MAX_ID_CHARS])
    if reported.task_id is not None:
        reported = reported._replace(task_id=redactor.text(reported.task_id)[:_MAX_ID_CHARS])
    if isinstance(outcome, Success):
        return outcome if reported is outcome.reported else replace(outcome, reported=reported)
    failure = outcome.failure
    clean = replace(
        failure,
        message=redactor.text(failure.message),
        code=redactor.text(failure.code) if failure.code else None,
    )
    return Failed(clean, reported, outcome.quarantined)
