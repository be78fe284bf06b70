"""Classifies what was seen on the wire as a `FailureKind`. Nothing else reads evidence of payment.

What services say is read by `jobs.error_documents`, what their words mean by `jobs.error_words`, what they say of pace by
`jobs.rate_headers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from jobs import error_words
from jobs.error_documents import ReportedError, is_error, is_page, read_error
from jobs.rate_headers import wait_hint
from schemas.failures import Billed, Failure, FailureKind

_NOT_REACHED = frozenset({425, 503, 521, 523, 525, 526, 529, 530})
"""The service itself has not taken the request, whoever answers and whatever the code: too early, overloaded, or
Cloudflare could not reach it. 503 comes with `model_not_found` where a relay lacks a free channel."""
_UNCERTAIN = frozenset({408, 409, 499, 502, 504, 520, 522, 524, 527})
"""Statuses under which even the service's own words leave open whether the image was made."""
_BY_STATUS = {
    401: FailureKind.AUTH,
    403: FailureKind.FORBIDDEN,
    404: FailureKind.NOT_FOUND,
    407: FailureKind.AUTH,
    429: FailureKind.RATE_LIMITED,
}
_REQUEST_FAULTS = frozenset(
    {400, 405, 406, 410, 411, 412, 413, 414, 415, 417, 421, 422, 424, 426, 428, 431, 451}
)
_MAX_MESSAGE_CHARS = 1000


class BreakKind(Enum):
    """How an exchange ended that brought no whole answer."""

    BEFORE_SENDING = "before_sending"
    BARRED = "barred"
    """Before sending, and so it will be until a setting is changed."""
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    BODY_CUT = "body_cut"


def classify_break(how: BreakKind, detail: str, *, http_status: int | None = None) -> Failure:
    """The failure of an exchange that ended without a whole answer. `detail`: one line for the user."""
    if how is BreakKind.BODY_CUT and http_status is not None and not 200 <= http_status < 300:
        how = BreakKind.DISCONNECTED
    kind = {
        BreakKind.BEFORE_SENDING: FailureKind.CONNECT,
        BreakKind.BARRED: FailureKind.CONNECT,
        BreakKind.TIMEOUT: FailureKind.TIMEOUT,
        BreakKind.DISCONNECTED: FailureKind.DISCONNECTED,
        BreakKind.BODY_CUT: FailureKind.TRUNCATED,
    }[how]
    return Failure(kind, detail, http_status=http_status, lasting=how is BreakKind.BARRED)


def classify_refusal(
    status: int,
    headers: Mapping[str, str],
    document: Any,
    text: str,
    *,
    now: float,
    server_error_billed: Billed,
) -> Failure:
    """The failure that a whole answer reports: any status but 2xx, or a document under 2xx that holds no image.

    headers: lower-case names. document: parsed JSON or None. text: the body, for messages. now: Unix seconds.
    """
    error = read_error(document, text)
    wait_s = wait_hint(headers, error.message, now=now)
    is_waited_for = wait_s is not None
    if 200 <= status < 300:
        kind = _under_success(error, is_an_error=is_error(document), is_waited_for=is_waited_for)
    else:
        kind = _kind(status, error, is_a_page=is_page(text), is_waited_for=is_waited_for)
    billed = server_error_billed if kind is FailureKind.SERVER_ERROR else None
    return Failure(
        kind,
        error.message[:_MAX_MESSAGE_CHARS] or f"HTTP {status} without a message",
        code=error.code,
        http_status=status,
        retry_after_s=wait_s,
        billed=billed,
    )


def _under_success(error: ReportedError, *, is_an_error: bool, is_waited_for: bool) -> FailureKind:
    """What a document under 2xx is without an image: the kind that its words say, else that of the status in its code."""
    kind = _by_words(error, is_waited_for=is_waited_for, is_of_request=True)
    if kind is not None:
        return kind
    if not is_an_error:
        return FailureKind.BAD_CONTENT
    if error_words.is_busy(error.words):
        return FailureKind.OVERLOADED
    if error_words.is_access(error.words):
        return FailureKind.FORBIDDEN
    if error_words.is_field(error.words):
        return FailureKind.INVALID_REQUEST
    status = error.http_status
    return (
        FailureKind.GATEWAY
        if status is None
        else _kind(status, error, is_a_page=False, is_waited_for=is_waited_for)
    )


def _kind(status: int, error: ReportedError, *, is_a_page: bool, is_waited_for: bool) -> FailureKind:
    """What an answer of another status than 2xx is."""
    if status in _NOT_REACHED and not _is_content(error):
        passed_on = status == 503 and not error.own_json and error_words.is_passed_on(error.message)
        return FailureKind.GATEWAY if passed_on else FailureKind.OVERLOADED
    kind = _by_words(error, is_waited_for=is_waited_for, is_of_request=status in (400, 403, 422))
    if kind is not None:
        return kind
    if status == 402:
        return FailureKind.QUOTA
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 400 or (
        status == 405 and (is_a_page or "method not allowed" in error.message.lower())
    ):
        return FailureKind.NOT_FOUND
    if status in _REQUEST_FAULTS:
        return FailureKind.INVALID_REQUEST
    if not error.own_json or status in _UNCERTAIN or status > 504:
        return FailureKind.GATEWAY
    if status >= 500:
        return FailureKind.OVERLOADED if error_words.is_busy(error.words) else FailureKind.SERVER_ERROR
    return FailureKind.INVALID_REQUEST


def _by_words(error: ReportedError, *, is_waited_for: bool, is_of_request: bool) -> FailureKind | None:
    """What the words say by themselves, whatever the status. is_of_request: it is the request that the status is about."""
    words, text = error.words, error.message
    if is_of_request and error_words.is_account(text):
        return FailureKind.FORBIDDEN
    if _is_content(error):
        return FailureKind.FORBIDDEN if error_words.is_account(text) else FailureKind.MODERATION
    if error_words.is_money(words, text, is_waited_for=is_waited_for) or error.http_status == 402:
        return FailureKind.QUOTA
    if error_words.is_pace(words, text) or error.http_status == 429:
        return FailureKind.RATE_LIMITED
    if error_words.USER_ERROR in words:
        return FailureKind.INVALID_REQUEST
    if error_words.is_key(words, text) if is_of_request else error_words.is_key_code(words):
        return FailureKind.AUTH
    if error_words.is_unknown_model(words):
        return FailureKind.NOT_FOUND
    return None


def _is_content(error: ReportedError) -> bool:
    return error_words.is_content(error.words, error.code, error.message)
