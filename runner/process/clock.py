"""Clocks: the time of day as the ledger keeps it, and seconds that pass only while this process runs."""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK_EVERY_S = 0.5
"""How often a steady clock is to be looked at."""
GAP_S = 1.5
"""When nobody has looked for so long, nobody could."""
CATCH_UP_S = 1.0


def wall_ms() -> int:
    """Unix milliseconds."""
    return int(time.time() * 1000)


def elapsed_s() -> float:
    """Seconds since the machine was started, also those in which it was suspended, where the system counts these."""
    boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class SteadyClock:
    """Seconds for deadlines. They pass only while the process runs.

    After Ctrl-Z, `docker pause` or a laptop's sleep the answers lie in their sockets, and every deadline seems over. So a
    stretch in which nobody looked at the clock does not count. After it the clock stands still for `CATCH_UP_S`, in which
    what has come is read before anything is given up. elapsed: seconds that pass whatever happens.
    """

    def __init__(self, elapsed: Callable[[], float] = elapsed_s) -> None:
        self._elapsed = elapsed
        self._looked = elapsed()
        self._lost = 0.0
        self._woke: float | None = None
        self._now = self._looked

    def time(self) -> float:
        """Seconds; they never fall."""
        now = self._elapsed()
        if now - self._looked > GAP_S:
            self._lost += now - self._looked + CATCH_UP_S
            self._woke = now
        self._looked = now
        self._now = max(self._now, now - self._lost)
        return self._now

    def woke_within(self, seconds: float) -> bool:
        """Whether the process stood still so short a time ago."""
        self.time()
        return self._woke is not None and self._looked - self._woke < seconds
