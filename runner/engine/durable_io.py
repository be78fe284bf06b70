"""Keeping what was paid for while this machine refuses: a full disk stops the sending, not the landing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from runner.artifacts.image_store import Asked, ImageStore, Label
from runner.artifacts.worker_pool import Gone, SavingProcess
from runner.engine.shutdown import Ending
from runner.http.messages import Pieces
from runner.ledger.writer import Statement, Writer
from runner.workspace.reserve import Ballast
from schemas.errors import ExitCode
from schemas.outcome import SavedImage

SAVING_THREADS = 4
"""More of them sync faster on a slow disk, and fight for the interpreter's lock on any."""
_PAUSE_S = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Persistence:
    """Saves and records that are tried again until they succeed, or until the run is cut short.

    The first refusal stops the run (exit 9) and gives the ballast back; what is in flight then has that space, and
    the drain time, to land in. Raises the last OSError when the run is cut.
    """

    images: ImageStore
    outside: SavingProcess
    pool: ThreadPoolExecutor
    writer: Writer
    ending: Ending
    ballast: Ballast
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2 * SAVING_THREADS))
    """For threads: an image whose turn has not come can still go elsewhere."""

    async def save(self, save: Callable[[], T], /) -> T:
        """Run a blocking save in a thread."""
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(self.pool, save)
            except OSError as error:
                await self._refused(error)

    async def image(self, pieces: Pieces, asked: Asked, label: Label) -> SavedImage:
        """Save an image: in the process for it while there is one, in a thread otherwise. Raises NotAnImage."""
        while True:
            try:
                if self.outside.takes(pieces):
                    with suppress(Gone):
                        return await self.outside.save(pieces, asked, label)
                with self.outside.elsewhere():
                    async with self.turns:
                        if not self.outside.takes(pieces):  # it may have come while this waited
                            save = partial(self.images.save, pieces, asked, label)
                            return await asyncio.get_running_loop().run_in_executor(self.pool, save)
            except OSError as error:
                await self._refused(error)

    async def record(self, statements: Sequence[Statement]) -> None:
        """Record in the ledger."""
        while True:
            try:
                return await self.writer.record(statements)
            except OSError as error:
                await self._refused(error)

    async def _refused(self, error: OSError) -> None:
        self.ending.stop(ExitCode.LOCAL, f"this machine refused: {error.strerror or error}")
        self.ballast.drop()
        if self.ending.hard.is_set():
            raise error
        try:
            async with asyncio.timeout(_PAUSE_S):
                await self.ending.hard.wait()
        except TimeoutError:
            return
