"""What every `RateLimiter` does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from jobs.send_history import Weight
from runner.engine.ports import RateLimiter
from runner.limits.rate_limiter import AdaptiveRateLimiter
from schemas.job import LimitsTable
from tests.support.clock import run_idle
from tests.support.fakes import FakeLimiter

Use = Callable[[RateLimiter], Awaitable[None]]


@pytest.fixture(params=[lambda: FakeLimiter([]), lambda: AdaptiveRateLimiter(LimitsTable())])
def using(request: pytest.FixtureRequest) -> Callable[[Use], None]:
    """Uses a limiter without limits inside an event loop."""

    async def main(use: Use) -> None:
        limiter = request.param()
        limiter.start()
        await use(limiter)

    return lambda use: run_idle(main(use))


def test_without_limits_every_permit_is_given_and_can_be_used(using: Callable[[Use], None]) -> None:
    async def use(limiter: RateLimiter) -> None:
        for _ in range(5):
            permit = await limiter.permit(Weight(1, 10.0))
            permit.sent(0.0)
        limiter.admitted()
        assert limiter.known_rate_per_s is None
        assert limiter.waiting_reason == ""

    using(use)


def test_a_closed_gate_says_why_senders_wait(using: Callable[[Use], None]) -> None:
    async def use(limiter: RateLimiter) -> None:
        limiter.close_gate(30.0, "service overloaded (503)")
        assert "service overloaded (503)" in limiter.waiting_reason

    using(use)
