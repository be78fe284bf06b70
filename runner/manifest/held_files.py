"""The files of a manifest as a run began with them, though they may be moved, replaced or written to while it goes on.

A run reads its manifest more than once: while it sends, and for each results table. All of that has to be of the same
rows. Small files are kept in memory; large ones are read through an open descriptor, which a new file of the same name
does not reach. What is written into a large file itself cannot be undone: reading it raises then, and the rows that were
sent are told by the ledger.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, cast

from runner.manifest.records import ManifestError
from runner.manifest.sources import FileState, SourceFile, reading

HELD_BYTES = 16 * 2**20
"""So much of a manifest is kept in memory: some 100,000 prompts."""

PINNED_FILES = 64
"""So many large files are kept open; of more, those that change can only be told."""


class _Held(NamedTuple):
    source: SourceFile
    before: FileState | None


class HeldFiles:
    """The files of one manifest, for one run."""

    def __init__(self) -> None:
        self._files: list[_Held] = []
        self._bytes_left = HELD_BYTES
        self._pins_left = PINNED_FILES

    def hold(self, source: SourceFile) -> SourceFile:
        """The file as it is now. Raises ManifestError where it cannot be read."""
        before = source.state()
        self._files.append(_Held(source, before))
        if before is not None and before.size <= self._bytes_left:
            self._bytes_left -= before.size
            return _in_memory(source)
        if self._pins_left:
            self._pins_left -= 1
            source = source.pinned()
        return source._replace(check=_check(source, before))

    def changed(self) -> str | None:
        """What became of the files since; None where they are as they were, or where that cannot be told."""
        found = [text for held in self._files if (text := _change(held)) is not None]
        more = f" (and {len(found) - 1:,} more)" if len(found) > 1 else ""
        return found[0] + more if found else None


def _in_memory(source: SourceFile) -> SourceFile:
    with reading(source.name), source.stream() as file:
        data = file.read()

    def opened() -> BinaryIO:
        return io.BytesIO(data)

    return source._replace(
        stream=lambda: io.BufferedReader(cast(io.RawIOBase, opened())), seekable=opened, pinned=lambda: source
    )


def _check(source: SourceFile, before: FileState | None) -> Callable[[], None]:
    def check() -> None:
        if source.state() != before:
            raise ManifestError(
                f"{source.name} was written to while it was read",
                fix="run the same command again: it goes on with the file as it is now",
            )

    return check


def _change(held: _Held) -> str | None:
    try:
        now = held.source.state()
    except ManifestError:  # a store that cannot be reached
        return None
    if now == held.before or held.before is None:
        return None
    if now is None:
        return f"{held.source.name} was moved or removed"
    how = "written to" if now.identity == held.before.identity else "replaced"
    return f"{held.source.name} was {how}"
