"""The pacer and its pace on a clock that stands still while there is work: what they do when the machine has time.

The same parts as in a run (`AdaptiveRateLimiter`, `jobs.concurrency_window`, the simulator's strict `Limiter`), driven
as the engine drives them; no sockets, ledger or images. `cpu`: what a permit costs, so how many a second one core can
give.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from jobs import concurrency_window
from jobs.send_history import Weight
from runner.limits.rate_limiter import AdaptiveRateLimiter, GrantedPermit
from runner.simulator.requests.errors import ServiceError
from runner.simulator.sliding_window import Limiter, Limits
from schemas.job import LimitsTable
from tests.bench.figures import Figure, at_least, at_most
from tests.support.clock import run_idle

WAY_S = 0.002
"""The most that a request is under way to the service."""


@dataclass
class Played:
    """What became of the requests. admitted, refused: moments, seconds from the start. cpu_us: a permit, measured."""

    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    worst: float = 0.0
    cpu_us: float = 0.0

    def share(self, capacity: Callable[[float], float], start: float, end: float) -> float:
        """Admitted between two moments, of what the service allowed."""
        allowed = sum(capacity(start + i / 10) / 10 for i in range(round((end - start) * 10)))
        return sum(start <= at < end for at in self.admitted) / allowed

    def found_in_s(self, capacity: Callable[[float], float], changed: float, end: float) -> float:
        """Seconds after a change until 0.95 of the capacity is used over five."""
        for step in range(int((end - 5 - changed) * 2)):
            if self.share(capacity, changed + step / 2, changed + step / 2 + 5) >= 0.95:
                return step / 2
        return float("inf")


@dataclass
class Drive:
    """A sender like the engine's dispatcher, for `seconds`, against a service with this capacity (requests a second)."""

    limiter: AdaptiveRateLimiter
    window: concurrency_window.ConcurrencyWindow
    capacity: Callable[[float], float]
    latency_s: float
    seconds: float
    played: Played = field(default_factory=Played)
    in_flight: int = 0

    async def run(self) -> Played:
        """Send all the time."""
        loop, chance = asyncio.get_running_loop(), random.Random(7)
        self._begun, self._changed = loop.time(), asyncio.Event()
        judge = Limiter(Limits(rpm=self.capacity(0.0), window_s=1.0))
        self.limiter.start()
        cpu, sent = time.process_time(), 0
        async with asyncio.TaskGroup() as group:
            while loop.time() - self._begun < self.seconds:
                while self.in_flight >= self.window.limit:
                    self._changed.clear()
                    await self._changed.wait()
                permit = await self.limiter.permit(Weight(1, 0.0))
                self.in_flight, sent = self.in_flight + 1, sent + 1
                group.create_task(self._attempt(permit, judge, chance))
        self.played.cpu_us = (time.process_time() - cpu) / sent * 1e6
        self.played.worst = judge.arrivals.worst
        return self.played

    async def _attempt(self, permit: GrantedPermit, judge: Limiter, chance: random.Random) -> None:
        loop = asyncio.get_running_loop()
        permit.sent(loop.time())
        await asyncio.sleep(chance.uniform(0, WAY_S))
        at = loop.time() - self._begun
        judge.limits = replace(judge.limits, rpm=self.capacity(at))
        try:
            judge.admit(loop.time(), 1)
        except ServiceError as refusal:
            wait_s = int(refusal.headers["retry-after-ms"]) / 1000
            self.played.refused.append(at)
            self.limiter.close_gate(wait_s, "refused")
            self.limiter.throttled(wait_s)
            self.window = concurrency_window.after_refusal(self.window, self.in_flight)
        else:
            self.played.admitted.append(at)
            await asyncio.sleep(self.latency_s * chance.uniform(0.8, 1.2))
            self.window = concurrency_window.after_success(self.window, self.latency_s)
            self.limiter.admitted()
        self.in_flight -= 1
        self._changed.set()


def told() -> list[Figure]:
    """50, 500 and 5,000 requests a second, from a cold start, 64 and 1,000 in flight."""
    found = []
    for rate, achieved in ((50, 0.95), (500, 0.98), (5000, 0.98)):
        for in_flight in (64, 1000):
            played = _told(rate, in_flight)
            name = f"{rate}/s, {in_flight} in flight, pacer on a virtual clock"
            span = played.admitted[-1] - played.admitted[0]
            cpu = f"cpu {played.cpu_us:.0f} us a request: {1e6 / played.cpu_us:,.0f}/s on one core"
            found += [
                at_most(f"{name}: refusals", len(played.refused), 0),
                at_most(f"{name}: worst window / limit", played.worst / rate, 1.0),
                at_least(f"{name}: achieved", (len(played.admitted) - 1) / span / rate, achieved, cpu),
            ]
    return found


def _told(rate: int, in_flight: int) -> Played:
    limits = LimitsTable(rpm=rate * 60, window_s=1)
    window, seconds = concurrency_window.initial_window(in_flight, rate), 40 if rate == 50 else 6
    return run_idle(
        Drive(AdaptiveRateLimiter(limits), window, lambda _at: rate, 0.8 * in_flight / rate, seconds).run()
    )


def untold() -> Iterable[Figure]:
    """50, 100 and 300 a second that nobody tells, halved after a minute and restored after two."""
    return (figure for rate in (50, 100, 300) for figure in _untold(rate))


def _untold(rate: int) -> list[Figure]:
    def capacity(at: float) -> float:
        return rate / 2 if 60 <= at < 120 else rate

    steady = run_idle(
        Drive(
            AdaptiveRateLimiter(LimitsTable()),
            concurrency_window.initial_window(None, None),
            lambda _at: rate,
            0.2,
            180,
        ).run()
    )
    played = run_idle(
        Drive(
            AdaptiveRateLimiter(LimitsTable()),
            concurrency_window.initial_window(None, None),
            capacity,
            0.2,
            180,
        ).run()
    )
    name = f"{rate}/s untold, virtual clock"
    return [
        at_least(f"{name}: share of capacity", steady.share(lambda _at: rate, 0, 180), 0.95),
        at_most(f"{name}: share refused", _refused(steady), 0.01),
        at_least(f"{name}, halved: share of capacity", played.share(capacity, 0, 180), 0.95),
        at_most(f"{name}, halved: share refused", _refused(played), 0.01),
        at_most(f"{name}, halved: found in s", played.found_in_s(capacity, 60, 120), 30),
        at_most(f"{name}, restored: found in s", played.found_in_s(capacity, 120, 180), 30),
    ]


def _refused(played: Played) -> float:
    return len(played.refused) / (len(played.refused) + len(played.admitted))
