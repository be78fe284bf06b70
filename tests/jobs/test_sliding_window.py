"""Told limits: no window ever holds more than the limit, however the requests come and whenever they really leave."""

from __future__ import annotations

from heapq import heappop, heappush

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.sliding_window import LOOK_S, WindowEntry, WindowLog, margin_s, spacing

AMOUNTS = st.lists(st.integers(1, 10), min_size=1, max_size=60)


def worst(sent: list[tuple[float, float]], window_s: float) -> float:
    """The most that any window of this length holds."""
    return max(sum(amount for at, amount in sent if start <= at < start + window_s) for start, _ in sent)


def send_all(
    log: WindowLog, amounts: list[int], late: list[float], think: list[float]
) -> list[tuple[float, float]]:
    """Send each as soon as it is allowed; it leaves `late` seconds after its permit. (true time, amount) pairs."""
    now, sent = 0.0, list[tuple[float, float]]()
    opening: list[tuple[float, int, WindowEntry]] = []

    def pass_until(moment: float) -> float:
        while opening and opening[0][0] <= moment:
            at, _, entry = heappop(opening)
            log.leave(entry, at)
        return moment

    for i, amount in enumerate(amounts):
        now = pass_until(now + think[i % len(think)])
        while (ready := log.ready_at(now, amount)) > now:
            now = pass_until(ready)
        leaves = now + late[i % len(late)]
        heappush(opening, (leaves, i, log.add(now, amount, has_left=False)))
        sent.append((leaves, amount))
    return sent


@given(
    amounts=AMOUNTS,
    limit=st.integers(10, 40),
    late=st.lists(st.floats(0, 3.5), min_size=1, max_size=5),
    think=st.lists(st.floats(0, 0.3), min_size=1, max_size=5),
)
def test_no_window_holds_more_than_the_limit(
    amounts: list[int], limit: int, late: list[float], think: list[float]
) -> None:
    sent = send_all(WindowLog(limit, 1.0, 0.01), amounts, late, think)
    assert worst(sent, 1.0) <= limit


def test_the_whole_allowance_is_used() -> None:
    log = WindowLog(5, 60.0, 0.3)
    sent = send_all(log, [1] * 50, [0.0], [0.0])
    assert sent[-1][0] == pytest.approx(9 * 60.3)


def test_a_request_heavier_than_the_limit_waits_for_an_empty_window_and_fills_several() -> None:
    log = WindowLog(5, 60.0, 0.0)
    log.add(0.0, 1)
    assert log.ready_at(1.0, 10) == 60.0
    log.add(60.0, 10)
    assert log.ready_at(61.0, 1) == 180.0


def test_a_permit_counts_from_the_moment_its_request_leaves() -> None:
    log = WindowLog(1, 1.0, 0.0)
    entry = log.add(0.0, 1, has_left=False)
    log.leave(entry, 0.4)
    assert log.ready_at(0.5, 1) == pytest.approx(1.4)


def test_a_permit_counts_for_as_long_as_its_request_may_leave() -> None:
    log = WindowLog(2, 1.0, 0.0)
    slow, refused = log.add(0.0, 1, has_left=False), log.add(0.0, 1, has_left=False)
    assert log.ready_at(3.0, 1) == 3.0 + LOOK_S
    log.give_back(refused)
    assert log.ready_at(3.0, 1) == 3.0
    log.add(3.0, 1)
    log.leave(slow, 3.5)
    assert log.ready_at(3.6, 1) == 4.0
    assert log.ready_at(4.1, 2) == 4.5


def test_a_permit_that_is_given_back_soon_counts_for_a_window_from_when_it_was_given() -> None:
    log = WindowLog(1, 1.0, 0.0)
    log.give_back(log.add(0.0, 1, has_left=False))
    assert log.ready_at(0.5, 1) == 1.0
    assert log.ready_at(1.0, 1) == 1.0


@pytest.mark.parametrize(
    ("rate", "window_s"), [(1, 60), (5, 60), (60, 60), (50, 1), (5000, 1), (300_000, 60)]
)
def test_the_bucket_spreads_at_the_full_rate(rate: float, window_s: float) -> None:
    burst, period = spacing(rate, window_s)
    assert burst / period == pytest.approx(rate / window_s)
    assert 1 <= burst <= max(2, 0.01 * rate)


@pytest.mark.parametrize(("rate", "burst"), [(60, 10), (5, 5), (5000, 50)])
def test_the_bucket_has_room_for_the_heaviest_request(rate: float, burst: float) -> None:
    assert spacing(rate, 60, heaviest=10) == pytest.approx((burst, burst * 60 / rate))


def test_the_margin_costs_half_a_percent_of_long_windows() -> None:
    assert margin_s(60, 5) == pytest.approx(0.3)
    assert margin_s(1, 500) == pytest.approx(0.018)
    assert margin_s(1, 50) == pytest.approx(0.03)
    assert margin_s(0.1, 500) == pytest.approx(0.0018)
