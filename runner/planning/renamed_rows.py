"""Rows that ask for what this folder has images of, under other ids: a manifest that went through a spreadsheet, for one.

Two things tell them. The id is another spelling of the one that is gone (`jobs.respelled_ids`). Or no id of the manifest
is known here at all, while half of the rows ask for the same as rows that are gone: the column of ids was added, removed
or changed as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jobs.manifest_diff import NONE, counts_as_held, differences
from jobs.quoting import quoted
from jobs.respelled_ids import respelled
from runner.ledger.queries import RowVersion
from runner.planning.manifest_diff import ManifestDiff, asked_of
from runner.planning.row_stream import RowBatch
from schemas.outcome import ABSENT
from schemas.row import Row

_AT_ONCE = 2_048
_LOOKED_AT = 64
"""Of rows that ask for the same, so many are looked at for the one whose id is spelled otherwise."""
_SHOWN = 5


class Renamed(NamedTuple):
    """A row of the manifest, and the item that is the same request under another id. place: of its record."""

    row: Row
    location: str
    item: int
    old_id: str

    def text(self, column: str) -> str:
        """For a message, on one line. column: of the ids."""
        return f"{self.location}: column {column!r}: {quoted(self.old_id)} -> {quoted(self.row.row_id)}"


@dataclass(frozen=True, slots=True)
class RenamedRows:
    """What was found. column: the manifest's name of the ids."""

    rows: tuple[Renamed, ...] = ()
    column: str = "id"

    def lines(self) -> list[str]:
        """The first of them, a line each."""
        told = [row.text(self.column) for row in self.rows[:_SHOWN]]
        return told + ([f"… and {len(self.rows) - _SHOWN:,} more"] if len(self.rows) > _SHOWN else [])


def renamed_rows(census: ManifestDiff) -> RenamedRows:
    """Look for such rows, once the whole pass over the manifest was counted; reads it again where that is in question."""
    if not census.new_rows:
        return RenamedRows()
    gone = census.unmet()
    statuses = census.index.statuses(gone.tolist())
    polled = census.index.polled
    is_held = [
        counts_as_held(status, polled=item in polled)
        for item, status in zip(gone.tolist(), statuses, strict=True)
    ]
    lost = gone[np.array(is_held, dtype=np.bool_)]
    if not len(lost):
        return RenamedRows()
    all_new = census.whole and census.knows_none
    matches = list(_Matching(census, lost, by_content=all_new).found())
    if all_new and 2 * len(matches) < min(len(lost), census.new_rows):
        matches = [match for match in matches if respelled(match.old_id, match.row.row_id)]
    return RenamedRows(tuple(matches), census.row_stream.manifest.columns.get("id", "id"))


@dataclass
class _Matching:
    """New rows held against items that are gone. by_content: whether the same request is enough, whatever the id."""

    census: ManifestDiff
    lost: npt.NDArray[np.int64]
    by_content: bool
    _items: npt.NDArray[np.int64] = field(init=False)
    _keys: npt.NDArray[np.int64] = field(init=False)
    _taken: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        keys = np.empty(len(self.lost), dtype=np.int64)
        for start in range(0, len(self.lost), _AT_ONCE):
            items = self.lost[start : start + _AT_ONCE].tolist()
            versions = self.census.ledger.versions(items)
            keys[start : start + len(items)] = [hash(versions[item].prompt) for item in items]
        order = np.lexsort((self.lost, keys))
        self._items, self._keys = self.lost[order], keys[order]
        self._taken = np.zeros(len(keys), dtype=np.bool_)

    def found(self) -> Iterator[Renamed]:
        """Each new row with the item that it is, in the manifest's order."""
        for batch in self.census.row_stream.incomplete_batches(self.census.index):
            fresh = self._new(batch)
            if not fresh:
                continue
            candidates = self._candidates([row for _, row in fresh])
            wanted = {int(self._items[at]) for places in candidates.values() for at in places}
            versions = self.census.ledger.versions(sorted(wanted))
            for offset, row in fresh:
                at = self._match(row, candidates.get(hash(row.request.prompt), ()), versions)
                if at is not None:
                    self._taken[at] = True
                    item = int(self._items[at])
                    location = batch.batch.locations[batch.offsets[offset]]
                    yield Renamed(row, location, item, versions[item].row_id)

    def _new(self, batch: RowBatch) -> list[tuple[int, Row]]:
        """Offset and row of those that the ledger knows neither as they are nor by their id."""
        items = self.census.index.items(batch.rows)
        unknown = [
            (offset, row)
            for offset, (row, item) in enumerate(zip(batch.rows, items, strict=True))
            if item == ABSENT and isinstance(row, Row)
        ]
        keys = np.fromiter((hash(row.row_id) for _, row in unknown), np.int64, len(unknown))
        earlier = self.census.earlier(keys.view(np.uint64)).tolist()
        return [each for each, item in zip(unknown, earlier, strict=True) if item == NONE]

    def _candidates(self, rows: Sequence[Row]) -> dict[int, list[int]]:
        """Key of a prompt -> places of items with that prompt that no row has taken yet; enough for these rows."""
        found: dict[int, list[int]] = {}
        for key, times in Counter(hash(row.request.prompt) for row in rows).items():
            low, high = np.searchsorted(self._keys, key, "left"), np.searchsorted(self._keys, key, "right")
            free = np.flatnonzero(~self._taken[low:high])[: _LOOKED_AT + times] + low
            if len(free):
                found[key] = free.tolist()
        return found

    def _match(self, row: Row, places: Sequence[int], versions: dict[int, RowVersion]) -> int | None:
        """The place of the item that the row is; None where it is none."""
        first = None
        for at in places:
            version = versions[int(self._items[at])]
            body = {**version.params, **asked_of(version)}
            if self._taken[at] or differences(version.prompt, body, row.request):
                continue
            if respelled(version.row_id, row.row_id):
                return at
            first = at if first is None else first
        return first if self.by_content else None
