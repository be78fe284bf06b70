"""Large files written straight to the disk. Image files are not read again soon: in the page cache they would cost a copy,
and memory that somebody else could use, on the way to the same disk that `fsync` waits for."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain

Buffer = bytes | bytearray | memoryview

LEAST_BYTES = 2**18
"""Smaller files are written as usual."""
_BLOCK = 4096
_STEP_BYTES = 2**22
_IMPOSSIBLE = (errno.EINVAL, errno.EOPNOTSUPP)
_O_DIRECT = getattr(os, "O_DIRECT", 0)


class _Aligned(threading.local):
    """Memory on a page boundary, for each thread its own; pages that nothing was put into take no room.

    Private: what is shared would be shared with processes that are forked, too.
    """

    def __init__(self) -> None:
        self.memory = memoryview(mmap.mmap(-1, _STEP_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))

    def filled(self, pieces: Iterator[memoryview], left: memoryview) -> tuple[memoryview, memoryview]:
        """What the rest of a piece and those after it give, up to its size; and what is left of the last."""
        size = 0
        while size < _STEP_BYTES:
            if not left:
                left = next(pieces, left)
                if not left:
                    break
            part = left[: _STEP_BYTES - size]
            self.memory[size : size + len(part)] = part
            size += len(part)
            left = left[len(part) :]
        return self.memory[:size], left


_aligned = _Aligned()


def write(descriptor: int, pieces: Iterable[Buffer]) -> int:
    """Write all pieces into an empty file, past the page cache where that can be done; bytes written.

    Raises OSError. The last bytes, fewer than a block, go the usual way. Durable only after an `fsync`.
    """
    views = (memoryview(piece) for piece in pieces if piece)
    first: list[memoryview] = []
    size = 0
    while size < LEAST_BYTES:
        view = next(views, None)
        if view is None:
            return sum(write_all(descriptor, each) for each in first)
        first.append(view)
        size += len(view)
    return _straight_on(descriptor, chain(first, views))


def begin_sync(descriptor: int) -> None:
    """Have the disk begin with what was written and will not be read again soon. Nothing is waited for, or certain."""
    with suppress(AttributeError, OSError):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _straight_on(descriptor: int, views: Iterator[memoryview]) -> int:
    """Write the first piece from where it is, if that can be done, and what is left by way of memory of our own."""
    left = next(views)
    written = _blocks(descriptor, left)
    left = left[written:]
    while True:
        full, left = _aligned.filled(views, left)
        if not full:
            return written
        done = _blocks(descriptor, full)
        written += done + write_all(descriptor, full[done:])


def _blocks(descriptor: int, view: memoryview) -> int:
    """Write whole blocks straight from memory; how many bytes, 0 where it cannot be done from there."""
    if len(view) < LEAST_BYTES:
        return 0
    try:
        with _straight(descriptor):
            return os.write(descriptor, view[: len(view) // _BLOCK * _BLOCK])
    except OSError as error:
        if error.errno not in _IMPOSSIBLE:
            raise
        return 0


@contextmanager
def _straight(descriptor: int) -> Iterator[None]:
    """For the block, writes go past the page cache. Raises OSError (EINVAL) where the file system has no such thing."""
    if not _O_DIRECT:
        raise OSError(errno.EINVAL, "no direct writing here")
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | _O_DIRECT)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def write_all(descriptor: int, piece: Buffer) -> int:
    """Write one piece where the file stands; its bytes. Raises OSError."""
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(piece)
