"""Artifacts of a folder of this machine, to be read, compared and removed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path

from runner.artifacts.atomic_files import sha256_of, sync_above


class LocalReader:
    """The artifacts of a folder, to be read, compared and removed; names as the ledger has them."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, name: str) -> BufferedReader:
        """The artifact's bytes. Raises FileNotFoundError where no regular file has this name, OSError else."""
        path = self._root / name
        if path.is_symlink() or not path.is_file():
            raise FileNotFoundError(f"no file {name}")
        return path.open("rb")

    def list(self, below: str) -> Iterator[str]:
        """Names of all files below a folder such as `images`, in order; links are not followed."""
        for folder, folders, files in os.walk(self._root / below):
            folders.sort()
            for file in sorted(files):
                yield (Path(folder) / file).relative_to(self._root).as_posix()

    def digest(self, name: str) -> str:
        """sha256 of the artifact, in hex. Raises as `open`."""
        self.open(name).close()
        return sha256_of(self._root / name)

    def remove(self, names: Iterable[str]) -> None:
        """Remove artifacts, durably; those that are gone already count as removed. Raises OSError."""
        last: dict[str, str] = {}
        for name in names:
            (self._root / name).unlink(missing_ok=True)
            last[name.rpartition("/")[0]] = name
        for name in last.values():
            sync_above(self._root, name)
