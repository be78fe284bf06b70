"""Several new files saved together: each as whole and durable as if it were saved alone, but the disk is waited for once.

All are written before the first is synced, so that one commit of the file system's journal is for all of them; all are
synced before the first gets its name, and have their names before their folders are synced.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from runner.artifacts import direct_io
from runner.artifacts.atomic_files import Folder
from runner.artifacts.direct_io import Buffer
from runner.artifacts.drafts import Draft, Handle
from schemas.output_folder import TEMPORARY


def save_all(folder: Folder, files: Sequence[tuple[str, Sequence[Buffer]]]) -> list[OSError | None]:
    """Durably write new files (name below the folder, content); as `Folder.save` does each.

    What stood in the way of each, in order; None for those that are saved. Nothing is left of the others.
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
    """One of the files. problem: what stopped it."""

    def __init__(self, folder: Folder, name: str, pieces: Sequence[Buffer]) -> None:
        self._folder = folder
        self._parent, _, self._leaf = name.rpartition("/")
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
        if self._parent:
            self._folder.make(self._parent)
        self._draft = Draft(self._folder.at(TEMPORARY), self._leaf, private=False)
        direct_io.write(self._draft.descriptor, self._pieces)
        direct_io.begin_sync(self._draft.descriptor)

    def sync(self) -> None:
        """Have its bytes on the disk."""
        self._made.sync()

    def publish(self) -> None:
        """Give it its name."""
        self._target = self._folder.at(self._parent)
        self._made.publish(self._target, replace=False)

    def settle(self, synced: set[Handle]) -> None:
        """Have its name on the disk. synced: folders of which others have seen to that."""
        assert self._target is not None
        if self._target not in synced:
            os.fsync(self._target.descriptor)
            synced.add(self._target)
        self._settled = True

    def end(self) -> None:
        """Leave nothing behind of what was not saved."""
        if self._draft is not None and not self._settled:
            self._draft.discard()

    @property
    def _made(self) -> Draft:
        assert self._draft is not None
        return self._draft
