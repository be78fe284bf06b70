"""The pace found by trial, against a model of a service that enforces a limit it does not tell."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from jobs import adaptive_rate


@dataclass
class Service:
    """Admits `limit` requests in any second (which may change with time); says when the next one would fit."""

    limit: Callable[[float], int]
    admitted: list[float] = field(default_factory=list)
    window: deque[float] = field(default_factory=deque)

    def take(self, now: float) -> float:
        """0 when admitted, else seconds to wait."""
        while self.window and now - self.window[0] >= 1.0:
            self.window.popleft()
        if len(self.window) < self.limit(now):
            self.window.append(now)
            self.admitted.append(now)
            return 0.0
        return max(0.01, 1.0 - (now - self.window[len(self.window) - self.limit(now)]))


def drive(service: Service, seconds: float) -> int:
    """Send at the found pace for so long; the number of refusals."""
    now, refusals, pace = 0.0, 0, None
    while now < seconds:
        wait = service.take(now)
        if wait:
            refusals += 1
            pace = (
                adaptive_rate.after_first_refusal(
                    len(service.admitted), now, len(service.window), now, now + wait
                )
                if pace is None
                else adaptive_rate.after_refusal(pace, now, now + wait, len(service.admitted))
            )
            now += wait
        now += 1 / (pace.rate(now) if pace is not None else 400.0)
    return refusals


def share(service: Service, start: float, end: float) -> float:
    """Admitted between two moments, of what the limit allowed."""
    allowed = sum(service.limit(start + i * 0.1) * 0.1 for i in range(round((end - start) * 10)))
    return sum(start <= at < end for at in service.admitted) / allowed


@pytest.mark.parametrize("limit", [20, 100, 300])
def test_a_steady_limit_is_used_and_seldom_hit(limit: int) -> None:
    service = Service(lambda _now: limit)
    refusals = drive(service, 300)
    assert share(service, 0, 300) >= 0.95
    assert refusals <= 0.01 * len(service.admitted)


def test_a_halved_limit_is_found_and_so_is_its_return() -> None:
    service = Service(lambda now: 50 if 100 <= now < 200 else 100)
    refusals = drive(service, 300)
    assert share(service, 110, 200) >= 0.95
    assert share(service, 220, 300) >= 0.95
    assert refusals <= 0.01 * len(service.admitted)


def test_refusals_of_one_burst_count_once() -> None:
    pace = adaptive_rate.after_first_refusal(100, 10.0, 10.0, 10.0, 10.1)
    assert adaptive_rate.after_refusal(pace, 10.2, 10.3, 101) == pace


def test_a_refusal_that_costs_a_long_wait_is_not_risked_soon_again() -> None:
    pace = adaptive_rate.after_first_refusal(100, 10.0, 10.0, 10.0, 10.01)
    assert (
        adaptive_rate.after_refusal(pace, 30.0, 30.8, 300).flat_s
        > adaptive_rate.after_refusal(pace, 30.0, 30.01, 300).flat_s
    )


def test_a_long_wait_tells_of_a_long_window() -> None:
    assert adaptive_rate.after_first_refusal(600, 20.0, 100.0, 20.0, 60.0).best == 10.0
