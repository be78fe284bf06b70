"""A second process that saves images, for as long as they arrive faster than this one's threads can save them.

Checking, hashing and writing let other threads run, but each of their dozen steps then waits for the interpreter's lock,
and so does the event loop: 55 waits an image instead of 10. A second process has a lock of its own. Where none can be had
(no Linux), or when it dies, threads save what it has not.

Orders and answers are pickled, each after its length, on the process's stdin and stdout. Images lie in shared memory.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import pickle
import queue
import struct
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from runner.artifacts.atomic_files import Folder
from runner.artifacts.check_process import ENVIRONMENT
from runner.artifacts.image_checks import ImageInfo
from runner.artifacts.image_store import ImageStore, Saved, ToSave
from runner.engine.ports import CancelSignal
from runner.process.children import end_child
from schemas.artifacts import Check, Label, RequestedFormat

SLOTS = 4
"""Batches at a time, each saved by a thread of the process."""
SLOT_BYTES = 2**23
"""A larger batch (an image of more than six megabytes) is left to this process's threads."""
WAIT_S = 60.0
"""A process that has not saved a batch by then is stopped, or its disk hangs."""
_LEAVE_S = 1.0
"""How long the end of a run waits for it."""
_END_S = 0.1
"""How long its exit may take once it has closed its output."""
_LENGTH = struct.Struct(">I")
_NOT_TO_BE_HAD = (OSError, AttributeError, ValueError, TypeError, NotImplementedError)
_CODE = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from runner.artifacts.save_process import main; main(*sys.argv[2:])"
)


class ProcessLost(Exception):
    """The process ended, or was ended, before it answered."""


class _Order(NamedTuple):
    """An image in shared memory. The rest as in `ToSave`."""

    start: int
    size: int
    requested: RequestedFormat
    label: Label
    info: ImageInfo | None


class _Batch(NamedTuple):
    """number: of the slot. patience_ns: as in `ImageStore`."""

    number: int
    patience_ns: int
    orders: list[_Order]


class _Answer(NamedTuple):
    """ends: of each image, in order, or what went wrong with all. moved: as `Folder.moved`."""

    number: int
    ends: list[Saved] | Exception
    moved: str


