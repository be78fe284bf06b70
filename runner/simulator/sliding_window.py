"""Rate limits as strict sliding windows: no span of `window_s` seconds ever admits more than the limit."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from runner.simulator.requests.errors import rate_limit_error

_EXACT = 1e-9
"""Sums of fractions are exact to this."""


@dataclass(frozen=True, slots=True)
class Limits:
    """rpm requests and ipm images in any `window_s` seconds; None means no limit.

    announced: answers carry `x-ratelimit-*`. hints: a 429 says when to come back, in its headers and its message.
    """

    rpm: float | None = None
    ipm: float | None = None
    window_s: float = 60.0
    announced: bool = True
    hints: bool = True


class Window:
    """What happened within the last `span_s` seconds, and the most that any such span ever held."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._events: deque[tuple[float, float]] = deque()
        self._used = 0.0
        self.worst = 0.0

    def used(self, now: float) -> float:
        """Sum of the weights in the window that ends at `now`."""
        while self._events and now >= self._events[0][0]:
            self._used -= self._events.popleft()[1]
        if not self._events:
            self._used = 0.0
        return self._used

    def add(self, now: float, weight: float, limit: float | None = None) -> None:
        """Record `weight` at `now`, which never runs backwards; one above the limit fills as many windows as it weighs."""
        windows = 1 if limit is None else max(1, math.ceil(weight / limit))
        counted = weight if limit is None else min(weight, limit)
        self._used = self.used(now) + counted
        self._events.append((now + windows * self._span_s, counted))
        self.worst = max(self.worst, self._used)

    def wait_s(self, now: float, weight: float, limit: float) -> float:
        """Seconds from `now` until `weight` more may come under `limit`: for one above the limit, an empty window."""
        excess = self.used(now) + min(weight, limit) - limit
        for leaves, freed in self._events:
            if excess <= _EXACT:
                break
            excess -= freed
            if excess <= _EXACT:
                return leaves - now
        return 0.0

    def clear_in_s(self, now: float) -> float:
        """Seconds from `now` until the window is empty."""
        return self._events[-1][0] - now if self.used(now) else 0.0


class Limiter:
    """Admits requests under `limits`, which may be replaced. `now`: seconds on any clock that never runs backwards."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.requests = Window(limits.window_s)
        self.images = Window(limits.window_s)
        self.arrivals = Window(limits.window_s)
        self._admitted: tuple[float, float] | None = None

    @property
    def admitting_s(self) -> float:
        """Seconds from the first admission to the last."""
        return 0.0 if self._admitted is None else self._admitted[1] - self._admitted[0]

    def admit(self, now: float, images: int) -> None:
        """Count one request for `images` images, or raise the 429 that the service would send and count nothing."""
        self.arrivals.add(now, 1)
        for what, limit, window, weight in (
            ("requests", self.limits.rpm, self.requests, 1),
            ("images", self.limits.ipm, self.images, images),
        ):
            if limit is not None and (wait_s := window.wait_s(now, weight, limit)) > 0:
                told_s = wait_s if self.limits.hints else None
                raise rate_limit_error(what, limit, window.used(now), weight, told_s)
        self._admitted = (now if self._admitted is None else self._admitted[0], now)
        self.requests.add(now, 1, self.limits.rpm)
        self.images.add(now, images, self.limits.ipm)

    def headers(self, now: float) -> dict[str, str]:
        """`x-ratelimit-{limit,remaining,reset}-{requests,images}` for the limits that are set and announced."""
        if not self.limits.announced:
            return {}
        found: dict[str, str] = {}
        for what, limit, window in (
            ("requests", self.limits.rpm, self.requests),
            ("images", self.limits.ipm, self.images),
        ):
            if limit is not None:
                found[f"x-ratelimit-limit-{what}"] = f"{limit:g}"
                found[f"x-ratelimit-remaining-{what}"] = f"{max(0.0, limit - window.used(now)):g}"
                found[f"x-ratelimit-reset-{what}"] = reset_time(window.clear_in_s(now))
        return found


def reset_time(seconds: float) -> str:
    """`1.5s` or `6m0s`, as OpenAI writes reset times."""
    if seconds < 60:
        return f"{round(seconds, 3):g}s"
    return f"{int(seconds // 60)}m{round(seconds % 60):g}s"
