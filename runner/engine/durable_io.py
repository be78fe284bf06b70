"""Keeping what was paid for while this machine refuses: a full disk stops the sending, not the landing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from runner.artifacts.image_checks import Asked
from runner.artifacts.image_store import Label
from runner.artifacts.local_folder import LocalFolder
from runner.engine.shutdown import Ending
from runner.http.messages import Pieces
from runner.ledger.writer import Statement, Writer
from runner.workspace.reserve import Ballast
from schemas.errors import ExitCode
from schemas.outcome import SavedImage

_PAUSE_S = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Persistence:
    """Saves and records that are tried again until they succeed, or until the run is cut short.

    The first refusal stops the run (exit 9) and gives the ballast back; what is in flight then has that space, and
    the drain time, to land in. Raises the last OSError when the run is cut.
    """

    artifacts: LocalFolder
    writer: Writer
    ending: Ending
    ballast: Ballast

    async def save(self, save: Callable[[], T], /) -> T:
        """Run a blocking save in a thread."""
        while True:
            try:
                return await self.artifacts.in_thread(save)
            except OSError as error:
                await self._refused(error)

    async def image(self, pieces: Pieces, asked: Asked, label: Label) -> SavedImage:
        """Save an image. Raises NotAnImage."""
        while True:
            try:
                return await self.artifacts.save_image(pieces, asked, label)
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
