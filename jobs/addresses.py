"""Manifest addresses: URLs, globs and names that bear a date."""

from __future__ import annotations

import re
from datetime import date

_DATE = re.compile(r"\{date(?::([^{}]*))?\}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_GLOB = re.compile(r"[*?\[]")


def is_url(source: str) -> bool:
    """Whether a manifest source is a URL, not a path."""
    return _URL.match(source) is not None


def is_glob(source: str) -> bool:
    """Whether a manifest source is a pattern over paths."""
    return _GLOB.search(source) is not None and not is_url(source)


def with_date(template: str, day: date) -> str:
    """The text with `{date}` and `{date:%Y-%m-%d}` filled in; other braces stand as they are."""
    return _DATE.sub(lambda match: day.strftime(match[1] or "%Y-%m-%d"), template)


def has_date(template: str | None) -> bool:
    """Whether the text holds `{date}` or `{date:…}`."""
    return template is not None and _DATE.search(template) is not None
