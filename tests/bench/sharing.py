"""Two runs that share one allowance: together they use it, and never more."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time

from jobs.send_history import Weight
from runner.limits.rate_limiter import AdaptiveRateLimiter, GrantedPermit
from runner.simulator.requests.errors import ServiceError
from runner.simulator.sliding_window import Limiter, Limits
from schemas.job import LimitsTable
from tests.bench.figures import Figure, at_least, at_most, load
from tests.bench.runs import bench
from tests.support.canary import WITH_CANARY, is_in

LIMIT = 50
ROWS = 1000
SHARE = ("--rpm", str(LIMIT * 60), "--set", "limits.window_s=1", "--set", "limits.share=together")


def shared() -> list[Figure]:
    """Two processes, 50 requests a second together; counted while both are running."""
    scenario = f"latency = {{ median = 0.2 }}\nlimits = {{ rpm = {LIMIT}, window_s = 1, announced = false }}"
    with bench(scenario) as at:
        jobs = [at.options(at.manifest([1] * ROWS, name), *SHARE, out=name) for name in ("one", "other")]
        runs = [at.command.start("run", *job, environ=WITH_CANARY) for job in jobs]
        while all(run.poll() is None for run in runs):
            time.sleep(0.1)
        both = at.stats()
        for run in runs:
            assert not is_in(run.communicate(timeout=120)[0].encode())
        stats = at.stats()
    assert [run.returncode for run in runs] == [0, 0]

    return [
        at_most("two runs, one allowance: refusals", stats["refused"], 0),
        at_most("two runs, one allowance: worst window / limit", stats["worst_window_arrivals"] / LIMIT, 1.0),
        at_least(
            "two runs, one allowance: achieved",
            (both["billed_requests"] - 1) / both["admitting_s"] / LIMIT,
            0.95,
            f"until one ended; {load()}",
        ),
    ]


def shared_pacers() -> list[Figure]:
    """Two pacers with one allowance, judged at the moment at which each request leaves."""
    with tempfile.TemporaryDirectory(prefix="imagemill-bench-") as state:
        before = os.environ.get("XDG_STATE_HOME")
        os.environ["XDG_STATE_HOME"] = state
        try:
            return asyncio.run(_shared_pacers())
        finally:
            del os.environ["XDG_STATE_HOME"]
            if before is not None:
                os.environ["XDG_STATE_HOME"] = before


async def _shared_pacers() -> list[Figure]:
    judge, chance = Limiter(Limits(rpm=LIMIT, window_s=1)), random.Random(7)
    limits, loop = LimitsTable(rpm=LIMIT * 60, window_s=1, share="together"), asyncio.get_running_loop()
    refused = 0

    async def leave(permit: GrantedPermit) -> None:
        nonlocal refused
        await asyncio.sleep(chance.uniform(0, 0.01))  # the intent is written
        leaves = loop.time()
        permit.sent(leaves)
        try:
            judge.admit(leaves, 1)
        except ServiceError:
            refused += 1

    async def sender(group: asyncio.TaskGroup) -> None:
        limiter = AdaptiveRateLimiter(limits)
        limiter.start()
        for _ in range(ROWS // 2):
            group.create_task(leave(await limiter.permit(Weight(1, 0.0))))

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(sender(group))
    name = "two pacers, one allowance, as sent"
    return [
        at_most(f"{name}: refusals", refused, 0),
        at_most(f"{name}: worst window / limit", judge.arrivals.worst / LIMIT, 1.0),
        at_least(f"{name}: achieved", (ROWS - refused - 1) / judge.admitting_s / LIMIT, 0.95, load()),
    ]
