"""The nearest known name to a mistyped one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The valid name that was probably meant; None when none is close."""
    found = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return found[0] if found else None
