"""Space on the disk: what must stay free, and a reserve for the ledger."""

from __future__ import annotations

import os
from contextlib import suppress

from runner.artifacts.atomic_files import Folder
from runner.process.file_limits import Spare
from schemas.output_folder import TEMPORARY

_BALLAST_BYTES = 32 * 2**20


class Ballast:
    """Disk space and descriptors set aside at the start, so that what is in flight can still land when they run out."""

    def __init__(self, folder: Folder) -> None:
        """Takes the space if there is plenty of it; does without otherwise. Raises JobError without descriptors."""
        self._spare = Spare()
        self._path = folder.root / TEMPORARY / "ballast"
        stat = os.statvfs(folder.root)
        if stat.f_bavail * stat.f_frsize < 20 * _BALLAST_BYTES:
            return
        with suppress(OSError), self._path.open("xb") as file:
            os.posix_fallocate(file.fileno(), 0, _BALLAST_BYTES)

    def __enter__(self) -> Ballast:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def drop(self) -> None:
        """Give it all back."""
        self._spare.drop()
        self._path.unlink(missing_ok=True)
