"""What follows from each outcome, given the state of the whole run: refusals in a row, and the last success."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from jobs.brake import Brake
from jobs.circuit_breaker import Breaker
from jobs.retry import (
    AMBIGUOUS_IN_A_ROW,
    OUTAGE_FAILURES,
    Decision,
    FetchLater,
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
POLLS_REFUSED_LIMIT = 3
_PROOF_OF_SERVICE = frozenset({FailureKind.INVALID_REQUEST, FailureKind.MODERATION, FailureKind.TASK_FAILED})


def halt_code(kind: FailureKind) -> ExitCode:
    """The exit code of a run that a failure of this kind stops."""
    return _HALT_CODES.get(kind, ExitCode.ACCOUNT)


def row_status(decision: Decision | None) -> RowStatus:
    """What becomes of a row. decision: None after a success."""
    match decision:
        case None:
            return RowStatus.SUCCEEDED
        case Retry() | FetchLater():
            return RowStatus.PENDING
        case GiveUp():
            return RowStatus.FAILED
        case Park():
            return RowStatus.PARKED
        case Halt(row):
            return row


class RunPolicy:
    """Decisions for one run. ambiguous_left: how many requests that may have been paid for may still be sent again.

    breaker: told of every row that is settled. brake: told of every answer. draw: chance, from 0 to 1, that spreads
    retries. first_contact_s: how long a service that has never answered is tried.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        ambiguous_left: int,
        breaker: Breaker | None = None,
        brake: Brake | None = None,
        *,
        first_contact_s: float = math.inf,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._draw = draw
        self.brake = brake or Brake(None)
        self._first_contact_s = first_contact_s
        self._heard = False
        self.breaker = breaker or Breaker()
        self._policy = policy
        self._ambiguous_left = ambiguous_left
        self._refusals_in_a_row = 0
        self._rounds = 0
        self._gate_until = 0.0
        self._polls_refused_running = 0
        self._ambiguous_running = 0
        self._last_good = self._started = 0.0
        self.quota = RetryQuota()

    def start(self, now: float) -> None:
        """The run begins; `now` in monotonic seconds, as everywhere here."""
        self._last_good = self._started = now

    def decide(
        self, outcome: Outcome, work: Work, *, stopping: bool, now: float
    ) -> tuple[Decision | None, Work]:
        """What follows from the outcome (None: success), and the row with its history."""
        if isinstance(outcome, Success):
            self._last_good = now
            self._refusals_in_a_row = self._rounds = self._ambiguous_running = 0
            self._polls_refused_running = 0
            self._heard = True
            self.brake.succeeded()
            self.quota.succeeded()
            self.breaker.settled(None)
            return None, work
        failure = outcome.failure
        self._heard = self._heard or failure.kind is not FailureKind.CONNECT
        self.brake.failed(failure)
        history = self._history(failure, work.history, now)
        if outcome.unfetched is not None:
            return FetchLater(), work._replace(history=history)
        decision = decide(failure, history, self._policy, now=now, draw=self._draw())
        if isinstance(decision, Retry) and failure.rule.resend is Resend.IF_ALLOWED:
            self._ambiguous_left -= 1
        if stopping and isinstance(decision, Retry):
            decision = Halt(RowStatus.PENDING)
        if isinstance(decision, (GiveUp, Park)):
            self.breaker.settled(failure.kind, first=work.task is None)
        return decision, work._replace(history=history)

    def fetched(self, outcome: Outcome, work: Work, now: float) -> Decision | None:
        """What follows from a later try to fetch a row's images, as `decide` says it; no answer of the service's has come.

        That an earlier run's image is there says nothing of the service as it is now.
        """
        resumed = work.task is not None and work.task.resumed
        if isinstance(outcome, Success):
            if outcome.images and not resumed:
                self.decide(outcome, work, stopping=False, now=now)
            return None
        if outcome.unfetched is not None:
            return FetchLater()
        self.breaker.settled(outcome.failure.kind, first=not resumed)
        return GiveUp()

    def polls_refused(self, kind: FailureKind) -> bool:
        """Whether the polls of so many tasks in a row were refused that it is the account's doing. kind: why this ended."""
        refused = kind in (FailureKind.AUTH, FailureKind.FORBIDDEN)
        self._polls_refused_running = self._polls_refused_running + 1 if refused else 0
        return self._polls_refused_running >= POLLS_REFUSED_LIMIT

    def _history(self, failure: Failure, before: History, now: float) -> History:
        resend = failure.rule.resend
        refused = failure.rule.slows or failure.kind is FailureKind.SERVER_ERROR
        self._refusals_in_a_row = self._refusals_in_a_row + 1 if refused else 0
        outage = self._refusals_in_a_row >= OUTAGE_FAILURES and failure.kind is not FailureKind.CONNECT
        ambiguous = resend is Resend.IF_ALLOWED
        self._ambiguous_running = self._ambiguous_running + 1 if ambiguous else 0
        if failure.rule.billed is Billed.YES or failure.kind in _PROOF_OF_SERVICE:
            self._last_good = now
        patient = resend is Resend.PATIENT
        return History(
            counted=before.counted + (resend is Resend.COUNTED and not outage),
            patient=before.patient + patient,
            ambiguous_left=self._ambiguous_left,
            renewals=before.renewals,
            moderated=before.moderated + (failure.kind is FailureKind.MODERATION),
            works=self.brake.works,
            refusals=self.brake.refusals,
        )

    def gate_s(self, failure: Failure, now: float) -> float:
        """Seconds for which nobody sends after this failure. Failures while the gate is closed are one burst."""
        if 0 < self._ambiguous_running < AMBIGUOUS_IN_A_ROW:
            return 0.0
        rounds = self._rounds + (now >= self._gate_until)
        seconds = gate_s(
            failure, max(1, rounds), self._policy, outage=self._refusals_in_a_row >= OUTAGE_FAILURES
        )
        if seconds:
            self._rounds = rounds
            self._gate_until = max(self._gate_until, now + seconds)
        return seconds

    @property
    def service_is_down(self) -> bool:
        """Whether only refusals have come for a while; then one request at a time is enough to notice a recovery."""
        return self._refusals_in_a_row >= OUTAGE_FAILURES

    def give_up_reason(self, failure: Failure, now: float, wait_s: float = 0.0) -> str | None:
        """Why the run should end: nothing but refusals for longer than `retry.give_up`, or a service that has never
        answered for longer than `run.first_contact`. None while there is hope. wait_s: until it may be asked again."""
        resend, again = failure.rule.resend, now + wait_s
        if not self._heard and again - self._started > self._first_contact_s:
            took = f"the service has not answered once in {now - self._started:.0f} s"
            limit = f"run.first_contact = {self._first_contact_s:g} s"
            return f"{took} ({limit}); {failure.message}; is the base URL right?"
        if (
            resend not in (Resend.PATIENT, Resend.COUNTED)
            or again - self._last_good <= self._policy.give_up_s
        ):
            return None
        took = f"gave up after {now - self._last_good:.0f} s without a success"
        return f"{took} (retry.give_up = {self._policy.give_up_s:g} s); the last answer: {failure.message}"
