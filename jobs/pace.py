"""How many requests may be in flight: a window that grows while the service keeps up and halves when it says "later"."""

from __future__ import annotations

from dataclasses import dataclass, replace

START = 16
DEFAULT_CEILING = 256


@dataclass(frozen=True, slots=True)
class Window:
    """size: requests that may be in flight now. ceiling: never more. slow_start: still doubling each round trip.

    held_until: monotonic seconds; one burst of refusals halves the window once, so until then no further halving.
    """

    size: float
    ceiling: int
    slow_start: bool = True
    held_until: float = 0.0

    @property
    def limit(self) -> int:
        """The window as a whole number of requests, at least 1."""
        return max(1, min(self.ceiling, int(self.size)))


def opening(concurrency: int | None, rate_per_s: float | None) -> Window:
    """The first window. concurrency: the user's ceiling. rate_per_s: requests allowed a second, when limits are told.

    With a told rate the limiter paces and the window only has to stay out of its way (Little's law: rate x latency).
    """
    if concurrency is not None:
        return Window(float(min(START, concurrency)), concurrency)
    if rate_per_s is not None:
        ceiling = max(DEFAULT_CEILING, int(rate_per_s * 600))
        return Window(float(min(ceiling, max(START, int(rate_per_s * 300)))), ceiling)
    return Window(float(START), DEFAULT_CEILING)


def grown(window: Window) -> Window:
    """After an answer: one more in slow start, one more a whole window afterwards."""
    step = 1.0 if window.slow_start else 1.0 / max(1.0, window.size)
    return replace(window, size=min(float(window.ceiling), window.size + step))


def halved(window: Window, *, now: float, hold_s: float) -> Window:
    """After a refusal for speed: half, once a burst."""
    if now < window.held_until:
        return window
    return replace(
        window, size=max(1.0, window.size / 2), slow_start=False, held_until=now + max(1.0, hold_s)
    )


def bucket(rate: float, window_s: float) -> tuple[float, float]:
    """(max_rate, time_period) for a leaky bucket that never lets more than `rate` through any `window_s` seconds.

    A bucket of b that leaks l a second admits at most b + l·window_s in a window; so l = (rate - b) / window_s.
    A bucket of one only spaces its permits: a little more than the whole rate's share of the window between them.
    Source: measured for aiolimiter, which otherwise admits up to twice the rate in its first window.
    """
    burst = int(rate * 0.02)
    if burst < 2:
        whole = float(int(rate)) if rate >= 1 else rate
        return 1.0, window_s / whole * 1.01
    return float(burst), burst * window_s / (rate - burst)
