"""Looks at a running engine: how far it is, how fast, what it has cost, and what is still to come."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from runner.app.pace import Pace, Point
from runner.app.row_count import RowCount
from runner.engine.engine import Engine
from runner.engine.shutdown import Shutdown
from runner.planning.source import PendingRowSource, Tally
from schemas.reports import Progress


class RunFacts(NamedTuple):
    """What does not change while a run goes on; see `Progress`."""

    manifest: str
    out: str
    simulated: bool


@dataclass
class Looks:
    """Makes the looks at one run.

    count: of all rows, made beside the run. started: the event loop's clock. stopping: see `Progress`. parked_before: images
    that this run had parked when waiting for answers was forced to end.
    """

    facts: RunFacts
    engine: Engine
    source: PendingRowSource
    count: RowCount
    shutdown: Shutdown
    started: float
    stopping: str = ""
    parked_before: int | None = None
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(self.started)

    @property
    def tally(self) -> Tally:
        """The whole manifest's where it has been counted, else of what the run has read of it."""
        return self.count.tally if self.count.tally.complete else self.source.tally

    def look(self) -> Progress:
        """The run now."""
        tally, counters, state = self.tally, self.engine.counters, self.engine.state
        now = asyncio.get_running_loop().time()
        own = counters.done + counters.failed + counters.parked
        self.pace.add(Point(now, counters.done, own))
        left = max(0, tally.to_make - own)
        rate = self.pace.settled_per_minute
        money = self._money(left)
        is_over = self.shutdown.stopping.is_set()
        return Progress(
            phase="draining" if is_over else "running",
            total_images=tally.images,
            total_known=tally.complete,
            done_images=tally.done + counters.done,
            failed_images=tally.failed + counters.failed,
            parked_images=tally.parked + counters.parked,
            invalid_rows=tally.invalid,
            in_flight=counters.in_flight,
            concurrency=state.window.limit,
            images_per_minute=self.pace.made_per_minute,
            cost_usd=money.own_usd,
            elapsed_s=now - self.started,
            eta_s=left / rate * 60 if left and rate > 0 and tally.complete and not is_over else None,
            waiting="" if is_over else self.engine.waiting_reason,
            cost_per_minute=money.per_minute_usd,
            projected_usd=money.projected_usd,
            notes=(*self.source.warnings, *state.pictures.notes),
            run_done_images=counters.done,
            run_failed_images=counters.failed,
            run_parked_images=counters.parked,
            requests_sent=counters.sent,
            folder_cost_usd=state.cost_usd,
            simulated=self.facts.simulated,
            stopping=self.stopping,
            given_up_images=0 if self.parked_before is None else counters.parked - self.parked_before,
            manifest=self.facts.manifest,
            out=self.facts.out,
        )

    def _money(self, left: int) -> _Money:
        """left: images still to be settled."""
        state, own = self.engine.state, self.engine.counters
        worth = self.count.to_send
        is_priced = not self.count.prices.source_is_unknown
        if state.cost_usd is None and not is_priced:
            return _Money()
        own_usd = (state.cost_usd or 0.0) - (state.cost_before_usd or 0.0)
        image_usd = own_usd / own.done if own.done else 0.0
        per_minute = image_usd * self.pace.made_per_minute if own.done else None
        if not self.tally.complete:
            return _Money(own_usd, per_minute)
        if worth is None or not worth.high:
            settled = own.done + own.failed + own.parked
            projected = own_usd + own_usd / settled * left if settled else None
        elif state.settled_worth_usd:
            left_usd = max(0.0, worth.high - state.settled_worth_usd)
            projected = own_usd + left_usd * own_usd / state.settled_worth_usd
        else:
            projected = own_usd + (worth.low + worth.high) / 2
        return _Money(own_usd, per_minute, projected)


class _Money(NamedTuple):
    """USD; None where it cannot be told."""

    own_usd: float | None = None
    per_minute_usd: float | None = None
    projected_usd: float | None = None
