"""How fast a run goes lately."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

SPAN_S = 600.0
"""The longest time that a pace is taken from: a run of days notices within minutes that its service has become slower."""
_ENOUGH = 20
"""Images that say something of the pace; with fewer, the whole run is looked at."""


class Point(NamedTuple):
    """How far a run was at a time (the event loop's clock): images made, and images settled in any way."""

    at: float
    made: int = 0
    settled: int = 0


class Pace:
    """The pace over the newer half of the run so far, at most `SPAN_S`: without the time that it took to get going."""

    def __init__(self, started: float) -> None:
        self._first = self._last = Point(started)
        self._points = deque([self._first])

    def add(self, point: Point) -> None:
        """How far the run is now."""
        self._last = point
        self._points.append(point)
        oldest = point.at - min(SPAN_S, (point.at - self._first.at) / 2)
        while len(self._points) > 2 and self._points[1].at <= oldest:
            self._points.popleft()

    @property
    def made_per_minute(self) -> float:
        """Images made."""
        since = self._since
        return _per_minute(self._last.made - since.made, self._last.at - since.at)

    @property
    def settled_per_minute(self) -> float:
        """Images made, failed or parked."""
        since = self._since
        return _per_minute(self._last.settled - since.settled, self._last.at - since.at)

    @property
    def _since(self) -> Point:
        lately = self._points[0]
        short = self._last.at - self._first.at < SPAN_S
        return self._first if short and self._last.settled - lately.settled < _ENOUGH else lately


def _per_minute(count: int, seconds: float) -> float:
    return 60 * count / seconds if seconds > 0 else 0.0
