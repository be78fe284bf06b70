"""The closed taxonomy of failures and the one table that says what each kind means for money and for the run.

Evidence becomes a kind in `jobs.classify`; a kind becomes a decision in `jobs.retry`. Nothing else interprets failures.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple


class FailureKind(StrEnum):
    """`error_kind` in the results table."""

    INVALID_ROW = "invalid_row"
    MODERATION = "moderation"
    INVALID_REQUEST = "invalid_request"
    NOT_FOUND = "not_found"
    AUTH = "auth"
    FORBIDDEN = "forbidden"
    QUOTA = "quota"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    GATEWAY = "gateway"
    TRUNCATED = "truncated"
    BAD_CONTENT = "bad_content"
    DOWNLOAD = "download"
    DOWNLOAD_REFUSED = "download_refused"
    TASK_FAILED = "task_failed"
    TASK_LOST = "task_lost"
    TASK_TIMEOUT = "task_timeout"
    LOCAL = "local"
    STOPPED = "stopped"


class RowStatus(StrEnum):
    """`status` in the results table."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PARKED = "parked"
    PENDING = "pending"
    INVALID = "invalid"


class Billed(Enum):
    """What the evidence says about payment for one attempt that yielded no image."""

    NO = 0
    MAYBE = 1
    YES = 2


class Resend(Enum):
    """Whether the same request may be sent again without being asked."""

    NEVER = "never"
    COUNTED = "counted"
    """Safe to send again; counts against `retry.attempts`."""
    PATIENT = "patient"
    """The service says "later": waits with everybody, until `retry.give_up`."""
    IF_ALLOWED = "if_allowed"
    """May pay twice: only under `retry.on_ambiguous = "retry"` and its budget."""


class Rule(NamedTuple):
    """What one kind means.

    resend: whether imagemill sends the request again by itself.
    billed: whether the attempt may have been paid for.
    rest: the row's status once nothing more is done about it in this run.
    halts: the whole run stops (in-flight requests finish).
    slows: every sender waits: one gate for all.
    who: who can mend it.
    """

    resend: Resend
    billed: Billed
    rest: RowStatus
    halts: bool
    slows: bool
    who: str
    meaning: str


_NEVER, _COUNTED, _PATIENT, _IF = Resend.NEVER, Resend.COUNTED, Resend.PATIENT, Resend.IF_ALLOWED
_NO, _MAYBE, _YES = Billed.NO, Billed.MAYBE, Billed.YES
_F, _K, _P = RowStatus.FAILED, RowStatus.PARKED, RowStatus.PENDING

RULES: dict[FailureKind, Rule] = {
    FailureKind.INVALID_ROW: Rule(
        _NEVER, _NO, RowStatus.INVALID, False, False, "you", "the manifest row cannot be sent"
    ),
    FailureKind.MODERATION: Rule(
        _NEVER, _MAYBE, _F, False, False, "you", "refused by the service's content filter"
    ),
    FailureKind.INVALID_REQUEST: Rule(
        _NEVER, _NO, _F, False, False, "you", "the service rejects the request's fields"
    ),
    FailureKind.NOT_FOUND: Rule(_NEVER, _NO, _F, False, False, "you", "no such model or path"),
    FailureKind.AUTH: Rule(_NEVER, _NO, _P, True, False, "you", "the key is missing, wrong or revoked"),
    FailureKind.FORBIDDEN: Rule(
        _NEVER, _NO, _P, True, False, "you", "the account may not use this, or is blocked"
    ),
    FailureKind.QUOTA: Rule(_NEVER, _NO, _P, True, False, "you", "no money or quota left at the service"),
    FailureKind.RATE_LIMITED: Rule(_PATIENT, _NO, _F, False, True, "service", "too many requests for now"),
    FailureKind.OVERLOADED: Rule(_PATIENT, _NO, _F, False, True, "service", "the service is overloaded"),
    FailureKind.SERVER_ERROR: Rule(
        _COUNTED, _NO, _F, False, False, "service", "the service reports an error of its own"
    ),
    FailureKind.CONNECT: Rule(_COUNTED, _NO, _F, False, True, "network", "no connection: nothing was sent"),
    FailureKind.TIMEOUT: Rule(_IF, _MAYBE, _K, False, False, "network", "sent, no complete answer in time"),
    FailureKind.DISCONNECTED: Rule(
        _IF, _MAYBE, _K, False, False, "network", "sent, the connection broke before an answer"
    ),
    FailureKind.GATEWAY: Rule(
        _IF, _MAYBE, _K, False, False, "network", "a gateway answered instead of the service"
    ),
    FailureKind.TRUNCATED: Rule(
        _IF, _YES, _K, False, False, "network", "the service said 200, the body was cut"
    ),
    FailureKind.BAD_CONTENT: Rule(
        _NEVER, _YES, _F, False, False, "service", "paid, but the answer holds no usable image"
    ),
    FailureKind.DOWNLOAD: Rule(
        _NEVER, _YES, _F, False, False, "network", "paid, but the image could not be fetched from its URL"
    ),
    FailureKind.DOWNLOAD_REFUSED: Rule(
        _NEVER, _YES, _F, False, False, "you", "paid, but the image's URL points where imagemill does not go"
    ),
    FailureKind.TASK_FAILED: Rule(_NEVER, _MAYBE, _F, False, False, "service", "the service's task failed"),
    FailureKind.TASK_LOST: Rule(
        _NEVER, _MAYBE, _K, False, False, "service", "the service no longer knows the task"
    ),
    FailureKind.TASK_TIMEOUT: Rule(
        _NEVER, _MAYBE, _K, False, False, "service", "the task did not end in time; the next run polls it"
    ),
    FailureKind.LOCAL: Rule(
        _NEVER, _NO, _P, True, False, "you", "this machine failed: disk full, descriptors"
    ),
    FailureKind.STOPPED: Rule(_NEVER, _NO, _P, False, False, "you", "the run ended before this row's turn"),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt.

    code: the service's own code; None where it gave none. message: its text, or ours, safe to show.
    retry_after_s: seconds that the service asked to wait; None when it gave no usable hint.
    billed: overrides the rule where the endpoint profile knows better; None means the rule's.
    """

    kind: FailureKind
    message: str
    code: str | None = None
    http_status: int | None = None
    retry_after_s: float | None = None
    billed: Billed | None = None

    @property
    def rule(self) -> Rule:
        """The rule of this failure's kind."""
        return RULES[self.kind]

    @property
    def maybe_billed(self) -> bool:
        """True when the attempt may have been paid for without yielding an image."""
        return (self.billed or self.rule.billed) is not Billed.NO
