"""A folder on a disk that is full for a while."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from runner.artifacts.atomic_files import Buffer, Draft, Folder
from runner.artifacts.open_folders import Handle


class FlakyFolder(Folder):
    """Refuses the first `refusals` saves half way, as a full disk does, and is a `Folder` afterwards."""

    def __init__(self, root: Path, *, refusals: int = 0) -> None:
        super().__init__(root)
        self.refusals = refusals

    def save(
        self, name: str, pieces: Iterable[Buffer], *, private: bool = False, replace: bool = False
    ) -> int:
        """As the real one, once the disk has space."""
        if self.refusals:
            self.refusals -= 1
            with self.writing(name, private=private, replace=replace):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        return super().save(name, pieces, private=private, replace=replace)

    def publish(self, draft: Draft, name: str, *, replace: bool, private: bool = False) -> Handle:
        """The same, for what is not saved at one stroke."""
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        return super().publish(draft, name, replace=replace, private=private)
