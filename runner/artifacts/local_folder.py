"""Artifacts (images and quarantined bodies) in a folder of this machine, by names relative to it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from jobs.naming import quarantine_name
from runner.artifacts.atomic_files import Folder, keep
from runner.artifacts.image_store import ImageStore
from runner.artifacts.save_queue import SaveQueue
from runner.engine.ports import StoreRefused
from schemas.artifacts import Asked, Label
from schemas.outcome import SavedImage

T = TypeVar("T")

_LEAST_FREE_BYTES = 8 * 2**20
_FIRST_IMAGE_BYTES = 4 * 2**20
"""What an answer is taken to need before one was saved."""
_ATTEMPTS_SEEN = 1024
"""Whose images are added up; more are never saved at a time."""
_LOOK_EVERY_S = 1.0


class LocalFolder:
    """The artifacts of one run. A name that was returned is durable. Use as an async context manager inside the loop.

    Args:
        folder: OUT, whose lock this process holds.
        max_pixels: an image with more is no image.
        release: gives back the space and descriptors that were set aside for a full disk.
    """

    def __init__(self, folder: Folder, max_pixels: int, release: Callable[[], None] = lambda: None) -> None:
        self._release = release
        self._folder = folder
        self._queue = SaveQueue(ImageStore(folder, max_pixels))
        self._sizes: dict[int, int] = {}
        self._largest = 0
        self._looked_s = float("-inf")

    async def __aenter__(self) -> LocalFolder:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._queue.close()

    async def save_image(self, data: Sequence[bytes], asked: Asked, label: Label) -> SavedImage:
        """Check and save one image.

        Args:
            data: the image's bytes, in pieces.
            asked: what it was asked for as; differences are flagged.
            label: what its file is named after.

        Raises:
            NotAnImage: the bytes are no whole image of a format that can be checked.
            StoreRefused: the disk did not take it; the same call may succeed later.
        """
        try:
            saved = await self._queue.save(data, asked, label)
        except OSError as error:
            raise _refused(error) from error
        self._saw(label.attempt, saved.bytes)
        return saved

    async def quarantine(self, label: Label, data: Iterable[bytes]) -> str:
        """Keep a body that could not be used, readable by its owner only, as it is; the name that it got.

        Raises:
            StoreRefused: the disk did not take it; the same call may succeed later.
        """
        name = quarantine_name(label.attempt, label.slug)

        def save() -> str:
            pieces = tuple(data)
            return keep(self._folder, name, lambda: pieces, private=True)

        return await self._in_thread(save)

    async def _in_thread(self, save: Callable[[], T]) -> T:
        """Run a blocking save in one of the threads for saves. Raises StoreRefused."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._queue.pool, save)
        except OSError as error:
            raise _refused(error) from error

    def room_for(self, in_flight: int) -> str | None:
        """Why nothing more should be sent while so many answers are under way; None when there is room.

        Each is taken to need up to twice what the largest so far did. Looks at the disk at most once a second.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_EVERY_S:
            return None
        self._looked_s = now_s
        stat = os.statvfs(self._folder.root)
        free = stat.f_bavail * stat.f_frsize
        needed = _LEAST_FREE_BYTES + (in_flight + 1) * (2 * self._largest or _FIRST_IMAGE_BYTES)
        if free >= needed:
            return None
        return f"the disk is nearly full: {free / 2**20:,.0f} MiB free where {needed / 2**20:,.0f} are needed"

    def release_reserve(self) -> None:
        """See `ArtifactStore`."""
        self._release()

    def _saw(self, attempt: int, size: int) -> None:
        """Add an image to its answer."""
        self._sizes[attempt] = self._sizes.pop(attempt, 0) + size
        self._largest = max(self._largest, self._sizes[attempt])
        if len(self._sizes) > _ATTEMPTS_SEEN:
            del self._sizes[next(iter(self._sizes))]


def _refused(error: OSError) -> StoreRefused:
    return StoreRefused(error.errno, error.strerror or str(error), error.filename)
