"""From what was seen on the wire to a `FailureKind`: the one place where evidence of payment is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, NamedTuple

from schemas.failures import Billed, Failure, FailureKind

_MONEY_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "insufficient_user_quota",
        "billing_not_active",
        "insufficient_balance",
    }
)
_MODERATION_CODES = frozenset(
    {
        "moderation_blocked",
        "content_policy_violation",
        "content_filter",
        "contentfilter",
    }
)
_MODERATION_TEXT = re.compile(
    r"safety_violations|safety system|content[ _]policy|content management policy|moderation_blocked|"
    r"rejected by (?:the|our) (?:safety|moderation)|flagged by (?:the|our) (?:safety|moderation)",
    re.IGNORECASE,
)
_USER_ERROR = "image_generation_user_error"
"""OpenAI's type for all that the user has to change: most often the prompt, which is meant where no `code` says more;
`invalid_png_output_compression` and `invalid_value` (no transparency for this model) come under it too."""
_MONEY_TEXT = re.compile(r"exceeded your current quota|billing hard limit has been reached", re.IGNORECASE)
"""OpenAI's own words, all that LiteLLM leaves of it. Gemini says the first of a rate limit too, with a time to wait."""
_KEY_CODES = frozenset({"no_db_connection"})
"""400 of a LiteLLM proxy without a database to any key but its own."""
_BLOCKED_TEXT = re.compile(
    r"temporarily blocked|must be verified|account .{0,30}(?:suspended|disabled|blocked)", re.I
)
_NOT_FOUND_CODES = frozenset({"model_not_found", "deploymentnotfound", "not_found_error"})
_WAIT_TEXT = re.compile(r"(?:try again|retry)\s+(?:in|after)\s+((?:\d+(?:\.\d+)?\s*[a-z]*\s*)+)", re.I)
_WAIT_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.I)
_UNITS_S = (
    (re.compile(r"ms|milliseconds?"), 0.001),
    (re.compile(r"|s|secs?|seconds?"), 1.0),
    (re.compile(r"m|mins?|minutes?"), 60.0),
    (re.compile(r"h|hrs?|hours?"), 3600.0),
    (re.compile(r"d|days?"), 86400.0),
)
_MONEY_WORDS = ("spend", "usage", "billing", "credit", "quota")
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


class Broke(Enum):
    """How an exchange ended that brought no whole answer."""

    BEFORE_SENDING = "before_sending"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    BODY_CUT = "body_cut"


class ServiceError(NamedTuple):
    """What an error document says: its text, `code` and `type` as lower-case text, None where absent."""

    message: str
    code: str | None
    kind: str | None
    own_json: bool
    """Whether the service's own JSON error was found (else a gateway's page or nothing)."""


def broken(how: Broke, detail: str, *, http_status: int | None = None) -> Failure:
    """The failure of an exchange that ended without a whole answer. `detail`: one line for the user."""
    if how is Broke.BODY_CUT and http_status is not None and not 200 <= http_status < 300:
        how = Broke.DISCONNECTED
    kind = {
        Broke.BEFORE_SENDING: FailureKind.CONNECT,
        Broke.TIMEOUT: FailureKind.TIMEOUT,
        Broke.DISCONNECTED: FailureKind.DISCONNECTED,
        Broke.BODY_CUT: FailureKind.TRUNCATED,
    }[how]
    return Failure(kind, detail, http_status=http_status)


def refused(
    status: int,
    headers: Mapping[str, str],
    document: Any,
    text: str,
    *,
    now: float,
    server_error_billed: Billed,
) -> Failure:
    """The failure that a whole answer tells: any status but 2xx, or an error document under 2xx.

    headers: lower-case names. document: parsed JSON or None. text: the body, for messages. now: Unix seconds.
    """
    error = read_error(document, text)
    wait_s = wait_hint(headers, error.message, now=now)
    kind = _kind(status, error, is_waited_for=wait_s is not None)
    billed = server_error_billed if kind is FailureKind.SERVER_ERROR else None
    return Failure(
        kind,
        error.message[:_MAX_MESSAGE_CHARS] or f"HTTP {status} without a message",
        code=error.code,
        http_status=status,
        retry_after_s=wait_s,
        billed=billed,
    )


def _kind(status: int, error: ServiceError, *, is_waited_for: bool) -> FailureKind:
    words = {word for word in (error.code, error.kind) if word}
    if _is_moderation(words, error):
        return FailureKind.FORBIDDEN if _BLOCKED_TEXT.search(error.message) else FailureKind.MODERATION
    if 200 <= status < 300:
        return FailureKind.BAD_CONTENT
    if status == 402 or words & _MONEY_CODES or any(_is_money_limit(word) for word in words):
        return FailureKind.QUOTA
    if _MONEY_TEXT.search(error.message) and not is_waited_for:
        return FailureKind.QUOTA
    if _USER_ERROR in words:
        return FailureKind.INVALID_REQUEST
    if words & _KEY_CODES:
        return FailureKind.AUTH
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 400 or words & _NOT_FOUND_CODES:
        return FailureKind.NOT_FOUND
    if status in _REQUEST_FAULTS:
        return FailureKind.INVALID_REQUEST
    if not error.own_json or status in (408, 409, 502, 504) or status > 504:
        return FailureKind.GATEWAY
    if status == 503:
        return FailureKind.OVERLOADED
    return FailureKind.SERVER_ERROR if status >= 500 else FailureKind.INVALID_REQUEST


