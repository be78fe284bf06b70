"""Space on the disk: what must stay free, and a reserve for the ledger."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.artifacts.atomic_files import Folder
from runner.process.file_limits import Spare
from schemas.output_folder import TEMPORARY

_LEAST_FREE_BYTES = 8 * 2**20
_FIRST_IMAGE_BYTES = 4 * 2**20


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


@dataclass
class Headroom:
    """Whether the disk can take what is in flight and one more. Looks at most once a second.

    largest: bytes of the largest answer's images so far; what comes is taken to be up to twice that.
    """

    out: Path
    largest: int = 0
    _checked: float = 0.0

    def saw(self, size: int) -> None:
        """An answer landed, its images taking so many bytes."""
        self.largest = max(self.largest, size)

    def problem(self, in_flight: int) -> str | None:
        """Why nothing more should be sent; None when there is room."""
        now = time.monotonic()
        if now - self._checked < 1.0:
            return None
        self._checked = now
        stat = os.statvfs(self.out)
        free = stat.f_bavail * stat.f_frsize
        each = 2 * self.largest if self.largest else _FIRST_IMAGE_BYTES
        needed = _LEAST_FREE_BYTES + (in_flight + 1) * each
        if free >= needed:
            return None
        return f"the disk is nearly full: {free / 2**20:,.0f} MiB free where {needed / 2**20:,.0f} are needed"
