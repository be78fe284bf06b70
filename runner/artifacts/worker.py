"""The process that saves images for a run: it has an interpreter of its own, and lives no longer than the run does.

Messages come and go over a socket that keeps them apart, the images' bytes lie in memory that both processes see.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import signal
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any

from runner.artifacts.atomic_files import Folder
from runner.artifacts.image_store import Asked, ImageStore, Label, NotAnImage
from schemas.outcome import SavedImage

READY = b"ready"
LARGEST_MESSAGE = 2**16
THREADS = 4
"""More of them would fight for the interpreter's lock; what comes while all are busy is saved together."""
_FIELDS = attrgetter(*SavedImage.__slots__)
_PR_SET_PDEATHSIG = 1

Order = tuple[int, int, tuple[Any, ...], tuple[Any, ...]]
"""Where the bytes begin, how many they are, and the fields of the image's `Asked` and `Label`, whose classes would take
longer to tell of than all else. A message is a list of them."""
Told = tuple[Any, ...] | NotAnImage | OSError
"""The fields of the `SavedImage`, or why there is none. The answer to a message is a list of these, each after where its
bytes began."""


def main(arguments: Sequence[str]) -> None:
    """Serve until the other end of the socket is closed. arguments: socket, memory, folder, pixels at most, parent."""
    descriptor, memory, root, max_pixels, parent = arguments
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _die_with(int(parent))
    images = ImageStore(Folder(Path(root)), int(max_pixels))
    shared = mmap.mmap(int(memory), 0, access=mmap.ACCESS_READ)
    with images.folder.in_use(), socket.socket(fileno=int(descriptor)) as line:
        line.send(READY)
        threads = [threading.Thread(target=_serve, args=(line, shared, images)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _die_with(parent: int) -> None:
    """Be killed when the parent dies, however it dies."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def _serve(line: socket.socket, shared: mmap.mmap, images: ImageStore) -> None:
    """Each thread takes the next orders; the socket hands out whole messages."""
    memory = memoryview(shared)
    with suppress(OSError):  # nobody listens any more
        while message := line.recv(LARGEST_MESSAGE):
            orders: list[Order] = pickle.loads(message)
            ends = images.save_all(
                [
                    ((memory[start : start + size],), Asked(*asked), Label(*label))
                    for start, size, asked, label in orders
                ]
            )
            line.send(
                pickle.dumps([(start, _told(end)) for (start, *_), end in zip(orders, ends, strict=True)])
            )


def _told(end: SavedImage | NotAnImage | OSError) -> Told:
    return end.with_traceback(None) if isinstance(end, Exception) else _FIELDS(end)
