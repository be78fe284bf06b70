"""A queue of images to be saved, in batches when they arrive faster than the disk can sync them.

A batch is synced once. With one save for each image, an image of 20 KB takes 1.5 times as much CPU and one of 1.5 MB a
seventh more (lines `small` and `big` of `python -m tests.bench`). Threads save them, or a second process while they queue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from runner.artifacts.image_store import ImageStore, Saved, ToSave
from runner.artifacts.save_process import ProcessLost, SaveProcess
from runner.engine.ports import CancelSignal
from runner.process.event_loop import DaemonPool
from schemas.outcome import SavedImage

THREADS = 4
"""More threads sync faster on a slow disk, but compete for the interpreter's lock on any."""
FEW = 2
"""With so many batches under way, only large ones are started; smaller ones wait and grow."""
MANY_IMAGES, MANY_BYTES = 16, 2**21
"""A batch of so many images or bytes is large. It is not exceeded by more than one image."""
QUEUED = 12
"""With more images than this waiting or being saved, the second process is started,"""
SHORT_RUN = 100
"""once so many have been saved: a shorter run is over before the process is of use."""


class _Save(NamedTuple):
    order: ToSave
    size: int
    saved: asyncio.Future[SavedImage]


class SaveQueue:
    """The images of one run, for use in one event loop. Must be closed.

    cancel: the run is cut short. pool: the threads, which other saves use too.
    """

    def __init__(self, images: ImageStore, cancel: CancelSignal) -> None:
        self._images = images
        self._process = SaveProcess(images, cancel)
        self._waiting: deque[_Save] = deque()
        self._busy = self._images_busy = self._saved = 0
        self.pool = DaemonPool(THREADS, "save")

    async def close(self) -> None:
        """Cancel the futures of images whose save has not started.

        The threads are not waited for: a save that still goes on when the run is over hangs in a disk.
        """
        for save in self._waiting:
            save.saved.cancel()
        self._waiting.clear()
        await self._process.close()
        self.pool.shutdown(wait=False)

    @property
    def moved(self) -> str:
        """As `Folder.moved`, seen by the second process."""
        return self._process.moved

    def save(self, order: ToSave) -> asyncio.Future[SavedImage]:
        """The image, when it is durable. The future raises what `ImageStore.save` does."""
        saved: asyncio.Future[SavedImage] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Save(order, sum(map(len, order.pieces)), saved))
        self._go_on()
        return saved

    def _go_on(self) -> None:
        while self._may_begin() and (batch := self._batch()):
            self._busy += 1
            self._images_busy += len(batch)
            self._begun([save.order for save in batch]).add_done_callback(partial(self._settle, batch))
        if len(self._waiting) + self._images_busy > QUEUED and self._saved > SHORT_RUN:
            self._process.start()

    def _begun(self, orders: Sequence[ToSave]) -> asyncio.Future[list[Saved]]:
        saved = self._process.save_all(orders)
        return (
            self._by_thread(orders) if saved is None else asyncio.ensure_future(self._made_up(saved, orders))
        )

    async def _made_up(self, saved: asyncio.Future[list[Saved]], orders: Sequence[ToSave]) -> list[Saved]:
        """What the process saved, or this one's threads instead when it is gone."""
        try:
            return await saved
        except ProcessLost:
            return await self._by_thread(orders)

    def _by_thread(self, orders: Sequence[ToSave]) -> asyncio.Future[list[Saved]]:
        return asyncio.get_running_loop().run_in_executor(self.pool, self._images.save_all, orders)

    def _may_begin(self) -> bool:
        if self._busy < FEW:
            return True
        if self._busy >= THREADS:
            return False
        size, many = 0, min(len(self._waiting), MANY_IMAGES)
        for index in range(many):
            size += self._waiting[index].size
        return many == MANY_IMAGES or size >= MANY_BYTES

    def _batch(self) -> list[_Save]:
        """The next images, without those whose future is done (cancelled); empty when none wait."""
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
        self._images_busy -= len(batch)
        self._saved += len(batch)
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
