"""Saves several new files together: each is as whole and durable as if it were saved alone, but the disk syncs once.

All are written before the first is synced, so that one commit of the file system's journal covers all of them. All are
synced before the first gets its final name, and all have their names before their folders are synced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runner.artifacts.atomic_files import Buffer, Draft, Folder, leave_page_cache, settle, write_all
from runner.artifacts.open_folders import Handle


def save_all(folder: Folder, files: Sequence[tuple[str, Sequence[Buffer]]]) -> list[OSError | None]:
    """Durably write new files (name below the folder, content), each as `Folder.save` does.

    Returns the error of each, in order; None for those that were saved. Nothing is left of the others.
    """
    saves = [_Save(folder, name, pieces) for name, pieces in files]
    synced: set[Handle] = set()
    try:
        for step in (_Save.write, _Save.sync, _Save.publish, lambda save: save.settle(synced)):
            for save in saves:
                save.go(step)
    finally:
        for save in saves:
            save.end()
    return [save.problem for save in saves]


class _Save:
    """One of the files. problem: the error that stopped it."""

    def __init__(self, folder: Folder, name: str, pieces: Sequence[Buffer]) -> None:
        self._folder = folder
        self._name = name
        self._pieces = pieces
        self._draft: Draft | None = None
        self._target: Handle | None = None
        self._settled = False
        self.problem: OSError | None = None

    def go(self, step: Callable[[_Save], None]) -> None:
        """Take the next step, unless an earlier one failed."""
        if self.problem is None:
            try:
                step(self)
            except OSError as problem:
                self.problem = problem

    def write(self) -> None:
        """Write it under a temporary name, and let the disk begin with it."""
        self._draft = self._folder.draft(self._name)
        for piece in self._pieces:
            write_all(self._draft.descriptor, piece)
        leave_page_cache(self._draft.descriptor)

    def sync(self) -> None:
        """Flush its bytes to the disk."""
        self._made.sync()

    def publish(self) -> None:
        """Give it its name."""
        self._target = self._folder.publish(self._made, self._name, replace=False)

    def settle(self, synced: set[Handle]) -> None:
        """Flush its name to the disk. synced: folders that were synced for other files already."""
        assert self._target is not None
        if self._target not in synced:
            settle(self._target)
            synced.add(self._target)
        self._settled = True

    def end(self) -> None:
        """Remove what was not saved."""
        if self._draft is not None and not self._settled:
            self._draft.discard()

    @property
    def _made(self) -> Draft:
        assert self._draft is not None
        return self._draft
