"""Keeping what was paid for while this machine refuses: a full disk stops the sending, not the saving.

What cannot be saved where it belongs goes to a spool file at once. Only where that is refused too is it held in memory and
tried again, for as long as the drain allows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from runner.engine.ports import ArtifactStore, AttemptLog
from runner.engine.shutdown import Shutdown
from runner.process.disk_errors import advice
from schemas.errors import ExitCode
from schemas.outcome import Spooled

PAUSE_S = 0.5
"""Between two tries of the same save."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DurableIO:
    """Retries saves and records until they succeed, or until the shutdown is forced.

    The first refusal stops the run (exit 9) and releases the store's reserve: what is in flight then can be saved in that
    space within the drain time. Raises the last OSError when the shutdown is forced.
    """

    store: ArtifactStore
    log: AttemptLog
    shutdown: Shutdown

    async def persist(self, save: Callable[[], Awaitable[T]]) -> T:
        """Call and await `save` until it succeeds."""
        while True:
            try:
                return await save()
            except OSError as error:
                self._stop(error)
                await self._pause(error)

    async def keep_or_spool(
        self, save: Callable[[], Awaitable[T]], spool: Callable[[], Awaitable[str]]
    ) -> T | Spooled:
        """The same, or what `spool` makes where `save` is refused even though the reserve has been released."""
        released = False
        while True:
            try:
                return await save()
            except OSError as error:
                refused = error
            self._stop(refused)
            if not released:
                released = True
                continue
            try:
                return Spooled(await spool())
            except OSError:
                await self._pause(refused)

    def _stop(self, error: OSError) -> None:
        named = f" to write {error.filename}" if error.filename else ""
        problem = f"{error.strerror or error}; {advice(error)}"
        self.shutdown.stop(ExitCode.LOCAL, f"this machine refused{named}: {problem}")
        self.store.release_reserve()

    async def _pause(self, error: OSError) -> None:
        """Wait a moment. Raises the error when the run is cut."""
        if self.shutdown.forced.is_set():
            raise error
        try:
            async with asyncio.timeout(PAUSE_S):
                await self.shutdown.forced.wait()
        except TimeoutError:
            return
