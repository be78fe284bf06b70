"""What one run knows of itself while it goes on: its counters, the rows that wait, the concurrency window, the cost."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from jobs.concurrency_window import Window
from runner.engine.queue import Waiting
from schemas.failures import RowStatus
from schemas.outcome import Outcome, Success


@dataclass
class Counters:
    """What this run has done so far. done, failed, parked: images. in_flight, sent: requests."""

    done: int = 0
    failed: int = 0
    parked: int = 0
    in_flight: int = 0
    sent: int = 0


@dataclass
class RunState:
    """cost_usd: of the folder's whole life, None while nothing is known of it; cost_before_usd: of earlier runs."""

    window: Window
    cost_usd: float | None
    cost_before_usd: float | None
    counters: Counters = field(default_factory=Counters)
    waiting: Waiting = field(default_factory=Waiting)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def change(self, timeout_s: float | None = None) -> None:
        """Wait until an attempt ends, or so long."""
        self.changed.clear()
        with suppress(TimeoutError):
            async with nullcontext() if timeout_s is None else asyncio.timeout(timeout_s):
                await self.changed.wait()

    def count(self, outcome: Outcome, status: RowStatus, cost_usd: float | None, n: int) -> None:
        """Count an attempt that has ended. n: images that it was asked for."""
        if cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost_usd
        if isinstance(outcome, Success):
            self.counters.done += len(outcome.images)
            self.counters.failed += len(outcome.missing)
        elif status is RowStatus.FAILED:
            self.counters.failed += n
        elif status is RowStatus.PARKED:
            self.counters.parked += n
