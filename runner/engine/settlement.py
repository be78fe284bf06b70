"""Settles an answer: it is saved, a decision is taken, both are recorded, money and counts are updated, in this order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from jobs import concurrency_window
from jobs.cost import Prices, estimate, outcome_cost
from jobs.downloads import pause_s
from jobs.retry import Decision, Halt, Retry
from jobs.trouble_words import trouble_text
from jobs.work import Work
from runner.engine.durable_io import DurableIO
from runner.engine.ingest import Ingest
from runner.engine.policy import RunPolicy, halt_code, row_status
from runner.engine.ports import Arrival, Ports
from runner.engine.run_state import RunState
from runner.engine.shutdown import Shutdown
from runner.process.redaction import Redactor
from schemas.attempt import Measured, OpenTask
from schemas.errors import ExitCode
from schemas.failures import Failure, FailureKind, Resend, RowStatus
from schemas.outcome import (
    Failed,
    OpenWork,
    Outcome,
    Reported,
    Spooled,
    Success,
    Unfetched,
    Unfinished,
)
from schemas.run_events import PaceChanged, RowFailed, RunEvent

_MAX_ID_CHARS = 200
MOST_RENEWALS = 3
"""Keys that a row may use up; a command that prints another useless one each time has no end."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settlement:
    """Settles attempts of one run. wall_ms: Unix milliseconds. patience_s: how long an image is tried to be fetched.

    note: hears of rows that fail, and of changes of pace.
    """

    ports: Ports
    state: RunState
    shutdown: Shutdown
    policy: RunPolicy
    prices: Prices
    redactor: Redactor
    durable: DurableIO
    ingest: Ingest
    wall_ms: Callable[[], int]
    patience_s: float
    note: Callable[[RunEvent], None]

    async def settle(self, arrival: Arrival, work: Work, attempt: int, reserved_usd: float) -> None:
        """Make the result durable, and act on it."""
        result, latency_s = arrival
        if isinstance(result, Unfinished):
            await self._still_open(result, work, attempt)
            return
        saved = await self.ingest.ingest(result, work.row, attempt, work.indexes)
        if isinstance(saved, Spooled):
            with suppress(OSError):  # the next run finds the spool file all the same
                await self.ports.log.spooled(attempt, saved.file_name)
            return
        outcome = safe(saved, self.redactor)
        now = asyncio.get_running_loop().time()
        before = _fetched_again(work)
        if before is not None:
            decision = self.policy.fetched(outcome, work, now)
        else:
            decision, work = await self._decide(outcome, work, now, latency_s)
        status = row_status(decision)
        request = work.row.request
        cost_usd, estimated = outcome_cost(outcome, request, self.prices)
        measured = Measured(attempt, self.wall_ms(), latency_s, cost_usd, estimated)
        await self._record(outcome, status, measured, before)
        maybe = isinstance(outcome, Failed) and outcome.failure.maybe_billed
        self.ports.budget.settle(reserved_usd, cost_usd=cost_usd, maybe_billed=maybe)
        counted = before is not None and before.saved is not None
        resumed = work.task is not None and work.task.resumed
        worth_usd = 0.0 if resumed else estimate(request, self.prices).high or 0.0
        self.state.count(outcome, status, None if counted else cost_usd, request.n, worth_usd)
        self._note(outcome, status, work, attempt)
        spent_usd = max(reserved_usd, cost_usd or 0.0) if maybe else cost_usd or 0.0
        if before is None:
            self._act(decision, work if work.task is None else work._replace(task=None), outcome, latency_s)
        if outcome.unfetched is not None:
            self._fetch_later(outcome, work, attempt, spent_usd)

    def _note(self, outcome: Outcome, status: RowStatus, work: Work, attempt: int) -> None:
        """Tell of a row that rests without all of its images."""
        row = work.row
        if isinstance(outcome, Success):
            for missing in outcome.missing[:1]:
                told = missing.message or ""
                self.note(RowFailed(row.row_id, row.position, attempt, RowStatus.FAILED, missing.kind, told))
        elif status in (RowStatus.FAILED, RowStatus.PARKED):
            failure = outcome.failure
            self.note(
                RowFailed(
                    row.row_id,
                    row.position,
                    attempt,
                    status,
                    failure.kind,
                    failure.message,
                    failure.code,
                    failure.http_status,
                )
            )

    async def _record(
        self, outcome: Outcome, status: RowStatus, measured: Measured, before: Unfetched | None
    ) -> None:
        """Record the outcome; of a fetch that changed nothing, only what is known of the links."""
        log, left = self.ports.log, outcome.unfetched
        if left is None:
            await self.durable.persist(lambda: log.conclude(outcome, status, measured))
            return
        kept = safe_work(left, self.redactor)
        if before is not None and (left.saved, len(left.links)) == (before.saved, len(before.links)):
            await self.durable.persist(lambda: log.accepted(measured.attempt, kept))
            return
        assert isinstance(kept, Unfetched)
        shown = replace(outcome, unfetched=kept)
        await self.durable.persist(lambda: log.conclude(shown, status, measured))

    async def _decide(
        self, outcome: Outcome, work: Work, now: float, latency_s: float
    ) -> tuple[Decision | None, Work]:
        """What follows from the outcome. A row whose key has been replaced meanwhile is sent again, which proves nothing."""
        stopping = self.shutdown.stopping.is_set()
        refused = isinstance(outcome, Failed) and outcome.failure.kind is FailureKind.AUTH
        renewable = refused and not stopping and work.history.renewals < MOST_RENEWALS
        if renewable and await self.ports.road.renew_key(now - latency_s):
            history = work.history._replace(renewals=work.history.renewals + 1)
            return Retry(now), work._replace(history=history)
        return self.policy.decide(outcome, work, stopping=stopping, now=now)

    async def _still_open(self, result: Unfinished, work: Work, attempt: int) -> None:
        """The task continues at the service; its reserved money stays reserved."""
        if result.kind is FailureKind.STOPPED:
            return
        await self.durable.persist(
            lambda: self.ports.log.still_open(attempt, self.redactor.text(result.message))
        )
        self.state.counters.parked += work.row.request.n
        told = self.redactor.text(result.message)
        row = work.row
        self.note(
            RowFailed(row.row_id, row.position, attempt, RowStatus.PARKED, FailureKind.TASK_TIMEOUT, told)
        )
        self.policy.breaker.settled(FailureKind.TASK_TIMEOUT, first=work.task is None)
        if self.policy.polls_refused(result.kind):
            self.shutdown.stop(
                halt_code(result.kind), f"{result.kind.value}: {self.redactor.text(result.message)}"
            )

    def _fetch_later(self, outcome: Outcome, work: Work, attempt: int, spent_usd: float) -> None:
        """Have its images fetched again by this run, as long as that may help; by the next one otherwise."""
        unfetched = outcome.unfetched
        item = work.item
        assert unfetched is not None and item is not None
        now = asyncio.get_running_loop().time()
        resumed = work.task is not None and work.task.resumed
        work = work._replace(rounds=work.rounds + 1, waits_since=now if not work.rounds else work.waits_since)
        refused = all(link.kind is FailureKind.DOWNLOAD_REFUSED for link in unfetched.links)
        pause = None if refused else pause_s(work.rounds, now - work.waits_since, self.patience_s)
        if pause is None:
            link, row = unfetched.links[0], work.row
            told = self.redactor.text(link.message)
            self.note(RowFailed(row.row_id, row.position, attempt, RowStatus.PENDING, link.kind, told))
            if not resumed:
                self.policy.breaker.settled(unfetched.links[0].kind)
            return
        task = OpenTask(
            attempt,
            item,
            work.row,
            unfetched,
            work.indexes,
            spent_usd,
            waited=False,
            endpoint="",
            other_endpoint=False,
            resumed=resumed,
        )
        self.state.fetches.add(work._replace(task=task), now + pause)
        self.state.changed.set()

    def _act(self, decision: Decision | None, work: Work, outcome: Outcome, latency_s: float) -> None:
        now = asyncio.get_running_loop().time()
        if (reason := self.policy.breaker.tripped) is not None:
            self.shutdown.stop(ExitCode.SERVICE_DOWN, reason)
        if isinstance(outcome, Success):
            self.state.window = concurrency_window.after_success(self.state.window, latency_s)
            self.ports.limiter.admitted()
            return
        failure = outcome.failure
        closed_s = self.policy.gate_s(failure, now)
        if closed_s:
            self._slow_down(failure, closed_s)
        if (reason := self.policy.give_up_reason(failure, now, closed_s)) is not None:
            self.shutdown.stop(ExitCode.SERVICE_DOWN, reason)
        match decision:
            case Retry(not_before):
                self.state.waiting.add(work, not_before)
            case Halt():
                self.shutdown.stop(halt_code(failure.kind), f"{failure.kind.value}: {failure.message}")

    def _slow_down(self, failure: Failure, closed_s: float) -> None:
        limiter = self.ports.limiter
        self.state.trouble = trouble_text(failure)
        limiter.close_gate(closed_s, self.state.trouble)
        if failure.rule.resend is Resend.PATIENT:
            limiter.throttled(closed_s)
            self.state.window = concurrency_window.after_refusal(
                self.state.window, self.state.counters.in_flight
            )
            _LOG.debug("slower: %s, wait %.3g s; %s", self.state.trouble, closed_s, limiter.waiting_reason)
        reason = f"{failure.kind.value}: {failure.message}"
        self.note(PaceChanged(reason, round(closed_s, 3), self.state.window.limit))


