"""Permits on a clock of the test's own: what was told is never exceeded, and one gate holds everybody."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from jobs.rate_headers import ReportedRate
from jobs.send_history import Weight
from runner.limits.rate_limiter import AdaptiveRateLimiter, GrantedPermit
from schemas.job import LimitsTable
from tests.support.clock import run_idle


def limiter(earlier: list[tuple[float, int]] | None = None, **limits: Any) -> AdaptiveRateLimiter:
    """A pacer with these limits, started."""
    made = AdaptiveRateLimiter(LimitsTable.model_validate(limits), earlier or [])
    made.start()
    return made


def now() -> float:
    """The loop's clock."""
    return asyncio.get_running_loop().time()


async def sends(made: AdaptiveRateLimiter, weights: list[int]) -> list[tuple[float, int]]:
    """(moment, images) of each request of a greedy sender."""
    sent = []
    for images in weights:
        permit = await made.permit(Weight(images, 0.0))
        permit.sent(now())
        sent.append((now(), images))
    return sent


def most(sent: list[tuple[float, int]], window_s: float, *, images: bool) -> int:
    """The most requests or images that any window holds, its end excluded."""
    return max(
        sum(weight if images else 1 for at, weight in sent if start <= at < start + window_s)
        for start, _ in sent
    )


@effort(max_examples=40)
@given(
    st.integers(1, 60),
    st.integers(10, 60),
    st.sampled_from([1.0, 60.0]),
    st.lists(st.integers(1, 10), min_size=1, max_size=60),
)
def test_no_window_ever_holds_more_than_was_told(
    rpm: int, ipm: int, window_s: float, weights: list[int]
) -> None:
    async def main() -> list[tuple[float, int]]:
        minute = 60 / window_s
        return await sends(limiter(rpm=rpm * minute, ipm=ipm * minute, window_s=window_s), weights)

    sent = run_idle(main())
    assert most(sent, window_s, images=False) <= rpm
    assert most(sent, window_s, images=True) <= ipm


def test_the_told_rate_is_used_and_spread_over_the_window() -> None:
    async def main() -> list[tuple[float, int]]:
        return await sends(limiter(rpm=60), [1] * 300)

    sent = run_idle(main())
    length = sent[-1][0] - sent[0][0]
    assert 298 <= length <= 310
    assert most(sent, 5.0, images=False) <= 7


def test_requests_of_an_earlier_run_count_within_the_window() -> None:
    async def main() -> float:
        started = now()
        await sends(limiter([(20.0, 1)] * 5, rpm=5), [1])
        return now() - started

    assert run_idle(main()) == pytest.approx(40.3, abs=0.1)


def test_a_request_counts_from_when_it_really_left() -> None:
    async def main() -> float:
        made = limiter(rpm=6, window_s=10.0)
        permit = await made.permit(Weight(1, 0.0))
        await asyncio.sleep(4.0)
        permit.sent(now())
        left = now()
        await made.permit(Weight(1, 0.0))
        return now() - left

    assert run_idle(main()) >= 10.0


@pytest.mark.parametrize("leaves", [True, False])
def test_a_request_that_opens_its_connection_for_long_counts_meanwhile(leaves: bool) -> None:
    async def main() -> float:
        made = limiter(rpm=30, window_s=2.0)
        permit = await made.permit(Weight(1, 0.0))
        waiting = asyncio.create_task(made.permit(Weight(1, 0.0)))
        await asyncio.sleep(9.0)
        assert not waiting.done()
        if leaves:
            permit.sent(now())
        else:
            permit.unused()
        opened = now()
        await waiting
        return now() - opened

    waited = run_idle(main())
    assert waited >= 2.0 if leaves else waited < 0.1


def test_without_limits_nobody_waits() -> None:
    async def main() -> tuple[float, str]:
        made = limiter()
        started = now()
        await sends(made, [10] * 1000)
        return now() - started, made.waiting_reason

    waited, told = run_idle(main())
    assert waited < 0.01
    assert told == ""


def test_a_closed_gate_holds_everybody_and_the_longest_closure_counts() -> None:
    async def main() -> tuple[float, str]:
        made = limiter()
        started = now()
        made.close_gate(30.0, "service busy (429)")
        made.close_gate(5.0, "something else")
        told = made.waiting_reason
        await made.permit(Weight(1, 0.0))
        return now() - started, told

    waited, told = run_idle(main())
    assert waited == pytest.approx(30.0, abs=0.001)
    assert told == "service busy (429); next try in 30 s"


