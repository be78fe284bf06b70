"""Artifacts of a folder of this machine, to be read, compared and removed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path

from runner.artifacts.atomic_files import sync_above
from runner.artifacts.open_folders import MAY_BE_LINKS
from schemas.output_folder import TEMPORARY, TRIAL


class LinkInPlace(FileNotFoundError):
    """A symbolic link has the artifact's name; it is not followed."""


class LocalReader:
    """The artifacts of a folder, to be read, compared and removed; names as the ledger has them.

    What reads one raises LinkInPlace, FileNotFoundError where no regular file has its name, and OSError else.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, name: str) -> BufferedReader:
        """The artifact's bytes."""
        return self._file(name).open("rb")

    def size(self, name: str) -> int:
        """Its length in bytes."""
        return self._file(name).stat().st_size

    def digest(self, name: str) -> str:
        """Its sha256, in hex."""
        with self.open(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def list(self, below: str) -> Iterator[str]:
        """Names of all files below a folder such as `images`, in order, but for unfinished ones.

        Links below it are listed and not followed.
        """
        for folder, folders, files in os.walk(self._root / below):
            folders[:] = sorted(name for name in folders if name != TEMPORARY)
            for file in sorted(files):
                if file != TRIAL:
                    yield self._name(Path(folder) / file)

    def written_s(self, name: str) -> float:
        """When what has this name was last written, a link too (Unix seconds)."""
        return (self._root / name).lstat().st_mtime

    def linked_folders(self, below: str) -> Iterator[str]:
        """Names of symbolic links that stand in place of this folder, or of folders below it, where none may, in order."""
        if (self._root / below).is_symlink() and below not in MAY_BE_LINKS:
            yield below
        for folder, folders, _ in os.walk(self._root / below):
            folders.sort()
            for path in (Path(folder) / name for name in folders):
                if path.is_symlink():
                    yield self._name(path)

    def remove(self, names: Iterable[str]) -> None:
        """Remove artifacts, durably; those that are gone already count as removed. Raises OSError."""
        last: dict[str, str] = {}
        for name in names:
            (self._root / name).unlink(missing_ok=True)
            last[name.rpartition("/")[0]] = name
        self.sync_names(last.values())

    def sync_names(self, names: Iterable[str]) -> None:
        """Make durable what has these names, or that nothing has; a kill may have come before that. Raises OSError."""
        for name in names:
            sync_above(self._root, name)

    def _file(self, name: str) -> Path:
        path = self._root / name
        if path.is_symlink():
            raise LinkInPlace(f"a link has the name {name}")
        if not path.is_file():
            raise FileNotFoundError(f"no file {name}")
        return path

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()
