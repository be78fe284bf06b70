"""What an answer says of pace: how long to wait, and how much a minute allows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

_WAIT_TEXT = re.compile(r"(?:try again|retry)\s+(?:in|after)\s+((?:\d+(?:\.\d+)?\s*[a-z]*\s*)+)", re.I)
_WAIT_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.I)
_UNITS_S = (
    (re.compile(r"ms|milliseconds?"), 0.001),
    (re.compile(r"|s|secs?|seconds?"), 1.0),
    (re.compile(r"m|mins?|minutes?"), 60.0),
    (re.compile(r"h|hrs?|hours?"), 3600.0),
    (re.compile(r"d|days?"), 86400.0),
)
_LEAST = {"requests": 1.0, "images": 1.0, "tokens": 100.0}
"""Allowances of a minute below these are not believed: a run would wait for hours, without a word from the service."""
_MOST = 1e9
_MOST_CHARS = 100
"""Of a header that holds a number, a span or a date."""


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
        return float(text) * unit_s if text is not None and len(text) <= _MOST_CHARS else None
    except ValueError:
        return None


def _date(text: str | None, now: float) -> float | None:
    if text is None or not text[:3].isalpha() or len(text) > _MOST_CHARS:
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


class ReportedRate(NamedTuple):
    """What an answer's headers say of one allowance; None where they say nothing. reset_s: seconds."""

    limit: float | None
    remaining: float | None
    reset_s: float | None


def reported_rates(headers: Mapping[str, str]) -> dict[str, ReportedRate]:
    """`x-ratelimit-{limit,remaining,reset}-{requests,images,tokens}`, a minute's allowance. headers: lower-case names."""
    found = {}
    for unit, least in _LEAST.items():
        limit = _number(headers.get(f"x-ratelimit-limit-{unit}"), 1.0)
        remaining = _number(headers.get(f"x-ratelimit-remaining-{unit}"), 1.0)
        if limit is not None or remaining is not None:
            usable = limit if limit is not None and least <= limit <= _MOST else None
            found[unit] = ReportedRate(usable, remaining, _span(headers.get(f"x-ratelimit-reset-{unit}")))
    return found


_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?", re.ASCII)


def _span(text: str | None) -> float | None:
    """Seconds of `6m0s`, `1.5s`, `120ms` or a plain number; None for anything else."""
    plain = _number(text, 1.0)
    if plain is not None or not text or len(text) > _MOST_CHARS:
        return plain if plain is not None and 0 <= plain < 1e6 else None
    found = _SPAN.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds, millis = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000
