"""A reserve of disk space and descriptors, for saving what is in flight when they run out."""

from __future__ import annotations

import os
from contextlib import suppress

from runner.artifacts.atomic_files import Folder
from runner.process.file_limits import DescriptorReserve
from schemas.output_folder import BALLAST, TEMPORARY

_RESERVE_BYTES = 32 * 2**20


class DiskReserve:
    """Disk space and descriptors set aside at the start, so that what is in flight can still be saved when they run out."""

    def __init__(self, folder: Folder) -> None:
        """Takes the space if there is plenty of it; does without otherwise. Raises JobError without descriptors."""
        self._descriptors = DescriptorReserve()
        self._path = folder.root / TEMPORARY / BALLAST
        stat = os.statvfs(folder.root)
        if stat.f_bavail * stat.f_frsize < 20 * _RESERVE_BYTES:
            return
        with suppress(OSError), self._path.open("xb") as file:
            os.posix_fallocate(file.fileno(), 0, _RESERVE_BYTES)

    def __enter__(self) -> DiskReserve:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give it all back."""
        self._descriptors.release()
        self._path.unlink(missing_ok=True)
