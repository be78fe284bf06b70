"""How a run ends: the first reason is kept, nothing new is sent, answers are drained, and waiting can be forced to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from schemas.errors import ExitCode, Reason
from schemas.job import RunTable

_DRAINED = frozenset(
    {
        ExitCode.INTERNAL,
        ExitCode.LOCAL,
        ExitCode.MAX_DURATION,
        ExitCode.HUNG_UP,
        ExitCode.INTERRUPTED,
        ExitCode.TERMINATED,
    }
)
"""After these ends, answers in flight get `run.drain` seconds. After all others, each is awaited to its own timeout."""

SAVING_S = 60.0
"""For answers that are here to be saved. A disk that takes longer hangs."""
HURRIED_SAVING_S = 0.8
"""The same where a person waits for the end. What is not saved then is found by the next run, or parked."""

INTERRUPTED_DRAIN_S = 10.0
"""The drain of a Python program that has set none: whoever interrupts a cell of a notebook waits for its end."""


class CancelEvent(asyncio.Event):
    """An event that also ends the `cancellable` blocks of tasks that wait."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: set[asyncio.Timeout] = set()

    def set(self) -> None:
        """End every open block now. Later calls do nothing."""
        if self.is_set():
            return
        super().set()
        for block in self._blocks:
            block.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def cancellable(self) -> AsyncIterator[None]:
        """Async context: raises TimeoutError in this task when `set` is called, or at its first wait if it was already."""
        async with asyncio.timeout(0 if self.is_set() else None) as block:
            self._blocks.add(block)
            try:
                yield
            finally:
                self._blocks.discard(block)


class Shutdown:
    """Nothing new is sent once `stopping` is set; `draining` starts the drain's clock.

    `forced` ends all waiting for the service, and `abandoned` all waiting for this machine: a disk may hang.
    """

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self.stopping = asyncio.Event()
        self.draining = asyncio.Event()
        self.forced = CancelEvent()
        self.abandoned = asyncio.Event()

    def stop(self, exit_code: ExitCode, text: str) -> None:
        """Send nothing more; answers in flight are still awaited. Later reasons do not replace the first."""
        if self.reason is None:
            self.reason = Reason(exit_code, text)
        self.stopping.set()
        if exit_code in _DRAINED:
            self.draining.set()

    def force(self, saving_s: float = SAVING_S) -> None:
        """Stop waiting for answers in flight: their rows are parked. saving_s: for those to be saved that are here."""
        self.stopping.set()
        self.forced.set()
        asyncio.get_running_loop().call_later(saving_s, self.abandoned.set)

    def interrupt(self, times: int, drain_s: float) -> None:
        """The caller has asked for the end this many times: answers in flight get `drain_s` seconds, then next to none."""
        self.stop(ExitCode.INTERRUPTED, "interrupted")
        if times > 1:
            self.force(HURRIED_SAVING_S)
        else:
            asyncio.get_running_loop().call_later(drain_s, self.force)


def interrupted_drain_s(run: RunTable) -> float:
    """Seconds that answers in flight get when a Python program interrupts a run: as it has set, or `INTERRUPTED_DRAIN_S`."""
    return run.drain if "drain" in run.model_fields_set else min(run.drain, INTERRUPTED_DRAIN_S)
