"""Reading how the manifest differs from what the ledger has sent; what is done about it is said in `jobs.manifest_diff`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jobs.manifest_diff import (
    Comparison,
    Fate,
    KnownIds,
    OnChange,
    differences,
    edited_text,
    fate,
    held,
    listed,
    warnings,
)
from jobs.selection import reads_all
from runner.ledger.completion_cache import DoneMap
from runner.ledger.item_index import ItemIndex
from runner.ledger.reader import next_number
from runner.planning.row_stream import Intake
from runner.planning.version_pins import Settled, Standing, replaced
from runner.text.wording import count_text
from schemas.errors import JobError
from schemas.manifest_diff import SHOWN, Changes, EditedRow
from schemas.outcome import ABSENT
from schemas.row import Row, RowProblem

_FETCH = 20_000
_VERSIONS = (
    "SELECT item, row_id, prompt, (SELECT body FROM params WHERE params.params = (SELECT a.params FROM attempts a "
    "WHERE a.item = items.item ORDER BY attempt LIMIT 1)), (SELECT max(n) FROM attempts a WHERE a.item = items.item) "
    "FROM items WHERE item IN (SELECT value FROM json_each(?))"
)


_TOUCHED = "SELECT item, row_id FROM items WHERE item IN (SELECT item FROM attempts WHERE attempt >= ?)"


class _Version(NamedTuple):
    """An item of the ledger, as it was first sent. n: images asked for."""

    item: int
    row_id: str
    prompt: str
    params: Mapping[str, Any]
    n: int


@dataclass
class Census:
    """Counts the rows of a manifest by what the ledger knows of them, and finds what stands for edited ones.

    Fed with every batch, in order, of a pass over the manifest. done: the pass leaves out what this map holds.
    """

    intake: Intake
    connection: sqlite3.Connection
    index: ItemIndex
    done: DoneMap | None = None
    standing: Standing = field(default_factory=Standing)
    refused: int = 0

    def __post_init__(self) -> None:
        self.whole = reads_all(self.intake.job)
        self._policy: OnChange = self.intake.job.run.on_change
        count = next_number(self.connection, "items", "item")
        self.empty = not count
        if self.done is None:
            self._comparison = Comparison(count, self._ids)
        else:
            self._comparison = Comparison(count, self._ids, self.done.items, self._ids(self.done.attempts))
        self._unchanged = 0 if self.done is None else self.done.rows
        self._new = self._edited = self._held = 0
        self._edited_rows: list[EditedRow] = []
        self._new_rows: list[str] = []

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Which items are rows of the manifest so far, or the newest version of one, by item number."""
        return self._comparison.present

    @property
    def is_settled(self) -> bool:
        """Whether every row so far is a version that the ledger knows, or has none that is worth keeping."""
        return not self._held and not len(self.standing)

    def look(self, rows: Sequence[Row | RowProblem], items: list[int]) -> Settled:
        """The next batch, with the items that its rows' fingerprints have."""
        unknown = self._comparison.unknown(np.asarray(items, dtype=np.int64)).tolist()
        self._unchanged += len(items) - len(unknown)
        if not unknown:
            return Settled(rows, items)
        if self.empty:
            self._note_new(rows[i] for i in unknown)
            return Settled(rows, items)
        keys = np.fromiter((hash(rows[i].row_id) for i in unknown), np.int64, len(unknown)).view(np.uint64)
        versions = self._versions(self._comparison.earlier(keys).tolist())
        found = []
        for i, version in zip(unknown, versions, strict=True):
            row = rows[i]
            if not isinstance(row, Row):
                continue
            if version is None or version.row_id != row.row_id:
                self._note_new((row,))
            elif (end := self._fate(row, version)) in (Fate.SAME, Fate.KEPT):
                found.append((i, version.item, version.n, end is Fate.KEPT))
        self.standing.add([(rows[i].fingerprint, *rest) for i, *rest in found])
        return replaced(rows, items, found) if found else Settled(rows, items)

    def changes(self) -> Changes:
        """What was found, once the pass has ended."""
        gone = self.removed()
        return Changes(
            self._unchanged,
            self._new,
            self._edited,
            self._held,
            len(gone),
            tuple(self._edited_rows),
            tuple(self._new_rows),
            tuple(version.row_id for version in self._versions(gone[:SHOWN].tolist()) if version is not None),
        )

    def removed(self) -> npt.NDArray[np.int64]:
        """The newest items of rows that are gone from the manifest; none where only a part of it was read."""
        return self._comparison.removed() if self.whole else np.empty(0, dtype=np.int64)

    def refuse(self, out: Path) -> None:
        """Raises JobError (exit 2) when there are edited rows of which the user must say what is to become."""
        if not self.refused:
            return
        changes = self.changes()
        lines = [edited_text(row) for row in changes.edited_rows if row.held]
        hints = "".join(f"\n  {text}" for text in warnings(changes, whole=self.whole))
        raise JobError(
            f"{refusal(self.refused)} (in {out}):"
            + "".join(f"\n  {line}" for line in listed(lines, self.refused))
            + hints,
            fix="run with --on-change regenerate to make and pay for them again, or --on-change keep to keep the images "
            "that they have (in a job file: run.on_change); nothing was sent",
        )

    def _note_new(self, rows: Iterator[Row | RowProblem] | Sequence[Row | RowProblem]) -> None:
        for row in rows:
            if isinstance(row, Row):
                self._new += 1
                if len(self._new_rows) < SHOWN:
                    self._new_rows.append(row.row_id)

    def _fate(self, row: Row, version: _Version) -> Fate:
        changed = differences(version.prompt, {**version.params, **_asked(version)}, row.request)
        is_held = held(self.index.statuses([version.item])[0], polled=version.item in self.index.polled)
        end = fate(self._policy, same=not changed, is_held=is_held)
        if end is Fate.SAME:
            self._unchanged += 1
            return end
        self._edited += 1
        self._held += is_held
        self.refused += end is Fate.REFUSED
        told = len(self._edited_rows)
        if told < SHOWN or (is_held and not all(row.held for row in self._edited_rows)):
            if told == SHOWN:  # what is refused comes before what is not
                self._edited_rows.remove(next(row for row in reversed(self._edited_rows) if not row.held))
            self._edited_rows.append(EditedRow(row.row_id, is_held, changed))
        return end

    def _ids(self, since: int = 0) -> KnownIds:
        """since: of items that an attempt from this number on was for.

        When a map was made no row had an earlier version that is worth keeping; one can only have come by such an attempt.
        """
        found = self.connection.execute(
            "SELECT item, row_id FROM items" if not since else _TOUCHED, (since,) * bool(since)
        )
        items, keys = [], []
        while rows := found.fetchmany(_FETCH):
            items.append(np.fromiter((item for item, _ in rows), np.int64, len(rows)))
            keys.append(np.fromiter((hash(row_id) for _, row_id in rows), np.int64, len(rows)))
        nothing = np.empty(0, dtype=np.int64)
        return KnownIds(np.concatenate([nothing, *items]), np.concatenate([nothing, *keys]).view(np.uint64))

    def _versions(self, items: Sequence[int]) -> list[_Version | None]:
        wanted = json.dumps([item for item in items if item != ABSENT])
        found = {
            item: _Version(item, row_id, prompt, json.loads(body), n)
            for item, row_id, prompt, body, n in self.connection.execute(_VERSIONS, (wanted,))
        }
        return [found.get(item) for item in items]


def _asked(version: _Version) -> dict[str, int]:
    return {"n": version.n} if "n" in version.params else {}


def change_warnings(changes: Changes, *, refused: int, whole: bool) -> Iterator[str]:
    """What `plan` says of the changes. refused: rows over which a run would stop."""
    if refused:
        yield (
            f"{refusal(refused)}: run sends nothing until you choose --on-change regenerate (as counted here) "
            "or --on-change keep"
        )
    yield from warnings(changes, whole=whole)


def refusal(count: int) -> str:
    """What is wrong, for a message."""
    was = count_text(count, "row was", "rows were")
    return f"{was} edited since an image was made or may have been paid for"


def census(
    intake: Intake, connection: sqlite3.Connection, index: ItemIndex, done: DoneMap | None = None
) -> Census:
    """A whole pass over the manifest."""
    made = Census(intake, connection, index, done)
    if not made.empty:
        for batch in intake.batches(done):
            made.look(batch.rows, index.items(batch.rows))
    return made
