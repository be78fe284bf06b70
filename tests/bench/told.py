"""Told limits: nothing is refused, no window holds more, and nearly all of the allowance is used, from a cold start."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

from jobs.send_history import Weight
from runner.limits.rate_limiter import AdaptiveRateLimiter
from runner.simulator.requests.errors import ServiceError
from runner.simulator.sliding_window import Limiter, Limits
from schemas.job import LimitsTable
from tests.bench.figures import Figure, at_least, at_most, load
from tests.bench.runs import bench, mixed

ACHIEVED = {50: 0.95, 500: 0.98, 5000: 0.98}
BUSY = 0.8
"""Share of the requests in flight that latency and rate keep busy."""
PACER_SECONDS = 6


def whole_runs() -> Iterator[Figure]:
    """50 and 500 requests a second through the whole runner, with 64 and 1,000 in flight."""
    for rate, in_flight, rows in ((50, 64, 1000), (50, 1000, 1500), (500, 64, 6000), (500, 1000, 7500)):
        yield from _whole_run(rate, in_flight, rows)


def _whole_run(rate: int, in_flight: int, rows: int) -> list[Figure]:
    latency = BUSY * in_flight / rate
    limits = f"limits = {{ rpm = {rate}, window_s = 1 }}"
    with bench(f"latency = {{ median = {latency}, p95 = {latency} }}\n{limits}") as at:
        options = ("--rpm", str(rate * 60), "--set", "limits.window_s=1", "--concurrency", str(in_flight))
        ended = at.run(at.manifest([1] * rows), *options)
        stats = at.stats()
    assert ended.code == 0, ended.err
    name = f"{rate}/s, {in_flight} in flight, whole runner"
    busiest = f"most in flight {stats['max_in_flight']}, {load()}"
    return [
        at_most(f"{name}: refusals", stats["refused"], 0),
        at_most(f"{name}: worst window / limit", stats["worst_window_arrivals"] / rate, 1.0),
        at_least(f"{name}: achieved", (rows - 1) / stats["admitting_s"] / rate, ACHIEVED[rate], busiest),
    ]


def pacer_alone() -> Iterator[Figure]:
    """5,000 permits a second by the pacer alone, against a strict judge in the same process."""
    for in_flight in (64, 1000):
        yield from asyncio.run(_pacer_alone(5000, in_flight))


async def _pacer_alone(rate: int, in_flight: int) -> list[Figure]:
    loop, chance = asyncio.get_running_loop(), random.Random(7)
    limiter, judge = (
        AdaptiveRateLimiter(LimitsTable(rpm=rate * 60, window_s=1)),
        Limiter(Limits(rpm=rate, window_s=1)),
    )
    slots, latency = asyncio.Semaphore(in_flight), BUSY * in_flight / rate
    refusals = 0

    async def send(permit: object) -> None:
        nonlocal refusals
        permit.sent(loop.time())  # type: ignore[attr-defined]
        await asyncio.sleep(chance.uniform(0, 0.002))  # the way to the service
        try:
            judge.admit(loop.time(), 1)
        except ServiceError:
            refusals += 1
        await asyncio.sleep(latency * 0.9)
        slots.release()

    limiter.start()
    count = rate * PACER_SECONDS
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            await slots.acquire()
            group.create_task(send(await limiter.permit(Weight(1, 0.0))))
    name = f"{rate}/s, {in_flight} in flight, pacer alone"
    return [
        at_most(f"{name}: refusals", refusals, 0),
        at_most(f"{name}: worst window / limit", judge.arrivals.worst / rate, 1.0),
        at_least(f"{name}: achieved", (count - 1) / judge.admitting_s / rate, ACHIEVED[rate], load()),
    ]


def best_span_s(amounts: list[int], limit: float, window_s: float) -> float:
    """Seconds from the first request to the last in the best schedule in this order that the strict window allows.

    As early as each fits is best, because no later request can gain from an earlier one's waiting. One that weighs
    more than the limit needs an empty window, and fills as many as it weighs.
    """
    now, sent = 0.0, [(0.0, 0.0)]  # (when it leaves the window, weight)
    for amount in amounts:
        counted = min(float(amount), limit)
        while sum(weight for leaves, weight in sent if leaves > now) + counted > limit:
            now = min(leaves for leaves, _ in sent if leaves > now)
        sent = [(leaves, weight) for leaves, weight in sent if leaves > now]
        sent.append((now + -(-amount // limit) * window_s, counted))
    return now


def a_minute() -> Iterator[Figure]:
    """60 requests a minute; 60 and 5 images a minute with n from 1 to 10; a minute takes some seconds."""
    yield from _scaled("60 requests a minute (6 s)", [1] * 400, ("rpm", 60), 6.0)
    yield from _scaled("60 images a minute (3 s), n 1-10", mixed(120, 1), ("ipm", 60), 3.0)
    yield from _scaled("5 images a minute (2 s), n 1-10", mixed(25, 2), ("ipm", 5), 2.0)


def _scaled(name: str, images: list[int], limit: tuple[str, int], window_s: float) -> list[Figure]:
    unit, rate = limit
    scenario = f"latency = {{ median = 0.05 }}\nlimits = {{ {unit} = {rate}, window_s = {window_s} }}"
    with bench(scenario) as at:
        options = (f"--{unit}", str(rate * 60 / window_s), "--set", f"limits.window_s={window_s}")
        ended = at.run(at.manifest(images), *options)
        stats = at.stats()
    assert ended.code == 0, ended.err
    took = stats["admitting_s"]
    plain = (sum(images) - images[-1]) / took / (rate / window_s)
    best = best_span_s(images, rate, window_s) / took
    achieved = (
        plain if set(images) == {1} else best
    )  # equal requests are spread, which the plain rate measures
    worst = stats["worst_window_requests" if unit == "rpm" else "worst_window_images"]
    return [
        at_most(f"{name}: refusals", stats["refused"], 0),
        at_most(f"{name}: worst window / limit", worst / rate, 1.0),
        at_least(
            f"{name}: achieved", achieved, 0.97, f"of best FIFO {best:.3f}, of the plain rate {plain:.3f}"
        ),
    ]
