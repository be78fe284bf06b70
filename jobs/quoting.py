"""Values in messages."""

from __future__ import annotations

_SHOWN_CHARS = 60


def quoted(text: str) -> str:
    """`text` in quotes for a message, shortened, control characters escaped."""
    return repr(text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…")
