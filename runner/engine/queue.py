"""Rows that wait for their next attempt."""

from __future__ import annotations

import heapq
import itertools

from jobs.work import Work


class Waiting:
    """Rows that wait for their next attempt. They hold no slot and no permit."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Work]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, work: Work, not_before: float) -> None:
        """Wait until this time (seconds, the event loop's clock)."""
        heapq.heappush(self._heap, (not_before, next(self._order), work))

    def due(self, now: float) -> Work | None:
        """A row whose time has come, earliest first."""
        if self._heap and self._heap[0][0] <= now:
            return heapq.heappop(self._heap)[2]
        return None

    def next_due(self) -> float | None:
        """When the earliest row's time comes; None when none waits."""
        return self._heap[0][0] if self._heap else None
