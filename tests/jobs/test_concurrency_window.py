"""The concurrency window's arithmetic: slow start, a steady size after refusals, no growth while answers slow down."""

from __future__ import annotations

import pytest

from jobs.concurrency_window import (
    DEFAULT_CEILING,
    START,
    ConcurrencyWindow,
    after_refusal,
    after_success,
    initial_window,
)


@pytest.mark.parametrize(
    ("concurrency", "rate_per_s", "size", "ceiling"),
    [
        (None, None, START, DEFAULT_CEILING),
        (4, None, 4, 4),
        (4, 100.0, 4, 4),
        (1000, None, 1000, 1000),
        (1000, 50.0, 1000, 1000),
        (None, 5 / 60, 25, DEFAULT_CEILING),
        (None, 250 / 60, 1250, 2500),
        (None, 0.001, START, DEFAULT_CEILING),
    ],
)
def test_the_first_window(concurrency: int | None, rate_per_s: float | None, size: int, ceiling: int) -> None:
    window = initial_window(concurrency, rate_per_s)
    assert (window.limit, window.ceiling) == (size, ceiling)


def test_a_told_rate_keeps_enough_in_flight_for_slow_answers() -> None:
    assert initial_window(None, 250 / 60).limit >= 250 * 195 / 60


def test_slow_start_doubles_a_window_each_round_trip() -> None:
    window = initial_window(None, None)
    for _ in range(START):
        window = after_success(window, 1.0)
    assert window.limit == 2 * START


def test_after_a_refusal_the_window_has_some_room_and_grows_by_one_each_round_trip() -> None:
    window = after_refusal(ConcurrencyWindow(80.0, 100), in_flight=26)
    assert window.limit == 40
    for _ in range(41):
        window = after_success(window, 1.0)
    assert window.limit == 41


def test_a_refusal_of_the_very_first_requests_leaves_room_to_go_on() -> None:
    assert after_refusal(initial_window(None, None), in_flight=0).limit == START


def test_the_ceiling_holds() -> None:
    window = ConcurrencyWindow(START, 20)
    for _ in range(100):
        window = after_success(window, 1.0)
    assert window.limit == 20


def test_a_service_that_queues_is_not_given_ever_more() -> None:
    window = initial_window(None, None)
    sizes = []
    for _ in range(400):
        window = after_success(window, 0.5 * window.limit)
        sizes.append(window.limit)
    assert sizes[-1] < 5 * START
    assert sizes[-1] == sizes[-100]
