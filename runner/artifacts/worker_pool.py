"""Images saved by a process of their own, once they come faster than this one's threads can save them.

Hashing, checking and writing let other threads run, but each of their dozen steps waits for its turn of the
interpreter's lock behind the event loop. A second process has a lock of its own. It is started when saves begin to queue,
so that a usual run never has it, and whenever it cannot be had, or dies, the threads save what it did not.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import pickle
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from runner.artifacts.image_store import Asked, ImageStore, Label
from runner.artifacts.worker import LARGEST_MESSAGE, READY, THREADS, Order
from runner.http.messages import Pieces
from schemas.outcome import SavedImage

QUEUED = 12
"""Saves under way in threads at which the process is started."""
SHORT_RUN = 100
"""Images of a run that would be over before the process is of use."""
_SLOTS = ((128, 2**17), (24, 2**24))
"""How many there are, and of how many bytes each; a larger image is saved by a thread."""
_LARGEST = _SLOTS[-1][1]
_ENOUGH_BYTES = 2**24
"""While it has so many, nothing more is handed over: what waits takes no room twice."""
_MESSAGES = 2
"""Of orders that it has not answered, after which more are sent only when they are many; the rest waits, and grows."""
_MANY_IMAGES, _MANY_BYTES = 16, 2**21
_ORDERS_BYTES = 2**20
"""Of orders that it has not taken yet; what does not fit counts as its end."""
_PATIENCE_S = 30.0
_NOT_TO_BE_HAD = (OSError, AttributeError, ValueError, TypeError)
"""Too few of something, no Linux, or no interpreter to start: threads do."""
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR")
_CODE = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from runner.artifacts.worker import main; main(sys.argv[2:])"
)


class Gone(Exception):
    """The process ended before it saved the image."""


class _Slots:
    """Places in the memory that both processes see, told by where they begin."""

    def __init__(self) -> None:
        self.bytes = 0
        self._free: list[tuple[int, list[int]]] = []
        for count, room in _SLOTS:
            end = self.bytes + count * room
            self._free.append((room, list(range(self.bytes, end, room))))
            self.bytes = end
        self._rooms = {start: starts for _, starts in self._free for start in starts}

    def take(self, size: int) -> int | None:
        """A place with this much room, the one that was used last; None while there is none."""
        return next((starts.pop() for room, starts in self._free if starts and size <= room), None)

    def give_back(self, start: int) -> None:
        """It is free again."""
        self._rooms[start].append(start)


class _Save(NamedTuple):
    pieces: Pieces
    size: int
    asked: Asked
    label: Label
    saved: asyncio.Future[SavedImage]


class SavingProcess:
    """At most one process. Use as an async context manager inside the running event loop.

    to_make: how many images the run makes, as far as that is known.
    """

    def __init__(self, images: ImageStore, to_make: Callable[[], int]) -> None:
        self._images = images
        self._to_make = to_make
        self._elsewhere = 0
        self._tried = False
        self._ready = False
        self._line: socket.socket | None = None
        self._waiting: deque[_Save] = deque()
        self._under_way: dict[int, _Save] = {}
        self._slots = _Slots()
        self._handed_bytes = self._messages = 0
        self._held = ExitStack()

    async def __aenter__(self) -> SavingProcess:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._give_up()
        await asyncio.to_thread(self._held.close)

    def takes(self, pieces: Pieces) -> bool:
        """Whether it is there to save an image of this size."""
        return self._ready and sum(map(len, pieces)) <= _LARGEST

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """For the block, an image is saved without it; many at a time are a reason to start it."""
        self._elsewhere += 1
        if self._elsewhere > QUEUED and not self._tried and self._to_make() > SHORT_RUN:
            self._start()
        try:
            yield
        finally:
            self._elsewhere -= 1

    def save(self, pieces: Pieces, asked: Asked, label: Label) -> asyncio.Future[SavedImage]:
        """The image, when it is durable. The future raises NotAnImage, OSError, or Gone."""
        save = _Save(pieces, sum(map(len, pieces)), asked, label, asyncio.get_running_loop().create_future())
        self._waiting.append(save)
        self._hand_over()
        return save.saved

    def _start(self) -> None:
        """Not from another thread: the process dies with the thread that started it."""
        self._tried = True
        try:
            self._line, self._shared = self._launch()
        except _NOT_TO_BE_HAD:
            return
        asyncio.get_running_loop().add_reader(self._line, self._heard)

    def _launch(self) -> tuple[socket.socket, mmap.mmap]:
        memory = os.memfd_create("imagemill")
        with ExitStack() as passed:
            passed.callback(os.close, memory)
            os.ftruncate(memory, self._slots.bytes)
            shared = self._held.enter_context(mmap.mmap(memory, 0))
            line, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._held.enter_context(line)
            passed.enter_context(far)
            ends = (far.fileno(), memory)
            rest = (*ends, self._images.folder.root.absolute(), self._images.max_pixels, os.getpid())
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", _CODE, json.dumps(sys.path), *map(str, rest)],
                pass_fds=ends,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            )
        self._held.callback(_ended, process)
        line.setblocking(False)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ORDERS_BYTES)
        return line, shared

    def _hand_over(self) -> None:
        """Give it as many images as it has room for, together if it is busy."""
        while (line := self._line) is not None and self._may_send() and (orders := self._orders()):
            self._messages += 1
            try:
                line.send(pickle.dumps(orders))
            except OSError:
                self._give_up()

    def _may_send(self) -> bool:
        if self._messages < _MESSAGES:
            return True
        size, waiting = 0, min(len(self._waiting), _MANY_IMAGES)
        for place in range(waiting):
            size += self._waiting[place].size
        return self._messages < THREADS and (waiting == _MANY_IMAGES or size >= _MANY_BYTES)

    def _orders(self) -> list[Order]:
        """The next images, each in a place of its own; none while there is no room."""
        orders: list[Order] = []
        size = 0
        while self._waiting and len(orders) < _MANY_IMAGES and size < _MANY_BYTES:
            save = self._waiting[0]
            if save.saved.done():
                self._waiting.popleft()
                continue
            start = self._slots.take(save.size) if self._handed_bytes < _ENOUGH_BYTES else None
            if start is None:
                break
            self._waiting.popleft()
            end = start
            for piece in save.pieces:
                self._shared[end : end + len(piece)] = piece
                end += len(piece)
            self._under_way[start] = save
            self._handed_bytes += save.size
            size += save.size
            orders.append((start, save.size, tuple(save.asked), tuple(save.label)))
        return orders

    def _heard(self) -> None:
        while (line := self._line) is not None:
            try:
                message = line.recv(LARGEST_MESSAGE)
            except BlockingIOError:
                break
            except OSError:
                message = b""
            if not message:
                self._give_up()
                return
            if message == READY:
                self._ready = True
                continue
            self._messages -= 1
            for start, told in pickle.loads(message):
                save = self._under_way.pop(start)
                self._slots.give_back(start)
                self._handed_bytes -= save.size
                _settle(save.saved, SavedImage(*told) if isinstance(told, tuple) else told)
        self._hand_over()

    def _give_up(self) -> None:
        """It is gone, or to go: what it has not saved is for others."""
        if self._line is not None:
            asyncio.get_running_loop().remove_reader(self._line)
            self._line.close()
        self._line, self._ready = None, False
        for save in (*self._under_way.values(), *self._waiting):
            _settle(save.saved, Gone())
        self._under_way.clear()
        self._waiting.clear()


def _settle(saved: asyncio.Future[SavedImage], result: SavedImage | Exception) -> None:
    if saved.done():
        return
    if isinstance(result, Exception):
        saved.set_exception(result)
    else:
        saved.set_result(result)


def _ended(process: subprocess.Popen[bytes]) -> None:
    """Wait for its end, which the closed socket brings about."""
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
