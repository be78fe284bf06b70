"""The index of all rows that a ledger knows: their item numbers, their statuses, and what partly successful ones lack."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jobs.state import fold
from runner.ledger.attempts import AttemptReader, waiting_items
from runner.ledger.completion_cache import NOTHING_COMPLETED, CompletedRows
from runner.ledger.queries import REACH, next_number
from schemas.failures import RowStatus
from schemas.outcome import ABSENT
from schemas.row import Row, RowProblem

_CODES = {RowStatus.PENDING: 0, RowStatus.SUCCEEDED: 1, RowStatus.FAILED: 2, RowStatus.PARKED: 3}
_STATUSES = {code: status for status, code in _CODES.items()}
_FETCH = 20_000


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """A read transaction: everything in the block is read as of one moment, even while a run adds to the ledger."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


class Gap(NamedTuple):
    """Images that a partly successful row lacks. status: of the first of them. indexes: which they are."""

    status: RowStatus
    indexes: tuple[int, ...]


class ItemIndex:
    """Every row that the ledger knows: fingerprint -> item number, and the row's status.

    16 bytes of fingerprint, 8 of number and 1 of status a row, however long prompts and ids are.
    gaps: item number -> what a partly successful row lacks. 2 bytes more a row say how many images were asked for.
    polled: items that wait for a task, or for images to be fetched.
    completed: completed rows of the cache. They are not read, and their fingerprints are not found here.
    """

    def __init__(self, connection: sqlite3.Connection, completed: CompletedRows = NOTHING_COMPLETED) -> None:
        self.completed = completed
        with snapshot(connection):
            self._read(connection)

    def _read(self, connection: sqlite3.Connection) -> None:
        count = next_number(connection, "items", "item")
        left = _without(self.completed.items, count) if self.completed.rows else None
        self._status = _states(connection, count, left)
        self.polled = waiting_items(connection)
        self._status[list(self.polled)] = _CODES[RowStatus.PENDING]
        self.gaps = _gaps(connection)
        self._asked = _asked(connection, count)
        self._sort(_halves(_rows(connection, _PRINTS, left)), np.arange(count) if left is None else left)
        self.alias(connection.execute("SELECT fingerprint, item FROM aliases").fetchall())

    def alias(self, found: Sequence[tuple[bytes, int]]) -> None:
        """Let items stand for other rows too. found: the fingerprint of each such row, and the item."""
        if found:
            halves = np.stack((self._first, self._second), axis=1)
            items = np.array([item for _, item in found], dtype=np.int64)
            self._sort(np.concatenate((halves, _halves(iter(found)))), np.concatenate((self._items, items)))

    def _sort(self, halves: npt.NDArray[np.uint64], items: npt.NDArray[np.int64]) -> None:
        order = np.argsort(halves[:, 0], kind="stable")
        self._items = items[order]
        self._first = halves[order, 0]
        self._second = halves[order, 1]

    def __len__(self) -> int:
        return len(self._items)

    def items(self, rows: Sequence[Row | RowProblem]) -> list[int]:
        """Item numbers of the rows, `ABSENT` for those the ledger does not know (and for rows with a problem)."""
        if not len(self):
            return [ABSENT] * len(rows)
        wanted = np.frombuffer(
            b"".join(row.fingerprint if isinstance(row, Row) else bytes(16) for row in rows), dtype="<u8"
        ).reshape(-1, 2)
        at = np.searchsorted(self._first, wanted[:, 0])
        found = np.full(len(rows), ABSENT, dtype=np.int64)
        left = np.flatnonzero(at < len(self))
        while len(left):  # once, but for fingerprints whose first halves are equal
            left = left[self._first[at[left]] == wanted[left, 0]]
            hit = self._second[at[left]] == wanted[left, 1]
            found[left[hit]] = self._items[at[left[hit]]]
            left = left[~hit]
            at[left] += 1
            left = left[at[left] < len(self)]
        return [int(item) for item in found]

    def statuses(self, items: Iterable[int]) -> list[RowStatus]:
        """The rows' statuses; `PENDING` for a row that the ledger does not know."""
        return [_STATUSES[int(self._status[item])] if item != ABSENT else RowStatus.PENDING for item in items]

    def to_send(self, row: Row, item: int, status: RowStatus) -> tuple[int, ...] | None:
        """Which of the row's images a run asks for; None: all of them. status: as `statuses` has it.

        Of a row that succeeded these are the images that are pending, and those that no request was for: `n` is larger now.
        """
        gap = self.gaps.get(item)
        if item == ABSENT or (gap is None and status is RowStatus.PENDING):
            return None
        n = row.request.n
        pending = () if gap is None or gap.status is not RowStatus.PENDING else gap.indexes
        new = range(int(self._asked[item]), n) if status is RowStatus.SUCCEEDED else ()
        return (*(index for index in pending if index < n), *new)


