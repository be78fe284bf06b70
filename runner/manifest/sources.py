"""Files that manifests are read from, local or remote: opening, unpacking, and naming what is wrong with them."""

from __future__ import annotations

import errno
import gzip
import io
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


class Source(NamedTuple):
    """One file. name: for messages and places.

    stream: opens it for reading from the start, buffered.
    seekable: what pyarrow reads it through at any place: a path, or a seekable binary file.
    """

    name: str
    stream: Callable[[], io.BufferedReader]
    seekable: Callable[[], str | BinaryIO]


def printable(name: str) -> str:
    """A file's name for a message: on one line, without control characters or bytes that are not UTF-8."""
    return name if name.isprintable() else name.encode("unicode_escape", "backslashreplace").decode("ascii")


def local_source(path: Path, name: str) -> Source:
    """A file on this machine; it is opened only when it is read."""
    return Source(name, lambda: path.open("rb"), lambda: str(path))


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
def open_text(source: Source) -> Iterator[Readable]:
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
