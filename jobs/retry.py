"""What to do after a failure, as a value. Never sleeps, sends or looks at a clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from jobs.brake import ACCOUNT_KINDS
from schemas.failures import Failure, FailureKind, Resend, RowStatus

AMBIGUOUS_IN_A_ROW = 3
"""So many outcomes in a row that nobody knows slow all senders; a single one is an accident of its row."""
BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 30.0


class RetryPolicy(NamedTuple):
    """How often a row is sent again by itself.

    attempts: sends of a row in one run at most, counting safe failures only. give_up_s: longest wait that is accepted.
    moderation: how often a refused row is sent again; each time may be paid for.
    """

    attempts: int = 5
    on_ambiguous: str = "park"
    give_up_s: float = 600.0
    moderation: int = 0


class History(NamedTuple):
    """What happened to this row in this run.

    counted: failed sends that count against `attempts`, this one included. patient: refusals for speed, this one
    included; they never make a row fail: when nothing but refusals comes for `retry.give_up`, the run ends.
    ambiguous_left: how many ambiguous requests the whole job may still send again. moderated: refusals by the content
    filter, this one included. renewals: keys that were replaced while they were refused.

    Of the run, whatever the row: works: it has got an image. refusals: of the account, in a row, this one included.
    """

    counted: int = 0
    patient: int = 0
    ambiguous_left: int = 0
    moderated: int = 0
    renewals: int = 0
    works: bool = False
    refusals: int = 0


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


@dataclass(frozen=True, slots=True)
class FetchLater:
    """Its images are made, and fetched again later; nothing is sent."""


Decision = Retry | GiveUp | Park | Halt | FetchLater

NOT_FOUND_ATTEMPTS = 3
"""Sends of a row whose model or path is not found: its own model may be wrong, and nothing of that costs money."""


def decide(failure: Failure, history: History, policy: RetryPolicy, *, now: float, draw: float) -> Decision:
    """The decision for one failed attempt. now: monotonic seconds. draw: a random number in [0, 1) (full jitter)."""
    rule = failure.rule
    if rule.halts:
        return Halt(rule.rest)
    if failure.kind is FailureKind.MODERATION and 0 < history.moderated <= policy.moderation:
        return Retry(now + _backoff(1, draw))
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
    attempts = policy.attempts
    if failure.kind is FailureKind.NOT_FOUND:
        # Where others got images the path is right, and the row's own model is wrong.
        attempts = 1 if history.works else min(attempts, NOT_FOUND_ATTEMPTS)
    if failure.kind in ACCOUNT_KINDS and history.refusals >= history.counted:
        return Retry(now + BACKOFF_BASE_S)  # nobody got an image meanwhile: it is not the row's fault yet
    if history.counted < attempts:
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
"""After so many failures in a row, over all rows, the service is down, and failures no longer count against single rows."""


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
