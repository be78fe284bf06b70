"""What happens beside a run: progress looks, signals, the clocks that end it, and fresh results tables."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from runner.engine.deadline import Until
from runner.engine.engine import Engine
from runner.engine.shutdown import Ending
from runner.process.signals import SIGNALS, in_thread
from runner.telemetry.observer import Observer
from schemas.failures import RowStatus
from schemas.reports import Counts, Progress

LOOKS_A_SECOND = 4
FIRST_TABLE_S = 30.0
"""So that it is there within a minute, however long the manifest and busy the machine."""
TABLE_EVERY_S = 300.0


@dataclass
class Watch:
    """One running engine, looked at from outside."""

    engine: Engine
    ending: Ending
    started: float
    drain_s: float
    concluding: bool = False

    async def drain(self) -> None:
        """Once the run must end, give answers in flight `drain_s` seconds, then cut."""
        await self.ending.draining.wait()
        await asyncio.sleep(self.drain_s)
        self.ending.cut()

    async def limit(self, until: Until) -> None:
        """Stop the run when its time is up."""
        while (reason := until.reason) is None and (pause_s := until.pause_s) is not None:  # noqa: ASYNC110
            await asyncio.sleep(pause_s)
        if reason is not None:
            self.ending.stop(reason.exit_code, reason.text)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Inside the block the first SIGINT or SIGTERM drains and the second one cuts.

        Once the engine has ended nothing is left to drain: the results are still written, unless a second signal comes
        that finds the run cut already; that one ends the process, and the next command writes them.
        """
        loop = asyncio.get_running_loop()
        seen: list[signal.Signals] = []

        def handle(number: signal.Signals) -> None:
            if self.concluding and seen:
                loop.remove_signal_handler(number)
                os.kill(os.getpid(), number)
            if seen:
                self.ending.cut()
            seen.append(number)
            self.ending.stop(*SIGNALS[number])

        for number in SIGNALS:
            loop.add_signal_handler(number, handle, number)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    async def observe(self, observer: Observer) -> None:
        """Look a few times a second, and once more at the end."""
        try:
            while True:
                observer(self.progress())
                await asyncio.sleep(1 / LOOKS_A_SECOND)
        finally:
            observer(self.progress())

    async def refresh(self, write: Callable[[], object]) -> None:
        """Write the results table within a minute, then each time a tenth more is done, five minutes apart or more."""
        pause, last_done = FIRST_TABLE_S, -1
        while True:
            await asyncio.sleep(pause)
            done, total = self.engine.counters.done, max(1, self.engine.source.tally.images)
            if last_done < 0 or done - last_done >= total / 10:
                await _whole(write)
                last_done = done
            pause = TABLE_EVERY_S

    def counts(self) -> Counts:
        """What is known without reading the manifest again, for an end that cannot wait."""
        seen = self.progress()
        told = {
            RowStatus.SUCCEEDED: seen.done_images,
            RowStatus.FAILED: seen.failed_images,
            RowStatus.PARKED: seen.parked_images,
            RowStatus.INVALID: seen.invalid_rows,
        }
        told[RowStatus.PENDING] = max(0, seen.total_images - sum(told.values()))
        by_status = Counter({status.value: count for status, count in told.items() if count})
        return Counts(self.engine.source.tally.rows, seen.total_images, by_status)

    def progress(self) -> Progress:
        """What can be seen now."""
        tally, counters = self.engine.source.tally, self.engine.counters
        elapsed = asyncio.get_running_loop().time() - self.started
        rate = counters.done / elapsed * 60 if elapsed > 0 else 0.0
        settled = tally.done + counters.done + tally.failed + counters.failed + tally.parked + counters.parked
        left = max(0, tally.images - settled - tally.invalid)
        own_usd = (
            None
            if self.engine.cost_usd is None
            else self.engine.cost_usd - (self.engine.cost_before_usd or 0.0)
        )
        known = own_usd is not None and counters.done > 0
        image_usd = own_usd / counters.done if own_usd is not None and counters.done else 0.0
        return Progress(
            phase="draining" if self.ending.stopping.is_set() else "running",
            total_images=tally.images,
            total_known=tally.complete,
            done_images=tally.done + counters.done,
            failed_images=tally.failed + counters.failed,
            parked_images=tally.parked + counters.parked,
            invalid_rows=tally.invalid,
            in_flight=counters.in_flight,
            concurrency=self.engine.window.limit,
            images_per_minute=rate,
            cost_usd=self.engine.cost_usd,
            elapsed_s=elapsed,
            eta_s=left / rate * 60 if rate > 0 and tally.complete else None,
            waiting=self.engine.waiting_reason,
            cost_per_minute=image_usd * rate if known else None,
            projected_usd=(self.engine.cost_usd or 0.0) + image_usd * left
            if known and tally.complete
            else None,
            notes=tuple(self.engine.source.warnings),
        )


async def _whole(write: Callable[[], object]) -> None:
    """Run a write in a thread, to its end. A disk that refuses is the run's business, not its."""
    with suppress(OSError):
        await in_thread(write)
