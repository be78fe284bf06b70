"""How many requests may be in flight: a window that grows while the service keeps up."""

from __future__ import annotations

from typing import NamedTuple

START = 16
DEFAULT_CEILING = 1024
SLOWER = 2.5


class ConcurrencyWindow(NamedTuple):
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


def initial_window(concurrency: int | None, rate_per_s: float | None) -> ConcurrencyWindow:
    """The window at the start of a run. concurrency: the user's ceiling. rate_per_s: requests a second that the user allows.

    A user who names a ceiling knows what the service takes, so the run starts there. Without one the window grows from
    `START`. With a given rate the limiter does the pacing; the window only has to be large enough (Little's law: rate x
    latency).
    """
    if rate_per_s is None:
        if concurrency is not None:
            return ConcurrencyWindow(float(concurrency), concurrency)
        return ConcurrencyWindow(float(START), DEFAULT_CEILING)
    ceiling = max(DEFAULT_CEILING, int(rate_per_s * 600)) if concurrency is None else concurrency
    return ConcurrencyWindow(float(min(ceiling, max(START, int(rate_per_s * 300)))), ceiling)


def after_success(window: ConcurrencyWindow, latency_s: float) -> ConcurrencyWindow:
    """The window after an answer: one larger in slow start, later one larger for each whole window of answers.

    It does not grow while answers take more than `SLOWER` times the best latency: that service queues, and more requests
    would only wait.
    """
    smooth = latency_s if not window.latency_s else window.latency_s + (latency_s - window.latency_s) / START
    best = smooth if not window.best_s else min(window.best_s, smooth)
    step = 1.0 if window.slow_start else 1.0 / max(1.0, window.size)
    if smooth > SLOWER * best + 0.5:
        step = 0.0
    size = min(float(window.ceiling), window.size + step)
    return ConcurrencyWindow(size, window.ceiling, window.slow_start, smooth, best)


def after_refusal(window: ConcurrencyWindow, in_flight: int) -> ConcurrencyWindow:
    """The window after a refusal for speed: 1.5 times what was in flight, no slow start. The rate limiter does the rest."""
    size = float(max(START, min(window.size, 1.5 * in_flight + 1)))
    return window._replace(size=size, slow_start=False)
