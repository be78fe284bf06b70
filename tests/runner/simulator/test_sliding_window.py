"""Limits are strict sliding windows; refusals say when to come back and count for nothing."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.simulator.requests.errors import ServiceError
from runner.simulator.sliding_window import Limiter, Limits
from tests.support.simulator import Start

ARRIVALS = st.lists(st.tuples(st.floats(0, 3), st.integers(1, 10)), min_size=1, max_size=60)


@given(ARRIVALS)
def test_no_window_ever_holds_more(arrivals: list[tuple[float, int]]) -> None:
    limiter = Limiter(Limits(rpm=5, ipm=17, window_s=10))
    now, admitted = 0.0, []
    for gap, images in arrivals:
        now += gap
        try:
            limiter.admit(now, images)
        except ServiceError:
            continue
        admitted.append((now, images))
    for start, _ in admitted:
        inside = [images for at, images in admitted if 0 <= at - start < 10]
        assert len(inside) <= 5
        assert sum(inside) <= 17
    assert limiter.requests.worst == max(
        (sum(1 for at, _ in admitted if end - 10 < at <= end) for end, _ in admitted), default=0
    )


@given(ARRIVALS)
def test_the_hint_is_exact(arrivals: list[tuple[float, int]]) -> None:
    limiter, now = Limiter(Limits(rpm=5, ipm=17, window_s=10)), 0.0
    for gap, images in arrivals:
        now += gap
        try:
            limiter.admit(now, images)
        except ServiceError as refusal:
            now += int(refusal.headers["retry-after-ms"]) / 1000
            while limiter.limits.ipm and limiter.images.used(now) + images > limiter.limits.ipm:
                now += limiter.images.wait_s(now, images, limiter.limits.ipm) + 1e-9
            limiter.admit(now, images)


def test_a_refusal_says_when() -> None:
    limiter = Limiter(Limits(rpm=2, window_s=60))
    limiter.admit(0.0, 1)
    limiter.admit(30.0, 1)
    with pytest.raises(
        ServiceError, match=r"on requests per min: Limit 2, Used 2, Requested 1.*try again in 19\.00"
    ) as caught:
        limiter.admit(41.0, 1)
    assert caught.value.headers == {"Retry-After": "20", "retry-after-ms": "19001"}
    limiter.admit(60.0, 1)


def test_more_images_than_the_limit_need_an_empty_window_and_fill_several() -> None:
    limiter = Limiter(Limits(ipm=5, window_s=60))
    limiter.admit(0.0, 1)
    with pytest.raises(ServiceError) as caught:
        limiter.admit(20.0, 10)
    assert caught.value.headers["Retry-After"] == "41"
    limiter.admit(60.0, 10)
    with pytest.raises(ServiceError) as caught:
        limiter.admit(120.0, 1)
    assert caught.value.headers["Retry-After"] == "61"
    limiter.admit(180.0, 1)
    assert limiter.images.worst == 5


def test_a_refusal_without_a_hint() -> None:
    limiter = Limiter(Limits(rpm=1, hints=False))
    limiter.admit(0.0, 1)
    with pytest.raises(ServiceError, match=r"Limit 1, Used 1, Requested 1\.$") as caught:
        limiter.admit(1.0, 1)
    assert caught.value.headers == {}


def test_lowered_limits_count_what_was_admitted_before() -> None:
    limiter = Limiter(Limits(rpm=4, window_s=10))
    for second in range(4):
        limiter.admit(float(second), 1)
    limiter.limits = Limits(rpm=2, window_s=10)
    with pytest.raises(ServiceError):
        limiter.admit(11.9, 1)
    limiter.admit(12.0, 1)
    limiter.limits = Limits(rpm=4, window_s=10)
    limiter.admit(12.0, 1)


def test_unannounced_limits_and_an_outage_on_the_wire(simulate: Start) -> None:
    simulator = simulate(
        scenario="""
        latency = { median = 0 }
        limits = { rpm = 1, announced = false, hints = false }
        limits_change = [{ after = 0, rpm = 2 }, { after = 3600, rpm = 9 }]
        [[outage]]
        after = 0
        seconds = 0.2
        kind = "overloaded"
        retry_after = 7
        """
    )
    out = simulator.order()
    assert (out.status, out.headers["retry-after"]) == (503, "7")
    while (reply := simulator.order()).status == 503:
        time.sleep(0.02)
    replies = [reply, simulator.order(), simulator.order()]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert not [name for reply in replies for name in reply.headers if "ratelimit" in name or "retry" in name]
    stats = simulator.stats()
    assert (stats["billed_images"], stats["worst_window_requests"]) == (2, 2)
    assert stats["faults"]["overloaded"] == stats["statuses"]["503"]


def test_on_the_wire(simulate: Start) -> None:
    simulator = simulate("--latency", "0", "--rpm", "100", "--ipm", "5")
    first = simulator.order(n=4)
    assert first.headers["x-ratelimit-limit-images"] == "5"
    assert first.headers["x-ratelimit-remaining-images"] == "1"
    assert first.headers["x-ratelimit-remaining-requests"] == "99"
    assert first.headers["x-ratelimit-reset-images"].endswith("s")
    refused = simulator.order(n=2)
    assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
    assert "on images per min: Limit 5, Used 4, Requested 2. Please try again in" in refused.error["message"]
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert 0 < int(refused.headers["retry-after-ms"]) <= 60_001
    assert simulator.order(n=1).status == 200
    stats = simulator.stats()
    assert (stats["requests"], stats["billed_images"], stats["refused"]) == (3, 5, 1)
    assert (stats["worst_window_requests"], stats["worst_window_images"], stats["worst_window_arrivals"]) == (
        2,
        5,
        3,
    )


def test_invalid_requests_take_nothing_from_a_limit(simulate: Start) -> None:
    simulator = simulate(scenario="latency = { median = 0 }\nlimits = { rpm = 1, window_s = 3600 }")
    assert [simulator.order(n=0).status for _ in range(3)] == [400] * 3
    assert [simulator.order().status for _ in range(2)] == [200, 429]
    assert simulator.stats()["refused"] == 4


def test_options_go_before_the_scenario(simulate: Start) -> None:
    simulator = simulate(
        "--rpm", "1", "--latency", "0", scenario="limits = { rpm = 50, ipm = 3 }\nlatency = { median = 60 }"
    )
    reply = simulator.order()
    assert reply.headers["x-ratelimit-limit-requests"] == "1"
    assert reply.headers["x-ratelimit-limit-images"] == "3"