class SaveProcess:
    """At most one process, for use in one event loop. Must be closed.

    cancel: it is not waited for any longer. moved: as `Folder.moved`, seen by the process.
    """

    def __init__(self, images: ImageStore, cancel: CancelSignal) -> None:
        self._images = images
        self._cancel = cancel
        self._running: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._memory: mmap.mmap | None = None
        self._free = list(range(SLOTS))
        self._answers: dict[int, asyncio.Future[list[Saved]]] = {}
        self.moved = ""

    def start(self) -> None:
        """Start it, unless that has been tried. It takes images some tenths of a second later."""
        if self._running is None:
            self._running = asyncio.create_task(self._run())

    def save_all(self, orders: Sequence[ToSave]) -> asyncio.Future[list[Saved]] | None:
        """See `ImageStore.save_all`; None where it cannot take this batch now.

        The future raises ProcessLost when it came to nothing; a part may be saved then, under names that are not known.
        """
        process, memory = self._process, self._memory
        if process is None or process.stdin is None or memory is None or not self._free:
            return None
        if sum(map(_size, orders)) > SLOT_BYTES:
            return None
        slot = self._free.pop()
        batch = _Batch(slot, self._images.patience_ns(), _in_memory(memory, slot * SLOT_BYTES, orders))
        answer = self._answers[slot] = asyncio.get_running_loop().create_future()
        process.stdin.write(_message(batch))
        return asyncio.ensure_future(self._answered(answer))

    async def _answered(self, answer: asyncio.Future[list[Saved]]) -> list[Saved]:
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S), self._cancel.cancellable():
                return await asyncio.shield(answer)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                return await asyncio.shield(answer)
        await self.close()
        raise ProcessLost

    async def close(self) -> None:
        """End it, within a second whatever it does. What it has not answered is lost to it."""
        if self._running is None:
            return
        if not self._answers and self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await asyncio.wait((self._running,), timeout=_LEAVE_S)
        if not self._running.cancelling():
            self._running.cancel()
        await asyncio.wait((self._running,))

    async def _run(self) -> None:
        with suppress(*_NOT_TO_BE_HAD):
            process, memory = await self._launch()
            try:
                assert process.stdout is not None
                await self._read(process.stdout, memory)
            finally:
                self._memory = None
                for answer in self._answers.values():
                    if not answer.done():
                        answer.set_exception(ProcessLost())
                self._answers.clear()
                assert process.stdin is not None
                process.stdin.close()
                await end_child(process, _END_S, _LEAVE_S)

    async def _launch(self) -> tuple[asyncio.subprocess.Process, mmap.mmap]:
        descriptor = os.memfd_create("imagemill")
        try:
            os.ftruncate(descriptor, SLOTS * SLOT_BYTES)
            memory = mmap.mmap(descriptor, 0)
            arguments = (descriptor, self._images.folder.root.absolute(), json.dumps(self._images.check))
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-c", _CODE, json.dumps(sys.path), *map(str, arguments)),
                pass_fds=(descriptor,),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
                start_new_session=True,  # Ctrl-C is for the run, which decides what becomes of this
            )
        finally:
            os.close(descriptor)
        return self._process, memory

    async def _read(self, answers: asyncio.StreamReader, memory: mmap.mmap) -> None:
        """Take its answers until it ends; the first says that it is ready."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (size,) = _LENGTH.unpack(await answers.readexactly(_LENGTH.size))
                message: _Answer | None = pickle.loads(await answers.readexactly(size))
                if message is None:
                    self._memory = memory
                    continue
                self.moved = message.moved or self.moved
                self._free.append(message.number)
                answer = self._answers.pop(message.number)
                if answer.done():
                    continue
                if isinstance(message.ends, Exception):
                    answer.set_exception(message.ends)
                else:
                    answer.set_result(message.ends)


def _size(order: ToSave) -> int:
    return sum(map(len, order.pieces))


def _in_memory(memory: mmap.mmap, end: int, orders: Sequence[ToSave]) -> list[_Order]:
    """Copy the images into shared memory, one behind the other from `end` on."""
    copied = []
    for order in orders:
        start = end
        for piece in order.pieces:
            memory[end : end + len(piece)] = piece
            end += len(piece)
        copied.append(_Order(start, end - start, order.requested, order.label, order.info))
    return copied


def _message(content: object) -> bytes:
    data = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


def main(memory: str, root: str, check: str) -> None:
    """Save what is ordered on stdin until that ends, which is when the other process does. memory: its descriptor."""
    folder = Folder(Path(root))
    saver = _Saver(
        ImageStore(folder, Check(*json.loads(check))), mmap.mmap(int(memory), 0, access=mmap.ACCESS_READ)
    )
    for _ in range(SLOTS):
        threading.Thread(target=saver.work, daemon=True).start()
    saver.say(None)
    while len(head := sys.stdin.buffer.read(_LENGTH.size)) == _LENGTH.size:
        saver.batches.put(pickle.loads(sys.stdin.buffer.read(*_LENGTH.unpack(head))))
    os._exit(0)  # nobody is there to be told of what is under way


class _Saver:
    """Saves batches, in the second process."""

    def __init__(self, images: ImageStore, memory: mmap.mmap) -> None:
        self._images = images
        self._memory = memoryview(memory)
        self._speaking = threading.Lock()
        self.batches: queue.SimpleQueue[_Batch] = queue.SimpleQueue()

    def work(self) -> None:
        """Save batch after batch."""
        while True:
            batch = self.batches.get()
            ends: list[Saved] | Exception
            try:
                images = self._images._replace(patience_ns=partial(int, batch.patience_ns))
                ends = images.save_all([self._to_save(order) for order in batch.orders])
            except Exception as error:  # noqa: BLE001 - a defect, which the other process tells of
                ends = error
            self.say(_Answer(batch.number, ends, self._images.folder.moved))

    def say(self, answer: _Answer | None) -> None:
        """Send an answer; None: ready."""
        with self._speaking:
            sys.stdout.buffer.write(_message(answer))
            sys.stdout.buffer.flush()

    def _to_save(self, order: _Order) -> ToSave:
        data = self._memory[order.start : order.start + order.size]
        return ToSave((data,), order.requested, order.label, order.info)
