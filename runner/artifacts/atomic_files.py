"""Files that are whole or absent: written under a temporary name, synced, renamed, and their folder synced.

Every write below OUT goes through `Folder`. Paths are relative, made by us, and never follow a symbolic link.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO

from runner.artifacts import direct_io
from runner.artifacts.direct_io import Buffer
from runner.artifacts.drafts import Draft, Handle
from schemas.output_folder import TEMPORARY

_KEPT_FOLDERS = 3
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """OUT, as a place to write. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        """Creates `root` and its temporary folder, durably. Raises OSError where that is impossible."""
        self.root = root
        _make_root(root)
        self._making = threading.Lock()
        self._opening = threading.Lock()
        self._made: set[str] = set()
        self._opened: dict[str, Handle] = {}
        self.make(TEMPORARY, private=True)

    def make(self, name: str, *, private: bool = False) -> None:
        """Create the folder `name` below OUT, and its parents, durably. Raises OSError if a link stands in the way."""
        if name in self._made:
            return
        with self._making:
            parent = _open_folder(self.root)
            for part in PurePosixPath(name).parts:
                parent = _descend(parent, part, private)
            os.close(parent)
            self._made.add(name)

    def save(
        self, name: str, pieces: Iterable[Buffer], *, private: bool = False, replace: bool = False
    ) -> int:
        """Durably write a file under OUT and return its length in bytes.

        replace: allow an existing file to be replaced (in one step). Raises FileExistsError otherwise, OSError when
        the disk refuses; nothing is left under the final name then.
        """
        with self.writing(name, private=private, replace=replace) as file:
            return direct_io.write(file, pieces)

    @contextmanager
    def writing(self, name: str, *, private: bool = False, replace: bool = False) -> Iterator[int]:
        """A descriptor to write to; on leaving the block the file is synced and appears under `name`."""
        parent, _, leaf = name.rpartition("/")
        if parent:
            self.make(parent, private=private)
        draft = Draft(self.at(TEMPORARY), leaf, private=private)
        try:
            yield draft.descriptor
            draft.sync()
            target = self.at(parent)
            draft.publish(target, replace=replace)
            os.fsync(target.descriptor)
        except BaseException:
            draft.discard()
            raise

    def at(self, name: str) -> Handle:
        """The folder `name` below OUT; kept until two others are asked for, open as long as somebody has it."""
        handle = self._opened.get(name)
        if handle is not None and handle.stands():
            return handle
        with self._opening:
            self._opened.pop(name, None)
            while len(self._opened) >= _KEPT_FOLDERS:
                del self._opened[next(each for each in self._opened if each != TEMPORARY)]
            handle = self._opened[name] = Handle(self._open_below(PurePosixPath(name)))
        return handle

    def _open_below(self, path: PurePosixPath) -> int:
        folder = _open_folder(self.root)
        for part in path.parts:
            try:
                child = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
            finally:
                os.close(folder)
            folder = child
        return folder

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """For the block, by a process that writes here for the holder of the lock: `clear_temporary` waits for its end."""
        handle = Handle(self._open_below(PurePosixPath(TEMPORARY)))
        with suppress(OSError):  # a file system without locks of folders
            fcntl.flock(handle.descriptor, fcntl.LOCK_SH)
        yield
        del handle

    def clear_temporary(self) -> int:
        """Remove what a dead run left unfinished; the number of files. Call only while holding the lock."""
        folder = self._open_below(PurePosixPath(TEMPORARY))
        try:
            with suppress(OSError):  # a dead run's helper is about to end, if it has not yet
                fcntl.flock(folder, fcntl.LOCK_EX)
            with os.scandir(folder) as entries:
                left = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
            for name in left:
                os.unlink(name, dir_fd=folder)
        finally:
            os.close(folder)
        return len(left)


def replace_file(
    folder: Folder,
    name: str,
    write: Callable[[IO[bytes]], None],
    *,
    before: Callable[[str], None] = lambda _digest: None,
) -> None:
    """Replace the file `name` by what `write` puts into the binary stream, in one durable step.

    before: called with the new content's sha256 (hex) when it is durable but not yet published.
    """
    with folder.writing(name, replace=True) as descriptor:
        with os.fdopen(os.dup(descriptor), "w+b") as stream:
            write(stream)
            stream.flush()
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(descriptor)
        before(digest)


def keep(folder: Folder, name: str, pieces: Callable[[], Iterable[Buffer]], *, private: bool = False) -> str:
    """Save under this name, or under one like it when another file stands there; the name it got.

    Where these very bytes stand there, because a run was killed before it recorded them, they stay as they are.
    """
    try:
        folder.save(name, pieces(), private=private)
    except FileExistsError:
        if _holds(folder.root / name, pieces()):
            sync_above(folder.root, name)
            return name
        stem, _, ending = name.rpartition(".")
        name = f"{stem}-{secrets.token_hex(3)}.{ending}"
        folder.save(name, pieces(), private=private)
    return name


def _holds(path: Path, pieces: Iterable[Buffer]) -> bool:
    """Whether a regular file holds these bytes and no more."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)


def _open_folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _make_root(root: Path) -> None:
    """Make `root` and the folders above it that are missing, and sync the names of them all."""
    missing = [path for path in root.parents if not path.exists()]
    root.mkdir(parents=True, exist_ok=True)
    for path in (root, *missing):
        with suppress(PermissionError):  # one may write to a folder that one may not read
            _sync(path.parent)


def sync_above(root: Path, name: str) -> None:
    """Make the names on the way from `root` down to the file `name` durable. Raises OSError."""
    for folder in PurePosixPath(name).parents:
        _sync(root / folder)


def _sync(path: Path) -> None:
    folder = _open_folder(path)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _descend(parent: int, part: str, private: bool) -> int:
    """Open the sub-folder `part`, made if absent; `parent` is synced and closed.

    Synced also when `part` is there: a run that was killed before its sync may have made it.
    """
    try:
        with suppress(FileExistsError):
            os.mkdir(part, 0o700 if private else 0o755, dir_fd=parent)
        os.fsync(parent)
        return os.open(part, _FOLDER_FLAGS, dir_fd=parent)
    finally:
        os.close(parent)


def sha256_of(path: Path) -> str:
    """Of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
