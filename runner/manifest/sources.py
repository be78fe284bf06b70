"""Files that manifests are read from, local or remote: opening, unpacking, and naming what is wrong with them."""

from __future__ import annotations

import errno
import gzip
import io
import os
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import pyarrow as pa

from runner.manifest.lines import Readable
from runner.manifest.records import ManifestError
from schemas.errors import ExitCode

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class FileState(NamedTuple):
    """What tells a file from what it becomes: its size in bytes, which file it is, and when or as what it was written."""

    size: int
    identity: object
    version: object


class SourceFile(NamedTuple):
    """One file. name: for messages and locations.

    stream: opens it for reading from the start, buffered.
    seekable: what pyarrow reads it through at any place: a path, or a seekable binary file.
    state: how it is now; None where it is not there any more.
    pinned: the same file, whatever is given its name later. What is written into the file itself shows there too.
    check: raises ManifestError where what was read is not the file that a run began with; see `HeldFiles`.
    """

    name: str
    stream: Callable[[], io.BufferedReader]
    seekable: Callable[[], str | BinaryIO]
    state: Callable[[], FileState | None]
    pinned: Callable[[], SourceFile]
    check: Callable[[], None] = lambda: None


def printable(name: str) -> str:
    """A file's name for a message: on one line, without control characters or bytes that are not UTF-8."""
    return name if name.isprintable() else name.encode("unicode_escape", "backslashreplace").decode("ascii")


def local_source(path: Path, name: str) -> SourceFile:
    """A file on this machine; it is opened only when it is read."""
    return SourceFile(
        name,
        lambda: path.open("rb"),
        lambda: str(path),
        lambda: _local_state(path),
        lambda: _descriptor_source(path, name),
    )


def _local_state(path: Path) -> FileState | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return FileState(stat.st_size, (stat.st_dev, stat.st_ino), stat.st_mtime_ns)


class _Descriptor:
    """A file that stays open for as long as this object is there. Each opening of `path` reads it from its start."""

    def __init__(self, path: Path) -> None:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, number)
        self.path = Path(f"/proc/self/fd/{number}")

    def stream(self) -> io.BufferedReader:
        """Opens it from the start."""
        return self.path.open("rb")

    def seekable(self) -> str:
        """A path for pyarrow."""
        return str(self.path)

    def state(self) -> FileState | None:
        """Of the open file, wherever it was moved."""
        return _local_state(self.path)


def _descriptor_source(path: Path, name: str) -> SourceFile:
    with reading(name):
        held = _Descriptor(path)
    if held.state() is None:  # a system without /proc
        return local_source(path, name)
    return SourceFile(name, held.stream, held.seekable, held.state, lambda: _descriptor_source(path, name))


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turns what reading a file can raise into a `ManifestError` that names it."""
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException, UnicodeDecodeError) as error:
        problem, fix = _explained(error)
        here = getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE)
        code = ExitCode.LOCAL if here else ExitCode.USAGE
        raise ManifestError(f"{name} {problem}", fix=fix, exit_code=code) from error


@contextmanager
def open_text(source: SourceFile) -> Iterator[Readable]:
    """The source's bytes, unpacked where they are gzip or zstd (whatever the name says), under `reading`."""
    with reading(source.name), source.stream() as raw:
        head = raw.peek(len(ZSTD_MAGIC))
        if head.startswith(GZIP_MAGIC):
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield unpacked
        elif head.startswith(ZSTD_MAGIC):
            with pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd") as stream:
                yield cast(Readable, stream)
        else:
            yield raw


def _explained(error: Exception) -> tuple[str, str]:
    """What happened and what to do about it."""
    for kind, problem, fix in _PROBLEMS:
        if isinstance(error, kind):
            return problem, fix
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (
        f"cannot be read: {' '.join(text.split())[:300]}",
        "check that the file is whole and of the form its name says",
    )


_DAMAGED = "ends too early or is damaged inside its compression"
_AGAIN = "fetch or write the file again"

_PROBLEMS: tuple[tuple[type[Exception], str, str], ...] = (
    (FileNotFoundError, "is not there", "check the path"),
    (PermissionError, "may not be read by this user", "check the file's permissions"),
    (IsADirectoryError, "is a folder", "name a file, or a folder of .txt files"),
    (EOFError, _DAMAGED, _AGAIN),
    (zlib.error, _DAMAGED, _AGAIN),
    (gzip.BadGzipFile, _DAMAGED, _AGAIN),
)
"""The first that fits; anything else is shown in the words of the system."""
