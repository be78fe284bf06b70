"""How many requests may be in flight: a window that grows while the service keeps up."""

from __future__ import annotations

from typing import NamedTuple

START = 16
DEFAULT_CEILING = 1024
SLOWER = 2.5


class Window(NamedTuple):
    """size: requests that may be in flight now. ceiling: never more. slow_start: still doubling each round trip.

    latency_s: smoothed seconds an answer takes; best_s: the least that has been (0: not known yet).
    """

    size: float
    ceiling: int
    slow_start: bool = True
    latency_s: float = 0.0
    best_s: float = 0.0

    @property
    def limit(self) -> int:
        """The window as a whole number of requests, at least 1."""
        return max(1, min(self.ceiling, int(self.size)))


def opening(concurrency: int | None, rate_per_s: float | None) -> Window:
    """The first window. concurrency: the user's ceiling. rate_per_s: requests allowed a second, when limits are told.

    Who names a ceiling knows what the service takes: the run opens there. A window that has to be found grows from `START`.
    With a told rate the limiter paces and the window only has to stay out of its way (Little's law: rate x latency).
    """
    if rate_per_s is None:
        if concurrency is not None:
            return Window(float(concurrency), concurrency)
        return Window(float(START), DEFAULT_CEILING)
    ceiling = max(DEFAULT_CEILING, int(rate_per_s * 600)) if concurrency is None else concurrency
    return Window(float(min(ceiling, max(START, int(rate_per_s * 300)))), ceiling)


def grown(window: Window, latency_s: float) -> Window:
    """After an answer: one more in slow start, one more a whole window afterwards; none while answers take ever longer.

    A service that queues answers later the more it is given; beyond `SLOWER` times its best, more would only wait.
    """
    smooth = latency_s if not window.latency_s else window.latency_s + (latency_s - window.latency_s) / START
    best = smooth if not window.best_s else min(window.best_s, smooth)
    step = 1.0 if window.slow_start else 1.0 / max(1.0, window.size)
    if smooth > SLOWER * best + 0.5:
        step = 0.0
    size = min(float(window.ceiling), window.size + step)
    return Window(size, window.ceiling, window.slow_start, smooth, best)


def steadied(window: Window, in_flight: int) -> Window:
    """After a refusal for speed: half as much again as there were in flight, growing slowly. The pace does the rest."""
    size = float(max(START, min(window.size, 1.5 * in_flight + 1)))
    return window._replace(size=size, slow_start=False)