def _is_moderation(words: set[str], error: ServiceError) -> bool:
    if words & _MODERATION_CODES or _MODERATION_TEXT.search(error.message):
        return True
    return _USER_ERROR in words and error.code in (None, _USER_ERROR)


def _is_money_limit(word: str) -> bool:
    """`project_spend_limit_exceeded` and its kin, as opposed to `rate_limit_exceeded`."""
    return word.endswith("_limit_exceeded") and any(part in word for part in _MONEY_WORDS)


def read_error(document: Any, text: str) -> ServiceError:
    """The error in a document of any known shape: OpenAI's, a plain string, FastAPI's `detail`, relays' `message`/`msg`."""
    if isinstance(document, Mapping):
        error = document.get("error", document.get("errors"))
        if isinstance(error, Mapping):
            return _from_fields(error)
        if isinstance(error, str) and error:
            return ServiceError(error, _word(document.get("code")), _word(document.get("type")), True)
        for name in ("detail", "message", "msg", "error_message"):
            if document.get(name):
                message = document[name] if isinstance(document[name], str) else repr(document[name])
                own = name != "message" or "code" in document  # a bare `message` is how cloud gateways speak
                return ServiceError(message, _word(document.get("code")), _word(document.get("type")), own)
    return ServiceError(_plain(text), None, None, False)


def _from_fields(error: Mapping[str, Any]) -> ServiceError:
    message = error.get("message")
    text = message if isinstance(message, str) else repr(dict(error))
    return ServiceError(text, _word(error.get("code")), _word(error.get("type")), True)


def _word(value: Any) -> str | None:
    if isinstance(value, bool) or value is None or value == "":
        return None
    return str(value).lower()[:200] if isinstance(value, str | int | float) else None


def _plain(text: str) -> str:
    """A page's text on one line, tags dropped."""
    without_tags = re.sub(
        r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]{0,500}>", " ", text[:20_000], flags=re.S | re.I
    )
    return " ".join(without_tags.split())[:300]


def wait_hint(headers: Mapping[str, str], message: str, *, now: float) -> float | None:
    """Seconds the service asks to wait: `retry-after-ms`, `Retry-After` (seconds or date), then "try again in …".

    Nonsense (negative, not finite, unreadable) is ignored.
    """
    for candidate in (
        _number(headers.get("retry-after-ms"), 0.001),
        _number(headers.get("retry-after"), 1.0),
        _date(headers.get("retry-after"), now),
        _message_wait(message),
    ):
        if candidate is not None and math.isfinite(candidate) and candidate >= 0:
            return candidate
    return None


def _number(text: str | None, unit_s: float) -> float | None:
    try:
        return float(text) * unit_s if text is not None else None
    except ValueError:
        return None


def _date(text: str | None, now: float) -> float | None:
    if text is None or not text[:3].isalpha():
        return None
    try:
        when = parsedate_to_datetime(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _message_wait(message: str) -> float | None:
    """Seconds of "try again in 1m30s" and its kin; None where a unit is not understood."""
    found = _WAIT_TEXT.search(message)
    if found is None:
        return None
    waits = [_seconds(number, unit.lower()) for number, unit in _WAIT_PART.findall(found[1])]
    return None if None in waits else sum(wait for wait in waits if wait is not None)


def _seconds(number: str, unit: str) -> float | None:
    return next((float(number) * scale for name, scale in _UNITS_S if name.fullmatch(unit)), None)


class RateTold(NamedTuple):
    """What an answer's headers say of one allowance; None where they say nothing. reset_s: seconds."""

    limit: float | None
    remaining: float | None
    reset_s: float | None


def rates_told(headers: Mapping[str, str]) -> dict[str, RateTold]:
    """`x-ratelimit-{limit,remaining,reset}-{requests,images,tokens}`, a minute's allowance. headers: lower-case names."""
    found = {}
    for unit in ("requests", "images", "tokens"):
        limit = _number(headers.get(f"x-ratelimit-limit-{unit}"), 1.0)
        remaining = _number(headers.get(f"x-ratelimit-remaining-{unit}"), 1.0)
        if limit is not None or remaining is not None:
            usable = limit if limit is not None and math.isfinite(limit) and limit > 0 else None
            found[unit] = RateTold(usable, remaining, _span(headers.get(f"x-ratelimit-reset-{unit}")))
    return found


_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def _span(text: str | None) -> float | None:
    """Seconds of `6m0s`, `1.5s`, `120ms` or a plain number; None for anything else."""
    plain = _number(text, 1.0)
    if plain is not None or not text:
        return plain if plain is not None and 0 <= plain < 1e6 else None
    found = _SPAN.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds, millis = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000
