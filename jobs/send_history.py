"""Requests of the recent past, so that a limit that becomes known during a run can count them. Memory is bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

_STEPS = 6000
_LONGEST_STEP_S = 0.05
_BEYOND = 1.1
"""Factor on the span: a request counts for a little longer than its window."""


class Weight(NamedTuple):
    """How much of each allowance one or several requests use."""

    images: int
    tokens: float
    requests: int = 1

    def amount_of(self, unit: str) -> float:
        """Their weight in `requests`, `images` or `tokens`."""
        return {"requests": float(self.requests), "images": float(self.images), "tokens": self.tokens}[unit]

    def plus(self, other: Weight) -> Weight:
        """The sum of both."""
        return Weight(self.images + other.images, self.tokens + other.tokens, self.requests + other.requests)


@dataclass(slots=True)
class _Step:
    began: float
    at: float
    weight: Weight


class SendHistory:
    """Requests of the last `span_s` seconds, and somewhat more. Requests within a few milliseconds are one step, timed by
    its last request.

    Times are seconds on one clock, and do not fall.
    """

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s * _BEYOND
        self._step_s = min(_LONGEST_STEP_S, span_s / _STEPS)
        self._steps: deque[_Step] = deque()

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, at: float, weight: Weight) -> None:
        """Remember a request that is sent now."""
        last = self._steps[-1] if self._steps else None
        if last is not None and at - last.began < self._step_s:
            last.at, last.weight = max(last.at, at), last.weight.plus(weight)
            return
        self._steps.append(_Step(at, at, weight))
        while self._steps[0].at < at - self._span_s:
            self._steps.popleft()

    def since(self, moment: float) -> int:
        """How many requests were sent after this."""
        return sum(step.weight.requests for step in self._steps if step.at > moment)

    def amounts(self, unit: str) -> Iterator[tuple[float, float]]:
        """(when, how much of a unit) of each request, oldest first; those of one step share what they took alike."""
        for step in self._steps:
            share = step.weight.amount_of(unit) / step.weight.requests
            for _ in range(step.weight.requests):
                yield step.at, share
