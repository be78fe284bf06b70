"""Images on their way to the disk: saved by threads, several at a time when they come faster than it can sync them.

What waits is saved together, so that the disk is waited for once: with one save an image, an image of 20 KB takes 1.5 times
as much CPU and one of 1.5 MB a seventh more (lines `small` and `big` of `python -m tests.bench`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from runner.artifacts.image_store import ImageStore, Saved, ToSave
from schemas.artifacts import Asked, Label
from schemas.outcome import SavedImage

THREADS = 4
"""More of them sync faster on a slow disk, and fight for the interpreter's lock on any."""
FEW = 2
"""Batches under way, beyond which only large ones are begun; what waits, grows."""
MANY_IMAGES, MANY_BYTES = 16, 2**21
"""What makes a batch large, and is not exceeded by more than an image."""


class _Save(NamedTuple):
    order: ToSave
    size: int
    saved: asyncio.Future[SavedImage]


class SaveQueue:
    """The images of one run, which has one event loop. To be closed. pool: the threads, for other saves as well."""

    def __init__(self, images: ImageStore) -> None:
        self._images = images
        self._waiting: deque[_Save] = deque()
        self._busy = 0
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="save")

    async def close(self) -> None:
        """Wait for the threads; what they have not begun is not saved, and its futures are cancelled."""
        for save in self._waiting:
            save.saved.cancel()
        self._waiting.clear()
        await asyncio.to_thread(self.pool.shutdown)

    def save(self, pieces: Sequence[bytes], asked: Asked, label: Label) -> asyncio.Future[SavedImage]:
        """The image, when it is durable. The future raises NotAnImage, or OSError when the disk refuses."""
        saved: asyncio.Future[SavedImage] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Save((pieces, asked, label), sum(map(len, pieces)), saved))
        self._go_on()
        return saved

    def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        while self._may_begin() and (batch := self._batch()):
            self._busy += 1
            orders = [save.order for save in batch]
            done = loop.run_in_executor(self.pool, self._images.save_all, orders)
            done.add_done_callback(partial(self._settle, batch))

    def _may_begin(self) -> bool:
        if self._busy < FEW:
            return True
        if self._busy >= THREADS:
            return False
        size, many = 0, min(len(self._waiting), MANY_IMAGES)
        for place in range(many):
            size += self._waiting[place].size
        return many == MANY_IMAGES or size >= MANY_BYTES

    def _batch(self) -> list[_Save]:
        """The next images, but for those that nobody waits for any more; none when none wait."""
        batch: list[_Save] = []
        size = 0
        while self._waiting and len(batch) < MANY_IMAGES and size < MANY_BYTES:
            save = self._waiting.popleft()
            if not save.saved.done():
                batch.append(save)
                size += save.size
        return batch

    def _settle(self, batch: list[_Save], done: asyncio.Future[list[Saved]]) -> None:
        self._busy -= 1
        problem = done.exception()
        ends = [problem] * len(batch) if problem is not None else done.result()
        for save, end in zip(batch, ends, strict=True):
            if save.saved.done():
                continue
            if isinstance(end, SavedImage):
                save.saved.set_result(end)
            else:
                save.saved.set_exception(end)
        self._go_on()
