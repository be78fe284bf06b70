"""Waiting for another process without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

_LOOK_EVERY_S = 0.02


def until(reached: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Return as soon as it holds; fail after so many seconds."""
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(_LOOK_EVERY_S)
