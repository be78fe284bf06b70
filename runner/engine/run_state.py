"""What one run knows of itself while it goes on: its counters, the rows that wait, the concurrency window, the cost."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from jobs.concurrency_window import ConcurrencyWindow
from jobs.odd_pictures import OddPictures
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
    """cost_usd: of the folder's whole life, None while nothing is known of it; cost_before_usd: of earlier runs.

    settled_worth_usd: what the requests of this run that are settled were estimated at, at worst.
    trouble: what last made all senders wait, in words.
    waiting: rows to be sent again. fetches: those whose images are to be fetched again.
    """

    window: ConcurrencyWindow
    cost_usd: float | None
    cost_before_usd: float | None
    counters: Counters = field(default_factory=Counters)
    waiting: Waiting = field(default_factory=Waiting)
    fetches: Waiting = field(default_factory=Waiting)
    pictures: OddPictures = field(default_factory=OddPictures)
    settled_worth_usd: float = 0.0
    trouble: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def nothing_goes_on(self) -> bool:
        """Whether no answer and no image can come any more unless something is sent."""
        return self.counters.in_flight == 0 and not len(self.fetches)

    async def change(self, timeout_s: float | None = None) -> None:
        """Wait until an attempt ends, or so long."""
        self.changed.clear()
        with suppress(TimeoutError):
            async with nullcontext() if timeout_s is None else asyncio.timeout(timeout_s):
                await self.changed.wait()

    def count(
        self, outcome: Outcome, status: RowStatus, cost_usd: float | None, n: int, worth_usd: float = 0.0
    ) -> None:
        """Count an attempt that has ended. n: images that it was asked for. worth_usd: its cost by estimate, at worst."""
        if status is not RowStatus.PENDING:
            self.settled_worth_usd += worth_usd
        if cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + cost_usd
        if isinstance(outcome, Success):
            self.pictures.add(outcome.images)
            self.counters.done += len(outcome.images)
            self.counters.failed += len(outcome.missing)
        elif status is RowStatus.FAILED:
            self.counters.failed += n
        elif status is RowStatus.PARKED:
            self.counters.parked += n
