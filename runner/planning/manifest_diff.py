"""Compares the manifest with what the ledger has sent; `jobs.manifest_diff` decides what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from jobs.manifest_diff import (
    Comparison,
    Fate,
    Keys,
    KnownIds,
    OnChange,
    counts_as_held,
    differences,
    edited_text,
    fate,
    warnings,
    with_remainder,
)
from jobs.selection import reads_all
from runner.ledger.item_index import ItemIndex
from runner.ledger.queries import RowVersion
from runner.ledger.reader import LedgerReader
from runner.planning.row_stream import RowStream
from runner.planning.version_pins import PinnedRows, VersionPins, with_versions
from schemas.manifest_diff import SHOWN, EditedRow, ManifestChanges
from schemas.row import Row, RowProblem


@dataclass
class ManifestDiff:
    """Counts the rows of a manifest by what the ledger knows of them, and pins edited rows that keep their old version.

    Must be given every batch, in order, of a pass over the manifest without the completed rows of the index.
    """

    row_stream: RowStream
    ledger: LedgerReader
    index: ItemIndex
    pins: VersionPins = field(default_factory=VersionPins)
    refused: int = 0

    def __post_init__(self) -> None:
        self.whole = reads_all(self.row_stream.job)
        self._policy: OnChange = self.row_stream.job.run.on_change
        count = self.ledger.next_item()
        self.empty = not count
        completed = self.index.completed
        recent = self._ids(completed.attempts) if completed.rows else None
        self._comparison = Comparison(count, self._ids, completed.items, recent)
        self._unchanged = completed.rows
        self._new = self._edited = self._held = 0
        self._edited_rows: list[EditedRow] = []
        self._new_rows: list[str] = []

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Which items are rows of the manifest so far, or the newest version of one, by item number."""
        return self._comparison.present

    @property
    def has_no_edits(self) -> bool:
        """Whether no row so far is an edited one whose earlier version has an image or may have been paid for."""
        return not self._held and not len(self.pins)

    def add(self, rows: Sequence[Row | RowProblem], items: list[int]) -> PinnedRows:
        """Add the next batch. items: of its rows' fingerprints. Returns the rows with the items that represent them."""
        unknown = self._comparison.unknown(np.asarray(items, dtype=np.int64)).tolist()
        self._unchanged += len(items) - len(unknown)
        if not unknown:
            return PinnedRows(rows, items)
        if self.empty:
            self._note_new(rows[i] for i in unknown)
            return PinnedRows(rows, items)
        keys = np.fromiter((hash(rows[i].row_id) for i in unknown), np.int64, len(unknown)).view(np.uint64)
        versions = self._versions(self._comparison.earlier(keys).tolist())
        found = []
        for i, version in zip(unknown, versions, strict=True):
            row = rows[i]
            if not isinstance(row, Row):
                continue
            if version is None or not version.is_called(row.row_id):
                self._note_new((row,))
            elif (end := self._fate(row, version)) in (Fate.SAME, Fate.KEPT):
                found.append((i, version.item, version.n, end is Fate.KEPT))
        self.pins.add([(rows[i].fingerprint, *rest) for i, *rest in found])
        return with_versions(rows, items, found) if found else PinnedRows(rows, items)

    def changes(self) -> ManifestChanges:
        """The result, once the pass has ended."""
        gone = self.removed()
        return ManifestChanges(
            self._unchanged,
            self._new,
            self._edited,
            self._held,
            len(gone),
            tuple(self._edited_rows),
            tuple(self._new_rows),
            tuple(version.row_id for version in self._versions(gone[:SHOWN].tolist()) if version is not None),
        )

    @property
    def new_rows(self) -> int:
        """Rows of which the ledger knows no version."""
        return self._new

    @property
    def knows_none(self) -> bool:
        """Whether no row so far has an id that the ledger knows."""
        return not (self._unchanged or self._edited)

    def removed(self) -> npt.NDArray[np.int64]:
        """The newest items of rows that are gone from the manifest; none where only a part of it was read."""
        return self.unmet() if self.whole else np.empty(0, dtype=np.int64)

    def unmet(self) -> npt.NDArray[np.int64]:
        """The newest items of rows that were not among those read."""
        return self._comparison.removed()

    def earlier(self, keys: Keys) -> npt.NDArray[np.int64]:
        """The newest version of each of these ids (their hashes), -1 where there is none."""
        return self._comparison.earlier(keys)

    def refused_lines(self) -> list[str]:
        """The rows of which the user must say what is to become, a line each, and what looks like a mistake."""
        changes = self.changes()
        lines = with_remainder([edited_text(row) for row in changes.edited_rows if row.held], self.refused)
        return [*lines, *warnings(changes, whole=self.whole)]

    def _note_new(self, rows: Iterator[Row | RowProblem] | Sequence[Row | RowProblem]) -> None:
        for row in rows:
            if isinstance(row, Row):
                self._new += 1
                if len(self._new_rows) < SHOWN:
                    self._new_rows.append(row.row_id)

    def _fate(self, row: Row, version: RowVersion) -> Fate:
        changed = differences(version.prompt, {**version.params, **asked_of(version)}, row.request)
        is_held = counts_as_held(
            self.index.statuses([version.item])[0], polled=version.item in self.index.polled
        )
        end = fate(self._policy, same=not changed, is_held=is_held)
        if end is Fate.SAME:
            self._unchanged += 1
            return end
        self._edited += 1
        self._held += is_held
        self.refused += end is Fate.REFUSED
        shown = len(self._edited_rows)
        if shown < SHOWN or (is_held and not all(row.held for row in self._edited_rows)):
            if shown == SHOWN:  # what is refused comes before what is not
                self._edited_rows.remove(next(row for row in reversed(self._edited_rows) if not row.held))
            self._edited_rows.append(EditedRow(row.row_id, is_held, changed))
        return end

    def _ids(self, since: int = 0) -> KnownIds:
        """Ids of the ledger. since: only of items that an attempt from this number on was for.

        When the cache of completed rows was made, no row had an earlier version that is held; a later attempt can have
        made one.
        """
        return known_ids(self.ledger, since)

    def _versions(self, items: Sequence[int]) -> list[RowVersion | None]:
        found = self.ledger.versions(items)
        return [found.get(item) for item in items]


def known_ids(ledger: LedgerReader, since: int = 0) -> KnownIds:
    """The items of the ledger by row id. since: only those that an attempt from this number on was for."""
    nothing = np.empty(0, dtype=np.int64)
    items, keys = [nothing], [nothing]
    for numbers, row_ids in ledger.row_ids(since):
        items.append(numbers)
        keys.append(np.fromiter(map(hash, row_ids), np.int64, len(row_ids)))
    return KnownIds(np.concatenate(items), np.concatenate(keys).view(np.uint64))


def asked_of(version: RowVersion) -> dict[str, int]:
    """How many images its requests asked for, where they said so."""
    return {"n": version.n} if "n" in version.params or version.n > 1 else {}


def diff_manifest(row_stream: RowStream, ledger: LedgerReader, index: ItemIndex) -> ManifestDiff:
    """The diff of the whole manifest."""
    made = ManifestDiff(row_stream, ledger, index)
    if not made.empty:
        for batch in row_stream.incomplete_batches(index):
            made.add(batch.rows, index.items(batch.rows))
    return made