def test_a_gate_that_closes_while_somebody_waits_for_a_permit_holds_him_too() -> None:
    async def main() -> float:
        made = limiter(rpm=6, window_s=10.0)
        await sends(made, [1])
        started = now()
        waiting = asyncio.create_task(made.permit(Weight(1, 0.0)))
        await asyncio.sleep(5.0)
        made.close_gate(100.0, "later")
        await waiting
        return now() - started

    assert run_idle(main()) >= 105.0


def test_limits_told_by_the_service_are_obeyed_where_they_are_lower() -> None:
    async def main() -> list[tuple[float, int]]:
        made = limiter(rpm=600)
        made.observe_rates(
            {"requests": ReportedRate(6.0, 5.0, 1.0), "images": ReportedRate(9_999.0, None, None)}
        )
        made.observe_rates({"requests": ReportedRate(50.0, 5.0, 1.0)})
        return await sends(made, [1] * 30)

    sent = run_idle(main())
    assert most(sent, 60.0, images=False) <= 6


def test_what_was_sent_before_a_limit_was_heard_of_counts_against_it() -> None:
    async def main() -> list[tuple[float, int]]:
        made = limiter()
        before = await sends(made, [1] * 4)
        made.observe_rates({"requests": ReportedRate(6.0, 2.0, 1.0)})
        return before + await sends(made, [1] * 20)

    assert most(run_idle(main()), 60.0, images=False) <= 6


def test_the_first_pace_follows_from_what_was_sent_lately() -> None:
    async def main() -> float:
        made = limiter()
        for _ in range(100):
            await made.permit(Weight(1, 0.0))
            await asyncio.sleep(0.01)
        made.throttled(0.5)
        return float(
            made.waiting_reason.removeprefix("pacing at ").partition("/min (learnt from 429 answers)")[0]
        )

    assert run_idle(main()) > 1000


def test_what_the_service_says_is_used_up_closes_the_gate_until_it_resets() -> None:
    async def main() -> float:
        made = limiter()
        started = now()
        made.observe_rates({"tokens": ReportedRate(None, 0.0, 12.0)})
        await made.permit(Weight(1, 0.0))
        return now() - started

    assert run_idle(main()) == pytest.approx(12.0, abs=0.001)


def test_the_lowest_told_rate_is_told_a_second() -> None:
    async def main() -> list[float | None]:
        return [
            limiter().known_rate_per_s,
            limiter(rpm=60, ipm=30, tpm=5).known_rate_per_s,
            limiter(rpm=300, window_s=1.0).known_rate_per_s,
        ]

    assert run_idle(main()) == [None, 0.5, 5.0]


@pytest.mark.parametrize(
    ("window_s", "rpm", "in_it"), [(10.0, 60, 10), (10.0, 100, 16), (1.0, 600, 10), (60.0, 7, 7)]
)
def test_a_window_holds_its_share_of_the_minute_and_no_minute_more(
    window_s: float, rpm: int, in_it: int
) -> None:
    async def main() -> list[tuple[float, int]]:
        return await sends(limiter(rpm=rpm, window_s=window_s), [1] * 3 * rpm)

    sent = run_idle(main())
    assert most(sent, window_s, images=False) == in_it
    assert most(sent, 60.0, images=False) <= rpm


def test_less_than_one_request_a_window_is_one_in_a_longer_window() -> None:
    async def main() -> list[tuple[float, int]]:
        return await sends(limiter(rpm=2, window_s=5.0), [1] * 4)

    moments = [at for at, _ in run_idle(main())]
    assert [later - earlier for earlier, later in pairwise(moments)] == pytest.approx([30.15] * 3, abs=0.05)


def test_a_request_that_takes_long_to_leave_keeps_its_place() -> None:
    """Windows of two seconds; the first five have handshakes of three."""

    async def main() -> list[float]:
        made, left = limiter(rpm=150, window_s=2.0), []

        async def leave(permit: GrantedPermit, number: int) -> None:
            await asyncio.sleep(3.0 if number < 5 else 0.0)
            permit.sent(now())
            left.append(now())

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(leave(await made.permit(Weight(1, 0.0)), number))
        return left

    left = run_idle(main())
    assert most([(at, 1) for at in left], 2.0, images=False) <= 5
