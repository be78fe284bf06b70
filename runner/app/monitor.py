"""What happens beside a run: progress updates, signals, deadlines, and fresh results tables."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from runner.app.listeners import Listeners
from runner.app.looks import Looks
from runner.engine.deadline import Deadline
from runner.engine.shutdown import HURRIED_SAVING_S, SAVING_S
from runner.process.event_loop import in_thread
from runner.process.signals import SIGNALS, taken
from runner.text.wording import count_text, duration_text
from schemas.counts import Counts
from schemas.failures import RowStatus

UPDATES_A_SECOND = 4
FIRST_REQUEST_S = 2.0
"""After so long without a request the rows are counted all the same: something else holds it back."""
FAREWELLS = {
    signal.SIGINT: ("Ctrl-C", "Ctrl-C again"),
    signal.SIGTERM: ("terminated", "a second signal"),
    signal.SIGHUP: ("the terminal is gone", "a signal"),
}
"""What a signal is called, and the next one."""
FIRST_TABLE_S = 30.0
"""Early enough that a table exists within a minute, however long the manifest and however busy the machine."""
TABLE_EVERY_S = 300.0
TABLE_LOOK_S = 5.0
TABLE_SHARE = 20
"""A table is written at most for one part in so many of the time."""


@dataclass
class Monitor:
    """Watches one running engine and stops it."""

    looks: Looks
    drain_s: float
    _is_news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.engine, self.shutdown = self.looks.engine, self.looks.shutdown

    async def drain(self) -> None:
        """Once the run must end, give answers in flight `drain_s` seconds, then force the end."""
        await self.shutdown.draining.wait()
        await asyncio.sleep(self.drain_s)
        self._force()

    def _force(self, saving_s: float = SAVING_S) -> None:
        """Wait for no answer any more."""
        if self.looks.parked_before is None:
            self.looks.parked_before = self.engine.counters.parked
        self.shutdown.force(saving_s)

    async def count_rows(self) -> None:
        """Count all rows once the first request has left: until then this machine is the run's alone."""
        counters, loop = self.engine.counters, asyncio.get_running_loop()
        give_up = loop.time() + FIRST_REQUEST_S
        while not counters.sent and loop.time() < give_up:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)
        stop = threading.Event()
        counting = asyncio.create_task(in_thread(self.looks.count.count, stop))
        try:
            await asyncio.shield(counting)
            self._is_news.set()
        finally:
            stop.set()
            await asyncio.wait((counting,))

    async def enforce_deadline(self, deadline: Deadline) -> None:
        """Stop the run when its deadline is reached."""
        while (reason := deadline.reason) is None and (pause_s := deadline.pause_s) is not None:  # noqa: ASYNC110
            await asyncio.sleep(pause_s)
        if reason is not None:
            self.shutdown.stop(reason.exit_code, reason.text)

    @contextmanager
    def handle_signals(self) -> Iterator[None]:
        """Inside the block the first signal drains, and the second one forces the end."""

        def react(number: signal.Signals, repeated: bool) -> None:
            if repeated:
                self._force(HURRIED_SAVING_S)
            self.shutdown.stop(*SIGNALS[number])
            if not repeated:
                self.looks.stopping = ""
                self._say_goodbye(*FAREWELLS[number])
            self._is_news.set()

        with taken() as inbox, inbox.reacting(react):
            yield

    def _say_goodbye(self, name: str, again: str = "") -> None:
        """Tell of a run that is being stopped, once. name: by what. again: what would end the waiting for answers."""
        waiting = self.engine.counters.in_flight
        if self.looks.stopping or not waiting:
            return
        limit = f" up to {duration_text(self.drain_s)}" if self.shutdown.draining.is_set() else ""
        text = f"stopping ({name}): waiting{limit} for {count_text(waiting, 'answer')} in flight"
        if again:
            them, they = ("it", "it") if waiting == 1 else ("them", "they")
            text += f"; {again} gives {them} up ({they} may be paid for)"
        self.looks.stopping = text

    async def observe(self, listeners: Listeners) -> None:
        """Report progress a few times a second, and once more at the end."""
        try:
            while True:
                self._is_news.clear()
                if (reason := self.shutdown.reason) is not None:
                    self._say_goodbye(reason.text)
                listeners.progress(self.looks.look())
                with suppress(TimeoutError):
                    async with asyncio.timeout(1 / UPDATES_A_SECOND):
                        await self._is_news.wait()
        finally:
            listeners.progress(self.looks.look())

    async def refresh_table(self, write: Callable[[], object]) -> None:
        """Write the results table within a minute, then each time a tenth more is done, at most every five minutes.

        A table that takes long is written more rarely, because its thread takes time from those that save images.
        """
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(FIRST_TABLE_S)
        while True:
            settled, started = self._settled, clock()
            await _whole(write)
            await asyncio.sleep(max(TABLE_EVERY_S, TABLE_SHARE * (clock() - started)))
            while self._settled - settled < self.looks.tally.images / 10:  # noqa: ASYNC110
                await asyncio.sleep(TABLE_LOOK_S)

    @property
    def _settled(self) -> int:
        counters = self.engine.counters
        return counters.done + counters.failed + counters.parked

    def counts(self) -> Counts:
        """Counts from memory, without reading the manifest again, for a run that was cut short."""
        seen = self.looks.look()
        counts = {
            RowStatus.SUCCEEDED: seen.done_images,
            RowStatus.FAILED: seen.failed_images,
            RowStatus.PARKED: seen.parked_images,
            RowStatus.INVALID: seen.invalid_rows,
        }
        counts[RowStatus.PENDING] = max(0, seen.total_images - sum(counts.values()))
        by_status = Counter({status.value: count for status, count in counts.items() if count})
        rows = self.looks.tally.rows
        pending = min(rows, by_status[RowStatus.PENDING.value])
        return Counts(rows, seen.total_images, pending, by_status)


async def _whole(write: Callable[[], object]) -> None:
    """Run a write in a thread, to its end. OSError is ignored: the run itself stops when the disk refuses."""
    with suppress(OSError):
        await in_thread(write)
