"""Files that are whole or absent: written under a temporary name, synced, renamed, and their folder synced.

Every write below OUT goes through `Folder`. Paths are relative, made by us, and never follow a symbolic link.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO

from runner.artifacts.open_folders import MAY_BE_LINKS, Handle, OpenFolders, sync_folder
from schemas.output_folder import TEMPORARY

Buffer = bytes | bytearray | memoryview


_FILE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LARGE_BYTES = 2**18
"""Files of at least this size leave the page cache once they are synced. The next file gets their pages, which are still in
the processor's cache: without this, an image of 1.5 MB costs 22 % more CPU (6.8 ms instead of 5.5, line `big` of
`python -m tests.bench`)."""


def write_all(descriptor: int, piece: Buffer) -> int:
    """Write one piece at the file's position; returns its length. Raises OSError."""
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]
    return len(piece)


class Draft:
    """A file in a folder for temporary ones, open for writing. leaf: what its temporary name begins with.

    Every method raises OSError. A draft that is not published must be discarded.
    """

    def __init__(self, folder: Handle, leaf: str, mode: int) -> None:
        self._folder = folder
        self._name = f"{leaf[:80]}.{secrets.token_hex(6)}"
        self.descriptor = os.open(self._name, _FILE_FLAGS, mode, dir_fd=folder.descriptor)
        self._open = True

    def sync(self) -> None:
        """Flush its bytes to the disk, and close it."""
        try:
            os.fsync(self.descriptor)
            if os.fstat(self.descriptor).st_size >= _LARGE_BYTES:
                leave_page_cache(self.descriptor)
        finally:
            self._close()

    def publish(self, target: Handle, leaf: str, *, replace: bool) -> None:
        """Give it this name in this folder, which is durable once the folder is synced.

        replace: replace a file of that name; otherwise FileExistsError is raised for one.
        """
        if not replace:
            with suppress(FileNotFoundError):
                os.stat(leaf, dir_fd=target.descriptor, follow_symlinks=False)
                raise FileExistsError(errno.EEXIST, "a file stands in the way", leaf)
        os.rename(self._name, leaf, src_dir_fd=self._folder.descriptor, dst_dir_fd=target.descriptor)

    def discard(self) -> None:
        """Close it, and remove it unless it was published (its folder may not be synced then)."""
        self._close()
        with suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._folder.descriptor)

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self.descriptor)


class Folder:
    """OUT, as a place to write. Safe to use from several threads. Permissions are what the umask allows."""

    def __init__(self, root: Path) -> None:
        """Creates `root` and its temporary folder, durably. Raises OSError where that is impossible."""
        self.root = root
        self._folders = OpenFolders(root)
        self.make(TEMPORARY)

    @property
    def moved(self) -> str:
        """A folder that was moved away or removed while it was in use; "" while none was."""
        return self._folders.moved

    def make(self, name: str, *, private: bool = False) -> None:
        """Create the folder `name` below OUT, and its parents, durably. Raises OSError if a link stands in the way."""
        self._folders.make(name, private=private)

    def draft(self, name: str, *, private: bool = False) -> Draft:
        """A temporary file for what is to be `name`, on the same disk, with its folder made. Raises OSError."""
        parent, _, leaf = name.rpartition("/")
        if parent:
            self.make(parent, private=private)
        temporary = self._folders.directory(self._folders.temporary_for(parent))
        return Draft(temporary, leaf, self._folders.file_mode(private=private))

    def publish(self, draft: Draft, name: str, *, replace: bool, private: bool = False) -> Handle:
        """Give a draft its name, which is durable once the folder that is returned has been synced. Raises OSError."""
        parent, _, leaf = name.rpartition("/")
        target = self._folders.directory(parent, private=private)
        try:
            draft.publish(target, leaf, replace=replace)
        except OSError as error:
            if error.errno == errno.EXDEV:  # another disk was put there meanwhile
                self._folders.forget_disks()
            raise
        return target

    def growing(self, name: str) -> int:
        """A descriptor of a new private file that grows line by line under its own name, as a log does. Raises OSError."""
        parent, _, leaf = name.rpartition("/")
        self.make(parent)
        target = self._folders.directory(parent)
        mode = self._folders.file_mode(private=True)
        return os.open(leaf, _FILE_FLAGS | os.O_APPEND, mode, dir_fd=target.descriptor)

    def save(
        self, name: str, pieces: Iterable[Buffer], *, private: bool = False, replace: bool = False
    ) -> int:
        """Durably write a file under OUT and return its length in bytes.

        replace: allow an existing file to be replaced (in one step). Raises FileExistsError otherwise, OSError when
        the disk refuses; nothing is left under the final name then.
        """
        with self.writing(name, private=private, replace=replace) as file:
            return sum(write_all(file, piece) for piece in pieces)

    @contextmanager
    def writing(self, name: str, *, private: bool = False, replace: bool = False) -> Iterator[int]:
        """A descriptor to write to; on leaving the block the file is synced and appears under `name`."""
        draft = self.draft(name, private=private)
        try:
            yield draft.descriptor
            draft.sync()
            settle(self.publish(draft, name, replace=replace, private=private))
        except BaseException:
            draft.discard()
            raise

    def clear_temporary(self) -> int:
        """Remove what a dead run left unfinished; the number of files. Call only while holding the lock."""
        return sum(self._clear(name) for name in (TEMPORARY, *(f"{top}/{TEMPORARY}" for top in MAY_BE_LINKS)))

    def _clear(self, name: str) -> int:
        try:
            folder = self._folders.open(name)
        except FileNotFoundError:
            return 0
        except NotADirectoryError:
            if name == TEMPORARY:
                raise
            return 0  # what stands there instead is told of before anything is sent
        try:
            with os.scandir(folder) as entries:
                left = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
            for each in left:
                os.unlink(each, dir_fd=folder)
        finally:
            os.close(folder)
        return len(left)


def settle(folder: Handle) -> None:
    """Make the names in a folder durable. Raises OSError, also where the folder was moved away meanwhile."""
    os.fsync(folder.descriptor)
    if not folder.exists():
        raise FileNotFoundError(errno.ENOENT, "the folder was moved away or removed")


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


def save_unique(
    folder: Folder, name: str, pieces: Callable[[], Iterable[Buffer]], *, private: bool = False
) -> str:
    """Save under this name, or under a similar one when another file has it. Returns the name used.

    A file with this name and exactly these bytes, left by a run that was killed before it recorded them, is reused.
    """
    try:
        folder.save(name, pieces(), private=private)
    except FileExistsError:
        if _holds(folder.root / name, pieces()):
            sync_above(folder.root, name)
            return name
        stem, _, ending = name.rpartition(".")
        name = f"{stem}-x{secrets.token_hex(3)}.{ending}"  # not to be taken for a number: names tell attempts
        folder.save(name, pieces(), private=private)
    return name


def _holds(path: Path, pieces: Iterable[Buffer]) -> bool:
    """Whether a regular file holds these bytes and no more."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)


def sync_above(root: Path, name: str) -> None:
    """Make every name on the path from `root` down to the file `name` durable. Raises OSError."""
    for folder in PurePosixPath(name).parents:
        sync_folder(root / folder)


def leave_page_cache(descriptor: int) -> None:
    """Drop the file's pages from the page cache, and start writing those that are dirty. A hint: does not wait."""
    with suppress(AttributeError, OSError):  # a system or a file system without it
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def sha256_of(path: Path) -> str:
    """sha256 of the file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
