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
from runner.ledger.queries import next_number
from schemas.failures import RowStatus
from schemas.outcome import ABSENT
from schemas.row import Row, RowProblem

_CODES = {RowStatus.PENDING: 0, RowStatus.SUCCEEDED: 1, RowStatus.FAILED: 2, RowStatus.PARKED: 3}
_STATUSES = {code: status for status, code in _CODES.items()}
_FETCH = 20_000


@contextmanager
def one_view(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is read in the block is of one moment, though a run may be adding to the ledger."""
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
    gaps: item number -> what a partly successful row lacks. polled: items whose newest request is a task not yet ended.
    completed: rows that nobody needs to look at. They were not read, and their fingerprints are not found here.
    """

    def __init__(self, connection: sqlite3.Connection, completed: CompletedRows = NOTHING_COMPLETED) -> None:
        self.completed = completed
        with one_view(connection):
            self._read(connection)

    def _read(self, connection: sqlite3.Connection) -> None:
        count = next_number(connection, "items", "item")
        left = _without(self.completed.items, count) if self.completed.rows else None
        self._status = _states(connection, count, left)
        self.polled = waiting_items(connection)
        self._status[list(self.polled)] = _CODES[RowStatus.PENDING]
        self.gaps = _gaps(connection)
        halves = _halves(_rows(connection, _PRINTS, left))
        order: npt.NDArray[np.int64] = np.argsort(halves[:, 0], kind="stable")
        self._items = order if left is None else left[order]
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


_PRINTS = "SELECT fingerprint FROM items {} ORDER BY item"
_STORIES = "SELECT item, status FROM attempts LEFT JOIN outcomes USING (attempt) {} ORDER BY attempt"


def _without(done: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.int64]:
    """The items below `count` that are not done."""
    known = done[:count]
    return np.concatenate((np.flatnonzero(~known), np.arange(len(known), count)))


def _rows(connection: sqlite3.Connection, sql: str, items: npt.NDArray[np.int64] | None) -> Iterator[Any]:
    """What the query finds, of all items or of these, some at a time."""
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
    """What partly successful rows lack."""
    items = [
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT item FROM (SELECT DISTINCT attempt FROM missing) JOIN attempts USING (attempt) "
            "JOIN outcomes USING (attempt) WHERE status = 'succeeded'"
        )
    ]
    reader, gaps = AttemptReader(connection), {}
    for start in range(0, len(items), _FETCH):
        for item, attempts in reader.of(items[start : start + _FETCH]).items():
            states = fold(attempts, max(attempt.n for attempt in attempts)).images
            absent = [i for i, state in enumerate(states) if state.status is not RowStatus.SUCCEEDED]
            if absent:
                gaps[item] = Gap(states[absent[0]].status, tuple(absent))
    return gaps
