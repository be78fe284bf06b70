"""The folder that an export goes to: one export at a time, files whole or absent, and a record that lets a call go on.

`.imagemill-export.json` says what the export is, and which shards are whole; `.imagemill-export.files` which files are ours.
Unfinished files are in `.unfinished`; loaders read no hidden names.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from runner.artifacts.open_folders import sync_folder
from runner.process.disk_errors import explaining
from schemas.errors import ExitCode, JobError

RECORD = ".imagemill-export.json"
FILES = ".imagemill-export.files"
LOCK = ".imagemill-export.lock"
UNFINISHED = ".unfinished"
OWN = frozenset({RECORD, FILES, LOCK, UNFINISHED})
_FICLONE = 0x40049409
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES})
_PIECE = 2**20


class Destination:
    """The open destination. files, bytes: of the export as it stands; linked: how many share their blocks."""

    def __init__(self, root: Path, settings: Mapping[str, Any], *, copy: bool) -> None:
        self.root = root
        self.files = self.bytes = self.linked = 0
        self._settings = dict(settings)
        self._copies = copy
        self._shards: dict[str, list[Any]] = {}
        self._before: set[str] = set()
        self._names: set[str] = set()
        self._folders: set[Path] = set()
        self._number = 0

    def start(self, names: set[str]) -> None:
        """Say what will be here, before the first file is. names: all files, relative.

        Raises JobError where another export is here, or files that are none of ours.
        """
        record = self._read_record()
        if record is None:
            self._refuse_strangers()
        else:
            self._refuse_another(record["settings"])
            self._shards = record["shards"]
        with suppress(FileNotFoundError):
            self._before = set((self.root / FILES).read_text("utf-8").split("\0")) - {""}
        self._names = names
        shutil.rmtree(self.root / UNFINISHED, ignore_errors=True)
        (self.root / UNFINISHED).mkdir()
        self._save(FILES, "\0".join(sorted(names | self._before)))
        self._save_record(complete=False)
        self._remove(self._before - names)

    def finish(self) -> None:
        """Make all of it durable, and say that it is whole."""
        for folder in sorted(self._folders):
            sync_folder(folder)
        self._save(FILES, "\0".join(sorted(self._names)))
        self._shards = {name: found for name, found in self._shards.items() if name in self._names}
        self._save_record(complete=True)
        shutil.rmtree(self.root / UNFINISHED, ignore_errors=True)
        sync_folder(self.root)

    def place(self, source: Path, size: int, name: str) -> None:
        """Put an image's file here: a hard link, else shared blocks, else a copy. Raises JobError where it has changed."""
        target = self._target(name)
        there = source.lstat()
        if there.st_size != size:
            raise changed(source)
        if not self._is_there(target, there):
            self._put(source, there, target)
        self.files += 1
        self.bytes += size

    def has_shard(self, name: str, digest: str) -> bool:
        """Whether the shard is here, whole, with these rows; it counts then."""
        found = self._shards.get(name)
        with suppress(FileNotFoundError):
            size = (self.root / name).stat().st_size
            if found == [digest, size]:
                self.files += 1
                self.bytes += size
                return True
        return False

    @contextmanager
    def new_file(self, name: str, digest: str = "", *, save: bool = True) -> Iterator[IO[bytes]]:
        """A file to be written; it has its name once it is whole and durable.

        digest: of a shard, which is recorded. save: the record now, and not with the next one that is saved.
        """
        target, unfinished = self._target(name), self._unfinished()
        with explaining(self.root / name):
            try:
                with unfinished.open("xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                size = unfinished.stat().st_size
                unfinished.replace(target)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
        self.files += 1
        self.bytes += size
        if digest:
            self._shards[name] = [digest, size]
            if save:
                sync_folder(target.parent)
                self._save_record(complete=False)

    def _put(self, source: Path, there: os.stat_result, target: Path) -> None:
        unfinished = self._unfinished()
        with explaining(target):
            if not self._copies and _linked(source, unfinished):
                self.linked += 1
            else:
                self._copy(source, there, unfinished)
            unfinished.replace(target)

    def _copy(self, source: Path, there: os.stat_result, target: Path) -> None:
        with source.open("rb") as old, target.open("xb") as new:
            try:
                fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
                self.linked += 1
            except OSError:
                shutil.copyfileobj(old, new, _PIECE)
            new.flush()
            if os.fstat(new.fileno()).st_size != there.st_size:
                raise changed(source)
            os.utime(new.fileno(), ns=(there.st_atime_ns, there.st_mtime_ns))
            os.fsync(new.fileno())

    def _is_there(self, target: Path, there: os.stat_result) -> bool:
        """As rsync has it: the same file, or one of its size and time. Time and size of a copy are the original's."""
        try:
            found = target.lstat()
        except FileNotFoundError:
            return False
        same = os.path.samestat(found, there)
        if same and not self._copies:
            self.linked += 1
            return True
        alike = (found.st_size, found.st_mtime_ns) == (there.st_size, there.st_mtime_ns)
        return stat.S_ISREG(found.st_mode) and alike and not same

    def _target(self, name: str) -> Path:
        target = self.root / name
        if target.parent not in self._folders:
            with explaining(target.parent):
                target.parent.mkdir(parents=True, exist_ok=True)
            if not target.parent.resolve().is_relative_to(self.root.resolve()):
                raise JobError(
                    f"{target.parent} is a link that leads away", fix="export into an empty folder"
                )
            self._folders.add(target.parent)
        return target

    def _unfinished(self) -> Path:
        self._number += 1
        return self.root / UNFINISHED / str(self._number)

    def _remove(self, names: set[str]) -> None:
        """Files of an earlier call whose rows are gone. The list is ours, but anyone may have edited it."""
        for name in sorted(names):
            path = self.root / name
            if ".." not in path.parts and path.parent.resolve().is_relative_to(self.root.resolve()):
                path.unlink(missing_ok=True)

    def _read_record(self) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads((self.root / RECORD).read_text("utf-8"))
            return {"settings": dict(record["settings"]), "shards": dict(record["shards"])}
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            raise JobError(
                f"{self.root / RECORD} cannot be read",
                fix="remove this export and its folder, or choose another",
            ) from None

    def _refuse_strangers(self) -> None:
        other = next((name for name in sorted(os.listdir(self.root)) if name not in OWN), None)
        if other is not None:
            raise JobError(
                f"{self.root} holds {other!r}, which is of no export",
                fix="name a new or an empty folder as DEST",
            )

    def _refuse_another(self, settings: dict[str, Any]) -> None:
        names = sorted({*settings, *self._settings})
        differ = [name for name in names if settings.get(name) != self._settings.get(name)]
        if differ:
            told = "; ".join(
                f"{name}: {settings.get(name)!r}, now {self._settings.get(name)!r}" for name in differ
            )
            raise JobError(
                f"{self.root} holds an export with other settings ({told})",
                fix="name another DEST, or repeat the settings that are on record; to make it anew, remove the folder",
            )

    def _save_record(self, *, complete: bool) -> None:
        content = {"settings": self._settings, "complete": complete, "shards": self._shards}
        self._save(RECORD, json.dumps(content, indent=1, sort_keys=True) + "\n")

    def _save(self, name: str, text: str) -> None:
        unfinished = self._unfinished()
        with explaining(self.root / name):
            with unfinished.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self.root / name)


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Make the folder, and hold it for one export. Raises JobError (exit 6) where another works on it."""
    with explaining(root):
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JobError(
                f"another export is writing to {root}",
                fix="wait for it to end, or name another DEST",
                exit_code=ExitCode.LOCKED,
            ) from None
        yield
    finally:
        os.close(descriptor)


def changed(source: Path) -> JobError:
    """The error for an image that is not what it was when the export began."""
    return JobError(
        f"{source} has changed while it was exported",
        fix="the same command goes on from here",
        exit_code=ExitCode.DAMAGED,
    )


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True
