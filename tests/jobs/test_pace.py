"""The concurrency window's arithmetic, and the leaky bucket that never lets a window hold more than its rate."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.pace import DEFAULT_CEILING, START, Window, bucket, grown, halved, opening


@pytest.mark.parametrize(
    ("concurrency", "rate_per_s", "size", "ceiling"),
    [
        (None, None, START, DEFAULT_CEILING),
        (4, None, 4, 4),
        (4, 100.0, 4, 4),
        (1000, None, START, 1000),
        (None, 5 / 60, 25, DEFAULT_CEILING),
        (None, 250 / 60, 1250, 2500),
        (None, 0.001, START, DEFAULT_CEILING),
    ],
)
def test_the_first_window(concurrency: int | None, rate_per_s: float | None, size: int, ceiling: int) -> None:
    window = opening(concurrency, rate_per_s)
    assert (window.limit, window.ceiling) == (size, ceiling)


def test_slow_start_doubles_a_window_each_round_trip() -> None:
    window = opening(100, None)
    for _ in range(START):
        window = grown(window)
    assert window.limit == 2 * START


def test_after_a_refusal_the_window_grows_by_one_each_round_trip() -> None:
    window = halved(opening(100, None), now=0.0, hold_s=1.0)
    before = window.limit
    for _ in range(before + 1):
        window = grown(window)
    assert window.limit == before + 1


def test_one_burst_of_refusals_halves_once() -> None:
    window = Window(64.0, 100)
    window = halved(window, now=10.0, hold_s=5.0)
    for moment in (10.0, 12.0, 14.9):
        window = halved(window, now=moment, hold_s=5.0)
    assert window.limit == 32
    assert halved(window, now=15.0, hold_s=5.0).limit == 16


def test_a_short_hint_still_holds_for_a_second() -> None:
    window = halved(Window(64.0, 100), now=10.0, hold_s=0.0)
    assert halved(window, now=10.9, hold_s=0.0).limit == 32
    assert halved(window, now=11.0, hold_s=0.0).limit == 16


@given(st.integers(1, 500), st.lists(st.booleans(), max_size=300))
def test_the_window_stays_between_one_and_its_ceiling(ceiling: int, answers: list[bool]) -> None:
    window = opening(ceiling, None)
    for now, good in enumerate(answers):
        window = grown(window) if good else halved(window, now=float(now * 10), hold_s=1.0)
        assert 1 <= window.limit <= ceiling


def test_a_window_below_one_still_lets_one_through() -> None:
    assert replace(Window(1.0, 10), size=0.2).limit == 1


def grants(rate: Fraction, window_s: Fraction, permits: int) -> list[Fraction]:
    """When a greedy taker gets its permits from the bucket, in exact arithmetic (aiolimiter's rule: fill + 1 <= max)."""
    told, period = bucket(float(rate), float(window_s))
    burst, leak = Fraction(told), Fraction(told) / Fraction(period)
    level, now, times = Fraction(0), Fraction(0), []
    for _ in range(permits):
        wait = max(Fraction(0), (level + 1 - burst) / leak)
        now += wait
        level = max(Fraction(0), level - wait * leak) + 1
        times.append(now)
    return times


def most_in_a_window(times: list[Fraction], window_s: Fraction) -> int:
    """The most grants that any half-open window holds."""
    first, most = 0, 0
    for last, time in enumerate(times):
        while times[first] <= time - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


SLACK = Fraction(1, 10**9)
"""Of a window's length: what floating point may take from the period."""

RATES = st.integers(1, 150).map(Fraction) | st.fractions(Fraction(1, 20), 120, max_denominator=20)


@given(RATES, st.sampled_from([Fraction(1), Fraction(60), Fraction(7, 2)]))
@example(Fraction(1000), Fraction(60))
@example(Fraction(1499, 2), Fraction(60))
def test_no_window_holds_more_than_the_rate(rate: Fraction, window_s: Fraction) -> None:
    times = grants(rate, window_s, 2 * int(rate) + 3)
    assert most_in_a_window(times, window_s * (1 - SLACK)) <= max(1, rate)


@given(st.fractions(Fraction(1, 50), Fraction(49, 50), max_denominator=50))
def test_a_rate_below_one_a_window_is_kept_over_many_windows(rate: Fraction) -> None:
    assert grants(rate, Fraction(60), 4)[-1] >= 3 * 60 / rate


@given(RATES)
@example(Fraction(1000))
def test_the_rate_is_reached_but_for_a_few_hundredths(rate: Fraction) -> None:
    whole = Fraction(int(rate)) if rate >= 1 else rate
    permits = 2 * int(rate) + 3
    assert grants(rate, Fraction(60), permits)[-1] <= 60 * permits / whole * Fraction(103, 100)


def test_a_bucket_takes_a_whole_permit() -> None:
    assert all(bucket(rate, 60.0)[0] >= 1.0 for rate in (0.01, 0.5, 1, 1.01, 2, 49, 50, 99, 5000, 1e6))
