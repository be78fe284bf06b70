"""What follows from each outcome, with what only the whole run knows: refusals in a row, and the last good sign."""

from __future__ import annotations

import random
from collections.abc import Callable

from jobs.circuit_breaker import Breaker
from jobs.retry import (
    OUTAGE_FAILURES,
    Decision,
    GiveUp,
    Halt,
    History,
    Park,
    Retry,
    RetryPolicy,
    RetryQuota,
    decide,
    gate_s,
)
from jobs.work import Work
from schemas.errors import ExitCode
from schemas.failures import Billed, Failure, FailureKind, Resend, RowStatus
from schemas.outcome import Outcome, Success

_HALT_CODES = {
    FailureKind.LOCAL: ExitCode.LOCAL,
    FailureKind.CONNECT: ExitCode.SERVICE_DOWN,
    FailureKind.RATE_LIMITED: ExitCode.SERVICE_DOWN,
    FailureKind.OVERLOADED: ExitCode.SERVICE_DOWN,
    FailureKind.SERVER_ERROR: ExitCode.SERVICE_DOWN,
}
_PROOF_OF_SERVICE = frozenset({FailureKind.INVALID_REQUEST, FailureKind.MODERATION, FailureKind.TASK_FAILED})


def halt_code(kind: FailureKind) -> ExitCode:
    """The exit code of a run that a failure of this kind stops."""
    return _HALT_CODES.get(kind, ExitCode.ACCOUNT)


def row_status(decision: Decision | None) -> RowStatus:
    """What becomes of a row. decision: None after a success."""
    match decision:
        case None:
            return RowStatus.SUCCEEDED
        case Retry():
            return RowStatus.PENDING
        case GiveUp():
            return RowStatus.FAILED
        case Park():
            return RowStatus.PARKED
        case Halt(row):
            return row


class Verdicts:
    """Decisions for one run. ambiguous_left: requests that may have been paid for and may still be sent again.

    breaker: told of every row that is settled. draw: chance, from 0 to 1, that spreads retries.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        ambiguous_left: int,
        breaker: Breaker | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._draw = draw
        self.breaker = breaker or Breaker()
        self._policy = policy
        self._ambiguous_left = ambiguous_left
        self._refusals_running = 0
        self._rounds = 0
        self._gate_until = 0.0
        self._not_found_running = 0
        self._last_good = 0.0
        self.quota = RetryQuota()

    def start(self, now: float) -> None:
        """The run begins; `now` in monotonic seconds, as everywhere here."""
        self._last_good = now

    def decide(
        self, outcome: Outcome, work: Work, *, stopping: bool, now: float
    ) -> tuple[Decision | None, Work]:
        """What follows from the outcome (None: success), and the row with its history."""
        if isinstance(outcome, Success):
            self._last_good = now
            self._refusals_running = self._rounds = self._not_found_running = 0
            self.quota.succeeded()
            self.breaker.settled(None)
            return None, work
        failure = outcome.failure
        history = self._history(failure, work.history, now)
        decision = decide(failure, history, self._policy, now=now, draw=self._draw())
        if isinstance(decision, Retry) and failure.rule.resend is Resend.IF_ALLOWED:
            self._ambiguous_left -= 1
        if stopping and isinstance(decision, Retry):
            decision = Halt(RowStatus.PENDING)
        if isinstance(decision, (GiveUp, Park)):
            self.breaker.settled(failure.kind, first=work.task is None)
        return decision, work._replace(history=history)

    def _history(self, failure: Failure, before: History, now: float) -> History:
        resend = failure.rule.resend
        refused = failure.rule.slows or failure.kind is FailureKind.SERVER_ERROR
        self._refusals_running = self._refusals_running + 1 if refused else 0
        outage = self._refusals_running >= OUTAGE_FAILURES and failure.kind is not FailureKind.CONNECT
        not_found = failure.kind is FailureKind.NOT_FOUND
        self._not_found_running = self._not_found_running + 1 if not_found else 0
        if failure.rule.billed is Billed.YES or failure.kind in _PROOF_OF_SERVICE:
            self._last_good = now
        patient = resend is Resend.PATIENT
        return History(
            counted=before.counted + (resend is Resend.COUNTED and not outage),
            patient=before.patient + patient,
            ambiguous_left=self._ambiguous_left,
            not_found_running=self._not_found_running,
        )

    def gate_s(self, failure: Failure, now: float) -> float:
        """Seconds for which nobody sends after this failure. Failures while the gate is closed are one burst."""
        rounds = self._rounds + (now >= self._gate_until)
        seconds = gate_s(
            failure, max(1, rounds), self._policy, outage=self._refusals_running >= OUTAGE_FAILURES
        )
        if seconds:
            self._rounds = rounds
            self._gate_until = max(self._gate_until, now + seconds)
        return seconds

    @property
    def down(self) -> bool:
        """Whether nothing but refusals has come for a while: then one request at a time is enough to find out."""
        return self._refusals_running >= OUTAGE_FAILURES

    def hopeless(self, failure: Failure, now: float) -> str | None:
        """Why the run should end: nothing but refusals for longer than `retry.give_up`. None while there is hope."""
        resend = failure.rule.resend
        if resend not in (Resend.PATIENT, Resend.COUNTED) or now - self._last_good <= self._policy.give_up_s:
            return None
        return f"no success for {self._policy.give_up_s:g} s; the service says {failure.kind.value}: {failure.message}"
