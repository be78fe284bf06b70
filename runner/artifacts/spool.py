"""Spool files: what was paid for and could not be put under its own name, until the next run puts it there.

A spool file is a tar archive in `quarantine/`, one a run, to which whole images and bodies are appended as they come. One
file is enough however many answers are in flight, so that it also serves where no more files may be made.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from runner.artifacts.atomic_files import Buffer, Folder, settle, write_all
from schemas.output_folder import QUARANTINE

_BLOCK = 512
_NOTE = "IMAGEMILL.note"
_PLACES = (QUARANTINE, "")
"""Where a spool file goes: the first that takes it."""
_BEGINS, _ENDS = "spool-", ".tar"


class Spool:
    """The spool file of one run, set aside from the start: when it is needed, there may be no room for another file.

    Safe to use from several threads. To be closed.
    """

    def __init__(self, folder: Folder) -> None:
        """Raises OSError where no file can be made."""
        self._folder = folder
        self._adding = threading.Lock()
        self._file = folder.draft(f"{QUARANTINE}/{_BEGINS}", private=True)
        self._name = ""
        self._end = 0

    def add(self, attempt: int, member: str, data: Sequence[Buffer], note: Mapping[str, Any]) -> str:
        """Append one file, durably; the spool file's name. Raises OSError; nothing of it is kept then.

        attempt: names the spool file, if there is none yet. note: what the next run is to know (JSON), `attempt` and
        `image` among it.
        """
        digest = hashlib.sha256()
        for piece in data:
            digest.update(piece)
        info = tarfile.TarInfo(member)
        info.size, info.mode = sum(map(len, data)), 0o600
        info.pax_headers = {_NOTE: json.dumps({**note, "sha256": digest.hexdigest()})}
        pieces = (info.tobuf(tarfile.PAX_FORMAT), *data, bytes(-info.size % _BLOCK))
        with self._adding:
            self._name = self._name or self._published(attempt)
            file = self._file.descriptor
            try:
                size = sum(write_all(file, piece) for piece in pieces)
                os.fsync(file)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file, self._end)
                    os.lseek(file, self._end, os.SEEK_SET)
                raise
            self._end += size
            return self._name

    def _published(self, attempt: int) -> str:
        """Its name, in the first place that takes it. Raises the first place's OSError where none does."""
        problems = []
        for place in _PLACES:
            name = f"{place}/{_BEGINS}{attempt}{_ENDS}".lstrip("/")
            try:
                settle(self._folder.publish(self._file, name, replace=False, private=True))
            except OSError as problem:
                problems.append(problem)
            else:
                return name
        raise problems[0]

    def close(self) -> None:
        """Close the file, which goes where it was not needed."""
        self._file.discard()


class SpooledFile(NamedTuple):
    """One whole file of a spool file, of an attempt's answer. path: of the spool file. note: what was noted beside it.

    name: what it is called in there, as its own file would be. image: its index among the row's.
    """

    path: Path
    name: str
    offset: int
    size: int
    note: Mapping[str, Any]
    attempt: int
    image: int

    def read(self) -> bytes | None:
        """Its bytes; None where they are not those that were written. Raises OSError."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.size)
        return data if hashlib.sha256(data).hexdigest() == self.note.get("sha256") else None


def spool_files(out: Path) -> list[Path]:
    """The spool files of a folder, in order."""
    found = []
    for place in _PLACES:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(out / place) as entries:
            found += [
                out / place / entry.name
                for entry in entries
                if is_spool(entry.name) and entry.is_file(follow_symlinks=False)
            ]
    return sorted(found)


def is_spool(name: str) -> bool:
    """Whether a file is called as spool files are."""
    number = name.removeprefix(_BEGINS).removesuffix(_ENDS)
    return name == f"{_BEGINS}{number}{_ENDS}" and number.isdecimal()


def spooled(path: Path) -> Iterator[SpooledFile]:
    """What a spool file holds, up to where it was cut. Raises OSError."""
    with suppress(tarfile.TarError), tarfile.open(path, "r:") as archive:
        for info in archive:
            with suppress(ValueError, KeyError, TypeError):
                note = json.loads(info.pax_headers[_NOTE])
                attempt, image = int(note["attempt"]), int(note["image"])
                yield SpooledFile(path, info.name, info.offset_data, info.size, note, attempt, image)
