"""Artifacts (images and quarantined bodies) in a folder of this machine, by names relative to it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from jobs.naming import image_folder, image_name, quarantine_name
from runner.artifacts.atomic_files import Folder, save_unique
from runner.artifacts.image_checks import PATIENCE_NS, SHORT_PATIENCE_NS, SlowCheck, inspect_image
from runner.artifacts.image_store import ImageStore, ToSave
from runner.artifacts.save_queue import SaveQueue
from runner.artifacts.slow_checks import SlowChecks
from runner.artifacts.spool import Spool
from runner.engine.ports import CancelSignal, StoreRefused
from schemas.artifacts import Check, Label, RequestedFormat, SpoolNote
from schemas.outcome import KeptBody, SavedImage
from schemas.output_folder import IMAGES, QUARANTINE

T = TypeVar("T")

_LEAST_FREE_BYTES = 8 * 2**20
_LEAST_FREE_FILES = 16
_FIRST_IMAGE_BYTES = 4 * 2**20
"""The assumed size of an answer until one was saved."""
_ATTEMPTS_SEEN = 1024
"""Attempts whose image sizes are added up; more are never saved at a time."""
_CHECK_EVERY_S = 1.0


class LocalFolder:
    """The artifacts of one run. A name that was returned is durable. Use as an async context manager inside the loop.

    Args:
        folder: OUT, whose lock this process holds.
        check: what is asked of an image.
        cancel: ends the checks that take long.
        release: gives back the space and descriptors that were set aside for a full disk.
    """

    def __init__(
        self,
        folder: Folder,
        check: Check,
        cancel: CancelSignal,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._release = release
        self._folder = folder
        self._slow = SlowChecks(check, cancel)
        self._queue = SaveQueue(
            ImageStore(folder, check, lambda: SHORT_PATIENCE_NS if cancel.is_set() else PATIENCE_NS), cancel
        )
        self._check = check
        self._sizes: dict[int, list[int]] = {}
        self._largest = self._most_images = 0
        self._checked_s = float("-inf")
        self._disk = self._images_disk = Free(0, None)

    async def __aenter__(self) -> LocalFolder:
        self._spool = Spool(self._folder)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._queue.close()
        await self._slow.close()
        self._spool.close()

    async def save_image(self, data: Sequence[bytes], requested: RequestedFormat, label: Label) -> SavedImage:
        """Check and save one image.

        Args:
            data: the image's bytes, in pieces.
            requested: format and size in the request; differences are flagged.
            label: what its file is named after.

        Raises:
            NotAnImage: the bytes are no whole image of a format that can be checked, or not in the time there is.
            StoreRefused: the disk did not take it; the same call may succeed later.
        """
        order = ToSave(data, requested, label)
        try:
            try:
                saved = await self._queue.save(order)
            except SlowCheck:
                info = await self._slow.inspect(data, requested)
                saved = await self._queue.save(order._replace(info=info))
        except OSError as error:
            raise self._refused(image_folder(label.attempt), error) from error
        self._saw(label.attempt, saved.bytes)
        return saved

    async def quarantine(self, label: Label, data: Iterable[bytes]) -> KeptBody:
        """Keep a body that could not be used, as it is, readable only by who may write to the folder.

        Raises:
            StoreRefused: the disk did not take it; the same call may succeed later.
        """
        name = quarantine_name(label.attempt, label.slug)

        def save() -> KeptBody:
            pieces, digest = tuple(data), hashlib.sha256()
            for piece in pieces:
                digest.update(piece)
            kept = save_unique(self._folder, name, lambda: pieces, private=True)
            return KeptBody(kept, sum(map(len, pieces)), digest.hexdigest())

        return await self._in_thread(QUARANTINE, save)

    async def spool(self, label: Label, data: Iterable[bytes], note: SpoolNote) -> str:
        """See `ArtifactStore`."""

        def add() -> str:
            pieces = tuple(data)
            name = PurePosixPath(quarantine_name(label.attempt, label.slug))
            if not note.is_body:
                kind = self._format(b"".join(pieces))
                name = PurePosixPath(image_name(label.attempt, label.image, label.slug, kind))
            told = {"attempt": label.attempt, "image": label.image, **note._asdict()}
            return self._spool.add(label.attempt, name.name, pieces, told)

        return await self._in_thread(QUARANTINE, add)

    def _format(self, data: bytes) -> str:
        """Of an image that has been checked: a drawing was asked for, or it would not be one."""
        try:
            return inspect_image(data, asked_format="svg", check=self._check, patience_ns=PATIENCE_NS).format
        except SlowCheck as slow:
            return slow.info.format

    async def _in_thread(self, folder: str, save: Callable[[], T]) -> T:
        """Run a blocking save into this folder in one of the threads for saves. Raises StoreRefused."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._queue.pool, save)
        except OSError as error:
            raise self._refused(folder, error) from error

    def _refused(self, folder: str, error: OSError) -> StoreRefused:
        return StoreRefused(error.errno, error.strerror or str(error), str(self._folder.root / folder))

    def room_for(self, in_flight: int) -> str | None:
        """Why nothing more should be sent while so many answers are in flight; None when there is room.

        Each is taken to need up to twice what the largest so far did, in bytes and in files. Quotas do not show here.
        """
        root = self._folder.root
        if moved := self._folder.moved or self._queue.moved:
            return f"{root / moved} was moved away or removed while images went there"
        self._look()
        answers = in_flight + 1
        size = _LEAST_FREE_BYTES + answers * (2 * self._largest or _FIRST_IMAGE_BYTES)
        files = _LEAST_FREE_FILES + answers * (2 * self._most_images or 1)
        return self._images_disk.lack(size, files) or self._disk.lack(_LEAST_FREE_BYTES, _LEAST_FREE_FILES)

    def _look(self) -> None:
        """Look at the disks, once a second at most. That of `images/` need not be that of the others."""
        now_s = time.monotonic()
        if now_s - self._checked_s < _CHECK_EVERY_S:
            return
        self._checked_s = now_s
        root, images = self._folder.root, self._folder.root / IMAGES
        self._disk = Free.on(root)
        self._images_disk = Free.on(images) if images.is_dir() else self._disk

    def release_reserve(self) -> None:
        """See `ArtifactStore`."""
        self._release()

    def _saw(self, attempt: int, size: int) -> None:
        """Add an image to its answer."""
        sizes = self._sizes[attempt] = self._sizes.pop(attempt, [])
        sizes.append(size)
        self._largest = max(self._largest, sum(sizes))
        self._most_images = max(self._most_images, len(sizes))
        self._images_disk = self._images_disk.less(size)
        if len(self._sizes) > _ATTEMPTS_SEEN:
            del self._sizes[next(iter(self._sizes))]


@dataclass(frozen=True, slots=True)
class Free:
    """What a disk has room for. files: None where the file system sets no number."""

    bytes: int
    files: int | None

    @classmethod
    def on(cls, folder: Path) -> Free:
        """Raises OSError."""
        stat = os.statvfs(folder)
        return cls(stat.f_bavail * stat.f_frsize, stat.f_favail if stat.f_files else None)

    def less(self, size: int) -> Free:
        """What is left of it when a file of this size has been saved."""
        return Free(self.bytes - size, None if self.files is None else self.files - 1)

    def lack(self, size: int, files: int) -> str | None:
        """What is missing for so many bytes in so many files; None where there is room for both."""
        if self.bytes < size:
            free = max(0, self.bytes) / 2**20
            return f"the disk is nearly full: {free:,.0f} MiB free where {size / 2**20:,.0f} are needed"
        if self.files is not None and self.files < files:
            free = max(0, self.files)
            return f"the disk has room for {free:,} more files (df -i) where {files:,} are needed"
        return None
