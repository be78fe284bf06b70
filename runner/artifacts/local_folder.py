"""The output folder as the engine's store of images and quarantined bodies: saved in threads, and in a process beside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from runner.artifacts.atomic_files import keep
from runner.artifacts.image_store import ImageStore
from runner.artifacts.worker_pool import Gone, SavingProcess
from schemas.artifacts import Asked, Label
from schemas.outcome import SavedImage
from schemas.received import Pieces

T = TypeVar("T")

SAVING_THREADS = 4
"""More of them sync faster on a slow disk, and fight for the interpreter's lock on any."""


class Headroom(Protocol):
    """Watches the space on the disk."""

    def saw(self, size: int) -> None:
        """An image of so many bytes was saved."""

    def problem(self, images: int) -> str | None:
        """Why nothing more should be sent while so many images are in flight; None when there is room."""


class LocalFolder:
    """An `ArtifactStore` over a folder. release: gives back the space and descriptors that were set aside."""

    def __init__(
        self,
        images: ImageStore,
        outside: SavingProcess,
        pool: ThreadPoolExecutor,
        headroom: Headroom,
        release: Callable[[], None],
    ) -> None:
        self._images = images
        self._outside = outside
        self._pool = pool
        self._headroom = headroom
        self._release = release
        self._turns = asyncio.Semaphore(2 * SAVING_THREADS)
        """For threads: an image whose turn has not come can still go to the process."""

    async def save_image(self, data: Pieces, asked: Asked, label: Label) -> SavedImage:
        """See `ArtifactStore`: in the process for it while there is one, in a thread otherwise."""
        saved = await self._save_image(data, asked, label)
        self._headroom.saw(saved.bytes)
        return saved

    async def _save_image(self, data: Pieces, asked: Asked, label: Label) -> SavedImage:
        while True:
            if self._outside.takes(data):
                with suppress(Gone):
                    return await self._outside.save(data, asked, label)
            with self._outside.elsewhere():
                async with self._turns:
                    if not self._outside.takes(data):  # it may have come while this waited
                        return await self._in_thread(partial(self._images.save, data, asked, label))

    async def quarantine(self, name: str, data: Iterable[bytes]) -> str:
        """See `ArtifactStore`."""
        return await self._in_thread(lambda: keep(self._images.folder, name, lambda: data, private=True))

    async def _in_thread(self, save: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, save)

    def room_for(self, images: int) -> str | None:
        """See `ArtifactStore`."""
        return self._headroom.problem(images)

    def release_reserve(self) -> None:
        """See `ArtifactStore`."""
        self._release()
