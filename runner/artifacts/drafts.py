"""One file on its way: under a temporary name while it is written, under its own once its bytes are on the disk."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress

_FILE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Handle:
    """An open folder, closed with the object."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def stands(self) -> bool:
        """Whether the folder still has a name; without one nothing in it can be found again."""
        return os.fstat(self.descriptor).st_nlink > 0

    def __del__(self) -> None:
        with suppress(OSError):
            os.close(self.descriptor)


class Draft:
    """A file in the folder for temporary ones, open for writing. leaf: the name that it is meant for.

    Every method raises OSError; after that, or instead of the next, it is to be discarded.
    """

    def __init__(self, folder: Handle, leaf: str, *, private: bool) -> None:
        self._folder = folder
        self._leaf = leaf
        self._name = f"{leaf[:80]}.{secrets.token_hex(6)}"
        mode = 0o600 if private else 0o644
        self.descriptor = os.open(self._name, _FILE_FLAGS, mode, dir_fd=folder.descriptor)
        self._open = True

    def sync(self) -> None:
        """Have its bytes on the disk, and close it."""
        try:
            os.fsync(self.descriptor)
        finally:
            self._close()

    def publish(self, target: Handle, *, replace: bool) -> None:
        """Give it its own name in this folder, which is durable once the folder is synced.

        replace: another file may have that name, and ends with this; FileExistsError otherwise.
        """
        if not replace and _exists(self._leaf, target.descriptor):
            raise FileExistsError(errno.EEXIST, "a file stands in the way", self._leaf)
        os.rename(self._name, self._leaf, src_dir_fd=self._folder.descriptor, dst_dir_fd=target.descriptor)

    def discard(self) -> None:
        """Close and remove it, unless it has its own name, in a folder that could perhaps not be synced."""
        self._close()
        with suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._folder.descriptor)

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self.descriptor)


def _exists(leaf: str, folder: int) -> bool:
    try:
        os.stat(leaf, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