def _fetched_again(work: Work) -> Unfetched | None:
    """The images that were to be fetched again; None for an answer of the service's."""
    task = None if work.task is None else work.task.task
    return task if isinstance(task, Unfetched) else None


def safe(outcome: Outcome, redactor: Redactor) -> Outcome:
    """The outcome with secrets and control characters removed from every text of the service's."""
    reported = _safe_ids(outcome.reported, redactor)
    if isinstance(outcome, Success):
        return outcome if reported is outcome.reported else replace(outcome, reported=reported)
    failure = outcome.failure
    clean = replace(
        failure,
        message=redactor.text(failure.message),
        code=redactor.text(failure.code) if failure.code else None,
    )
    return replace(outcome, failure=clean, reported=reported)


def safe_work(work: OpenWork, redactor: Redactor) -> OpenWork:
    """The same for what is recorded of images that are to be fetched. A URL that holds the key is not kept with it."""
    if not isinstance(work, Unfetched):
        return work
    links = tuple(
        replace(
            link,
            url=redactor.keys(link.url),
            revised_prompt=redactor.keys(link.revised_prompt) if link.revised_prompt else None,
        )
        for link in work.links
    )
    return replace(work, links=links, reported=_safe_ids(work.reported, redactor))


def _safe_ids(reported: Reported, redactor: Redactor) -> Reported:
    if reported.request_id is not None:
        reported = reported._replace(request_id=_shown_id(reported.request_id, redactor))
    if reported.task_id is not None:
        reported = reported._replace(task_id=_shown_id(reported.task_id, redactor))
    return reported


def _shown_id(identifier: str, redactor: Redactor) -> str:
    """Cut before it is searched for secrets too: that takes longer, the longer a text is."""
    return redactor.text(identifier[: 4 * _MAX_ID_CHARS])[:_MAX_ID_CHARS]
