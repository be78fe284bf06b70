"""The folders below OUT, held open: made durably, reached without following links, and known again when they are moved."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from contextlib import suppress
from pathlib import Path, PurePosixPath

from schemas.output_folder import IMAGES, TEMPORARY

MAY_BE_LINKS = frozenset({IMAGES})
"""What of OUT may be a link to a folder elsewhere: people put their images on another disk. No other link is followed."""

_KEPT_FOLDERS = 3
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Handle:
    """An open folder, closed with the object. path: where it was found."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self.descriptor = descriptor
        self._path = path

    def exists(self) -> bool:
        """Whether its name still leads to it; otherwise nothing that is put there would be found again below OUT."""
        try:
            there = self._path.stat()
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self.descriptor))

    def is_same(self, other: Handle) -> bool:
        """Whether both are the same folder."""
        return os.path.samestat(os.fstat(self.descriptor), os.fstat(other.descriptor))

    def __del__(self) -> None:
        with suppress(OSError):
            os.close(self.descriptor)


class OpenFolders:
    """Folders below one root, by name. Safe to use from several threads.

    moved: a folder that was moved away or removed after it had been opened; "" while that has not happened.
    """

    def __init__(self, root: Path) -> None:
        """Makes `root`, durably. Raises OSError where that is impossible."""
        _make_root(root)
        self.moved = ""
        self._root = root
        self._shared = bool(root.stat().st_mode & stat.S_IWGRP)
        self._making = threading.Lock()
        self._opening = threading.Lock()
        self._made: set[str] = set()
        self._opened: dict[str, Handle] = {}
        self._temporary: dict[str, str] = {}

    def file_mode(self, *, private: bool) -> int:
        """Permissions of a new file, before the umask. private: for who may write to OUT, and nobody else."""
        return 0o666 if not private else 0o660 if self._shared else 0o600

    def make(self, name: str, *, private: bool = False) -> None:
        """Make the folder `name`, and its parents, durably. Raises OSError if a link stands in the way."""
        if name in self._made:
            return
        with self._making:
            mode = 0o777 if not private else 0o770 if self._shared else 0o700
            parent, within = open_folder(self._root), ""
            for part in PurePosixPath(name).parts:
                parent = _descend(parent, part, mode, follow=not within and part in MAY_BE_LINKS)
                within = f"{within}/{part}"
            os.close(parent)
            self._made.add(name)

    def directory(self, name: str, *, private: bool = False) -> Handle:
        """The folder `name`, made where it is absent; kept until others are asked for, open as long as somebody has it."""
        handle = self._opened.get(name)
        if handle is not None and handle.exists():
            return handle
        with self._opening:
            self._opened.pop(name, None)
            while len(self._opened) >= _KEPT_FOLDERS:
                del self._opened[next(each for each in self._opened if each != TEMPORARY)]
            now = self._opened[name] = Handle(self._opened_or_made(name, private), self._root / name)
        if handle is not None and not handle.is_same(now):
            self.moved = self.moved or name
        return now

    def _opened_or_made(self, name: str, private: bool) -> int:
        self.make(name, private=private)
        try:
            return self.open(name)
        except FileNotFoundError:  # it was made once and is gone
            self._made.clear()
            self.make(name, private=private)
            return self.open(name)

    def open(self, name: str) -> int:
        """A descriptor of the folder, for the caller to close. Raises OSError where it is absent or a link leads to it."""
        folder = open_folder(self._root)
        for number, part in enumerate(PurePosixPath(name).parts):
            follow = number == 0 and part in MAY_BE_LINKS
            try:
                child = os.open(part, _flags(follow=follow), dir_fd=folder)
            finally:
                os.close(folder)
            folder = child
        return folder

    def temporary_for(self, name: str) -> str:
        """The folder for unfinished files that are meant for the folder `name`: one from which they can be renamed to it."""
        top = name.partition("/")[0]
        if top not in MAY_BE_LINKS:
            return TEMPORARY
        if top not in self._temporary:
            self._temporary[top] = TEMPORARY if self._same_disk(top) else f"{top}/{TEMPORARY}"
        return self._temporary[top]

    def forget_disks(self) -> None:
        """Find out anew which folders are on another disk."""
        self._temporary.clear()

    def _same_disk(self, top: str) -> bool:
        """Whether a file can be renamed into the folder, tried with one: bind mounts cannot be told otherwise."""
        name = f"{secrets.token_hex(6)}.disk"
        source, target = self.directory(TEMPORARY), self.directory(top)
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=source.descriptor))
        try:
            os.rename(name, name, src_dir_fd=source.descriptor, dst_dir_fd=target.descriptor)
        except OSError as error:
            os.unlink(name, dir_fd=source.descriptor)
            if error.errno != errno.EXDEV:
                raise
            return False
        os.unlink(name, dir_fd=target.descriptor)
        return True


def open_folder(path: Path) -> int:
    """A descriptor of a folder of which links may be a part."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    folder = open_folder(path)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _flags(*, follow: bool) -> int:
    return _FOLDER_FLAGS & ~os.O_NOFOLLOW if follow else _FOLDER_FLAGS


def _make_root(root: Path) -> None:
    """Make `root` and the folders above it that are missing, and sync the names of them all."""
    missing = [path for path in root.parents if not path.exists()]
    root.mkdir(parents=True, exist_ok=True)
    for path in (root, *missing):
        with suppress(PermissionError):  # one may write to a folder that one may not read
            sync_folder(path.parent)


def _descend(parent: int, part: str, mode: int, *, follow: bool) -> int:
    """Open the sub-folder `part`, made if absent; `parent` is synced and closed.

    Synced also when `part` is there: a run that was killed before its sync may have made it.
    """
    try:
        with suppress(FileExistsError):
            os.mkdir(part, mode, dir_fd=parent)
        os.fsync(parent)
        return os.open(part, _flags(follow=follow), dir_fd=parent)
    finally:
        os.close(parent)