_PRINTS = "SELECT fingerprint FROM items {} ORDER BY item"
_STORIES = "SELECT item, status FROM attempts LEFT JOIN outcomes USING (attempt) {} ORDER BY attempt"


def _without(done: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.int64]:
    """The items below `count` that are not done."""
    known = done[:count]
    return np.concatenate((np.flatnonzero(~known), np.arange(len(known), count)))


def _rows(connection: sqlite3.Connection, sql: str, items: npt.NDArray[np.int64] | None) -> Iterator[Any]:
    """Rows of the query, for all items or for these, a chunk at a time."""
    if items is None:
        yield from connection.execute(sql.format(""))
        return
    for start in range(0, len(items), _FETCH):
        wanted = json.dumps(items[start : start + _FETCH].tolist())
        yield from connection.execute(sql.format("WHERE item IN (SELECT value FROM json_each(?))"), (wanted,))


def _halves(found: Iterator[Any]) -> npt.NDArray[np.uint64]:
    """Fingerprints as two numbers each; never all of them as objects at once."""
    parts = []
    while chunk := b"".join(row[0] for row in itertools.islice(found, _FETCH)):
        parts.append(np.frombuffer(chunk, dtype="<u8").reshape(-1, 2))
    return np.concatenate(parts) if parts else np.empty((0, 2), dtype="<u8")


def _states(
    connection: sqlite3.Connection, count: int, left: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.uint8]:
    """Status codes by item: a success stays, otherwise the newest outcome counts; none at all means parked.

    left: the items to look at; the others have succeeded.
    """
    succeeded, pending = _CODES[RowStatus.SUCCEEDED], _CODES[RowStatus.PENDING]
    status = np.full(count, pending if left is None else succeeded, dtype=np.uint8)
    if left is not None:
        status[left] = pending
    for item, name in _rows(connection, _STORIES, left):
        if status[item] != succeeded:
            status[item] = _CODES[RowStatus(name)] if name else _CODES[RowStatus.PARKED]
    return status


def _gaps(connection: sqlite3.Connection) -> dict[int, Gap]:
    """Item number -> the images that a partly successful row lacks."""
    items = [
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT item FROM (SELECT attempt FROM missing UNION SELECT attempt FROM unfetched) "
            "JOIN attempts USING (attempt) "
            "JOIN outcomes USING (attempt) WHERE status = 'succeeded' "
            "UNION SELECT item FROM attempts WHERE indexes IS NOT NULL"
        )
    ]
    reader, gaps = AttemptReader(connection), {}
    for start in range(0, len(items), _FETCH):
        for item, attempts in reader.attempts_of(items[start : start + _FETCH]).items():
            states = fold(attempts, max(attempt.reach for attempt in attempts)).images
            absent = [i for i, state in enumerate(states) if state.status is not RowStatus.SUCCEEDED]
            if absent:
                gaps[item] = Gap(states[absent[0]].status, tuple(absent))
    return gaps


def _asked(connection: sqlite3.Connection, count: int) -> npt.NDArray[np.int16]:
    """By item, how many images were asked for: one more than the highest index of a request."""
    asked = np.ones(count, dtype=np.int16)
    found = connection.execute(f"SELECT item, {REACH} FROM attempts WHERE n <> 1 OR indexes IS NOT NULL")
    for item, reach in found:
        asked[item] = max(asked[item], reach)
    return asked
