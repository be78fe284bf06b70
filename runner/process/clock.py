"""The wall clock, as the ledger keeps it."""

from __future__ import annotations

import time


def wall_ms() -> int:
    """Unix milliseconds."""
    return int(time.time() * 1000)
