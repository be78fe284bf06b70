"""What to do after a failure, as a value. Never sleeps, sends or looks at a clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from schemas.failures import Failure, FailureKind, Resend, RowStatus

BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 30.0


class RetryPolicy(NamedTuple):
    """attempts: sends of a row in one run at most, counting safe failures only. give_up_s: longest wait that is accepted."""

    attempts: int = 5
    on_ambiguous: str = "park"
    give_up_s: float = 600.0


class History(NamedTuple):
    """What happened to this row in this run.

    counted: failed sends that count against `attempts`, this one included. patient: refusals for speed, this one
    included; they never make a row fail: when nothing but refusals comes for `retry.give_up`, the run ends.
        ambiguous_left: how many ambiguous requests the whole job may still send again.
    not_found_running: answers "no such model or path" in a row, over the whole run, this one included.
    """

    counted: int = 0
    patient: int = 0
    ambiguous_left: int = 0
    not_found_running: int = 0


@dataclass(frozen=True, slots=True)
class Retry:
    """Send again, not before this monotonic time (seconds)."""

    not_before: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Final: the row is `failed`."""


@dataclass(frozen=True, slots=True)
class Park:
    """Unknown outcome: hold the row until somebody says to send it again."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop the run; in-flight requests finish. `row` is what becomes of this row."""

    row: RowStatus


Decision = Retry | GiveUp | Park | Halt

NOT_FOUND_LIMIT = 3


def decide(failure: Failure, history: History, policy: RetryPolicy, *, now: float, draw: float) -> Decision:
    """The decision for one failed attempt. now: monotonic seconds. draw: a random number in [0, 1) (full jitter)."""
    rule = failure.rule
    if rule.halts:
        return Halt(rule.rest)
    if failure.kind is FailureKind.NOT_FOUND and history.not_found_running >= NOT_FOUND_LIMIT:
        return Halt(RowStatus.FAILED)
    match rule.resend:
        case Resend.NEVER:
            return Park() if rule.rest is RowStatus.PARKED else GiveUp()
        case Resend.IF_ALLOWED:
            if policy.on_ambiguous == "retry" and history.ambiguous_left > 0:
                return Retry(now + _backoff(1, draw))
            return Park()
        case Resend.PATIENT:
            return _patient(failure, history, policy, now, draw)
        case Resend.COUNTED:
            return _counted(failure, history, policy, now, draw)


def _counted(failure: Failure, history: History, policy: RetryPolicy, now: float, draw: float) -> Decision:
    if history.counted < policy.attempts:
        return Retry(
            now + max(_backoff(history.counted, draw), min(failure.retry_after_s or 0.0, policy.give_up_s))
        )
    if failure.kind is FailureKind.CONNECT:
        return Halt(RowStatus.PENDING)
    return GiveUp()


def _patient(failure: Failure, history: History, policy: RetryPolicy, now: float, draw: float) -> Decision:
    wait = failure.retry_after_s
    if wait is not None and wait > policy.give_up_s:
        return Halt(RowStatus.PENDING)
    if wait is None:
        return Retry(now + _backoff(history.patient, draw))
    return Retry(now + wait + _backoff(1, draw) * 0.2)


def _backoff(attempt: int, draw: float) -> float:
    """Full jitter: anything up to base · 2^(attempt-1), capped."""
    return draw * min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(attempt - 1, 30))


def gate_s(failure: Failure, rounds: int, policy: RetryPolicy, *, outage: bool = False) -> float:
    """Seconds for which nobody sends after this failure; 0 when it concerns its own row only.

    rounds: bursts of refusals since the last success, this one included. outage: nothing else has come for a while.
    """
    if not failure.rule.slows and not (outage and failure.kind is FailureKind.SERVER_ERROR):
        return 0.0
    if failure.retry_after_s is not None:
        return min(failure.retry_after_s, policy.give_up_s)
    return min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(rounds - 1, 30))


QUOTA_SHARE = 0.1
QUOTA_START = 10.0
QUOTA_CAP = 100.0
PROBE_S = 5.0
OUTAGE_FAILURES = 10
"""So many failures in a row, over all rows, are the service's outage, and no longer count against single rows."""


@dataclass
class RetryQuota:
    """Requests that may be sent again: a tenth of those sent first, and one for each success; else a probe at times.

    So a service that is down costs little more than one request a row, and one that recovers is used at once.
    """

    tokens: float = QUOTA_START
    last_probe: float = -math.inf

    def first_sent(self) -> None:
        """A row was sent for the first time in this run."""
        self.tokens = min(QUOTA_CAP, self.tokens + QUOTA_SHARE)

    def succeeded(self) -> None:
        """An answer brought what was asked for."""
        self.tokens = min(QUOTA_CAP, self.tokens + 1.0)

    def opens_at(self, now: float) -> float:
        """When a request may be sent again: now, or at the next probe (monotonic seconds)."""
        return now if self.tokens >= 1.0 else max(now, self.last_probe + PROBE_S)

    def resent(self, now: float) -> None:
        """A request was sent again."""
        if self.tokens >= 1.0:
            self.tokens -= 1.0
        else:
            self.last_probe = now
