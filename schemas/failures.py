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
    NOT_AN_API = "not_an_api"
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
    INTERRUPTED = "interrupted"
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

    who: who can mend it.
    billed: whether the attempt may have been paid for.
    resend: whether imagemill sends the request again by itself.
    rest: the row's status once nothing more is done about it in this run.
    halts: the whole run stops (in-flight requests finish).
    slows: every sender waits: one gate for all.
    """

    who: str
    meaning: str
    billed: Billed
    resend: Resend = Resend.NEVER
    rest: RowStatus = RowStatus.FAILED
    halts: bool = False
    slows: bool = False


_NO, _MAYBE, _YES = Billed.NO, Billed.MAYBE, Billed.YES
_COUNTED, _PATIENT, _IF_ALLOWED = Resend.COUNTED, Resend.PATIENT, Resend.IF_ALLOWED
_PARKED, _PENDING, _INVALID = RowStatus.PARKED, RowStatus.PENDING, RowStatus.INVALID

RULES: dict[FailureKind, Rule] = {
    FailureKind.INVALID_ROW: Rule("you", "the manifest row cannot be sent", billed=_NO, rest=_INVALID),
    FailureKind.MODERATION: Rule("you", "refused by the service's content filter", billed=_MAYBE),
    FailureKind.INVALID_REQUEST: Rule("you", "the service rejects the request's fields", billed=_NO),
    FailureKind.NOT_FOUND: Rule("you", "no such model or path", billed=_NO, resend=_COUNTED),
    FailureKind.NOT_AN_API: Rule(
        "you",
        "a web page answers: the base URL leads to no API",
        billed=_NO,
        resend=_COUNTED,
        rest=_PENDING,
        slows=True,
    ),
    FailureKind.AUTH: Rule(
        "you", "the key is missing, wrong or revoked", billed=_NO, resend=_COUNTED, slows=True
    ),
    FailureKind.FORBIDDEN: Rule(
        "you", "the account may not use this, or is blocked", billed=_NO, resend=_COUNTED, slows=True
    ),
    FailureKind.QUOTA: Rule(
        "you", "no money or quota left at the service", billed=_NO, resend=_COUNTED, slows=True
    ),
    FailureKind.RATE_LIMITED: Rule(
        "service", "too many requests for now", billed=_NO, resend=_PATIENT, slows=True
    ),
    FailureKind.OVERLOADED: Rule(
        "service", "the service is overloaded", billed=_NO, resend=_PATIENT, slows=True
    ),
    FailureKind.SERVER_ERROR: Rule(
        "service", "the service reports an error of its own", billed=_NO, resend=_COUNTED
    ),
    FailureKind.CONNECT: Rule(
        "network", "no connection: nothing was sent", billed=_NO, resend=_COUNTED, slows=True
    ),
    FailureKind.TIMEOUT: Rule(
        "network",
        "sent, no complete answer in time",
        billed=_MAYBE,
        resend=_IF_ALLOWED,
        rest=_PARKED,
        slows=True,
    ),
    FailureKind.DISCONNECTED: Rule(
        "network",
        "sent, the connection broke before an answer",
        billed=_MAYBE,
        resend=_IF_ALLOWED,
        rest=_PARKED,
        slows=True,
    ),
    FailureKind.GATEWAY: Rule(
        "network",
        "an error that does not tell whether the image was made",
        billed=_MAYBE,
        resend=_IF_ALLOWED,
        rest=_PARKED,
        slows=True,
    ),
    FailureKind.INTERRUPTED: Rule(
        "you",
        "sent, and imagemill was stopped or killed before an answer",
        billed=_MAYBE,
        resend=_IF_ALLOWED,
        rest=_PARKED,
    ),
    FailureKind.TRUNCATED: Rule(
        "network",
        "the service said 200, the body was cut",
        billed=_YES,
        resend=_IF_ALLOWED,
        rest=_PARKED,
        slows=True,
    ),
    FailureKind.BAD_CONTENT: Rule("service", "paid, but the answer holds no usable image", billed=_YES),
    FailureKind.DOWNLOAD: Rule(
        "network",
        "paid, and not fetched from its URL yet; the next run does, without paying, until the URL is dead",
        billed=_YES,
        rest=_PENDING,
    ),
    FailureKind.DOWNLOAD_REFUSED: Rule(
        "you",
        "paid, and its URL points where imagemill does not go; the next run fetches it once you allow that",
        billed=_YES,
        rest=_PENDING,
    ),
    FailureKind.TASK_FAILED: Rule("service", "the service's task failed", billed=_MAYBE),
    FailureKind.TASK_LOST: Rule(
        "service", "the service no longer knows the task", billed=_MAYBE, rest=_PARKED
    ),
    FailureKind.TASK_TIMEOUT: Rule(
        "service", "the task did not end in time; the next run polls it", billed=_MAYBE, rest=_PARKED
    ),
    FailureKind.LOCAL: Rule(
        "you", "this machine failed: disk full, descriptors", billed=_NO, rest=_PENDING, halts=True
    ),
    FailureKind.STOPPED: Rule("you", "the run ended before this row's turn", billed=_NO, rest=_PENDING),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt.

    code: the service's own code; None where it gave none. message: its text, or ours, safe to show.
    retry_after_s: seconds that the service asked to wait; None when it gave no usable hint.
    billed: overrides the rule where the endpoint profile knows better; None means the rule's.
    lasting: no connection, and there will be none before a setting is changed (a certificate, https at an http port).
    """

    kind: FailureKind
    message: str
    code: str | None = None
    http_status: int | None = None
    retry_after_s: float | None = None
    billed: Billed | None = None
    lasting: bool = False

    @property
    def rule(self) -> Rule:
        """The rule of this failure's kind."""
        return RULES[self.kind]

    @property
    def maybe_billed(self) -> bool:
        """True when the attempt may have been paid for without yielding an image."""
        return (self.billed or self.rule.billed) is not Billed.NO
