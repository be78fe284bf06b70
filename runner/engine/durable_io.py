"""Keeping what was paid for while this machine refuses: a full disk stops the sending, not the saving."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from runner.engine.ports import ArtifactStore, AttemptLog
from runner.engine.shutdown import Ending
from schemas.errors import ExitCode

PAUSE_S = 0.5
"""Between two tries of the same save."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DurableIO:
    """Saves and records that are tried again until they succeed, or until the run is cut short.

    The first refusal stops the run (exit 9) and releases the store's reserve; what is in flight then has that space, and
    the drain time, to be saved in. Raises the last OSError when the run is cut.
    """

    store: ArtifactStore
    log: AttemptLog
    ending: Ending

    async def keep(self, save: Callable[[], Awaitable[T]]) -> T:
        """Await what `save` makes, again and again until it succeeds."""
        while True:
            try:
                return await save()
            except OSError as error:
                await self._refused(error)

    async def _refused(self, error: OSError) -> None:
        self.ending.stop(ExitCode.LOCAL, f"this machine refused: {error.strerror or error}")
        self.store.release_reserve()
        if self.ending.hard.is_set():
            raise error
        try:
            async with asyncio.timeout(PAUSE_S):
                await self.ending.hard.wait()
        except TimeoutError:
            return
