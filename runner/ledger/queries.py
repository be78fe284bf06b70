"""Queries for commands, other than statuses and sums: rows, runs, files and tables, as typed values."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from runner.ledger.statistics import NEVER_SENT
from schemas.failures import RowStatus
from schemas.outcome import ABSENT

_FETCH = 20_000
_AMONG = "IN (SELECT value FROM json_each(?))"


def next_number(connection: sqlite3.Connection, table: str, column: str) -> int:
    """The number that a new record of the table gets."""
    return int(connection.execute(f"SELECT coalesce(max({column}) + 1, 0) FROM {table}").fetchone()[0])


REACH = "CASE WHEN indexes IS NULL THEN n ELSE (SELECT max(value) + 1 FROM json_each(indexes)) END"
"""One more than the highest index of a row's images that an attempt asked for."""


class RowVersion(NamedTuple):
    """A row as it was first sent. params: of its first request. n: how many of its images were asked for.

    other_ids: of the rows that it stands for besides.
    """

    item: int
    row_id: str
    prompt: str
    params: Mapping[str, Any]
    n: int
    fingerprint: bytes
    other_ids: tuple[str, ...] = ()

    def is_called(self, row_id: str) -> bool:
        """Whether this id is its own, or that of a row that it stands for."""
        return row_id == self.row_id or row_id in self.other_ids


_VERSIONS = (
    "SELECT item, row_id, prompt, (SELECT body FROM params WHERE params.params = (SELECT a.params FROM attempts a "
    "WHERE a.item = items.item ORDER BY attempt LIMIT 1)), "
    f"(SELECT max({REACH}) FROM attempts a WHERE a.item = items.item), "
    "fingerprint "
    f"FROM items WHERE item {_AMONG}"
)


def versions(connection: sqlite3.Connection, items: Sequence[int]) -> dict[int, RowVersion]:
    """Item number -> the row."""
    wanted = json.dumps([item for item in items if item != ABSENT])
    others: dict[int, tuple[str, ...]] = {}
    for item, row_id in connection.execute(
        f"SELECT item, row_id FROM aliases WHERE item {_AMONG}", (wanted,)
    ):
        others[item] = (*others.get(item, ()), row_id)
    return {
        item: RowVersion(item, row_id, prompt, json.loads(body), n, fingerprint, others.get(item, ()))
        for item, row_id, prompt, body, n, fingerprint in connection.execute(_VERSIONS, (wanted,))
    }


def row_ids(connection: sqlite3.Connection, since: int) -> Iterator[tuple[npt.NDArray[np.int64], list[str]]]:
    """Item numbers and row ids, those of aliases too, some at a time.

    since: only items that an attempt from this number on was for; 0: all.
    """
    query = (
        "SELECT item, row_id FROM (SELECT item, row_id FROM items UNION ALL SELECT item, row_id FROM aliases)"
    )
    if since:
        query += " WHERE item IN (SELECT item FROM attempts WHERE attempt >= ?)"
    found = connection.execute(query, (since,) * bool(since))
    while rows := found.fetchmany(_FETCH):
        yield np.fromiter((item for item, _ in rows), np.int64, len(rows)), [row_id for _, row_id in rows]


def params(connection: sqlite3.Connection) -> dict[int, dict[str, Any]]:
    """Number -> body fields, of every distinct set of them."""
    return {
        number: json.loads(body) for number, body in connection.execute("SELECT params, body FROM params")
    }


_FINISHED = (
    f"SELECT a.item, a.params FROM attempts a JOIN outcomes o USING (attempt) WHERE a.params {_AMONG} "
    "AND o.status = 'succeeded' AND a.indexes IS NULL "
    "AND NOT EXISTS (SELECT 1 FROM attempts b JOIN outcomes p ON p.attempt = b.attempt WHERE b.item = a.item "
    "AND b.attempt > a.attempt AND p.status = 'succeeded' AND b.indexes IS NULL)"
)


def finished_with(connection: sqlite3.Connection, numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Item and params of the rows whose newest whole success was asked for with one of these sets of params."""
    yield from connection.execute(_FINISHED, (json.dumps(list(numbers)),))


def items_with_images(connection: sqlite3.Connection) -> dict[int, str]:
    """Item number -> row id, of the rows that have an image."""
    query = "SELECT DISTINCT item, row_id FROM attempts JOIN images USING (attempt) JOIN items USING (item)"
    return dict(connection.execute(query).fetchall())


class RunRecord(NamedTuple):
    """One start of imagemill on the folder. finished_ms, exit_code, reason: None for one that has no end."""

    run: int
    run_id: str
    started_ms: int
    finished_ms: int | None
    exit_code: int | None
    reason: str | None
    endpoint: str = ""


_NEWEST_RUNS = (
    "SELECT run, run_id, started_ms, finished_ms, exit_code, reason, endpoint FROM runs LEFT JOIN run_ends USING (run) "
    "ORDER BY run DESC LIMIT ?"
)


def newest_runs(connection: sqlite3.Connection, limit: int) -> list[RunRecord]:
    """The newest first."""
    return [RunRecord(*row) for row in connection.execute(_NEWEST_RUNS, (limit,))]


class RunSums(NamedTuple):
    """What one run did alone. sent: requests whose first byte left. rows_again: those that an earlier run had sent too."""

    sent: int = 0
    maybe_billed: int = 0
    cost_usd: float | None = None
    rows: int = 0
    rows_again: int = 0
    images: int = 0


_SENT = (
    f"SELECT a.run, sum(kind IS NULL OR kind NOT IN ({NEVER_SENT})), coalesce(sum(maybe_billed), 0), sum(cost_usd), "
    "count(DISTINCT a.item), count(DISTINCT CASE WHEN EXISTS (SELECT 1 FROM attempts b WHERE b.item = a.item "
    "AND b.run < a.run) THEN a.item END) "
    "FROM attempts a LEFT JOIN outcomes o ON o.attempt = a.attempt WHERE a.run >= ? GROUP BY a.run"
)
_IMAGES = "SELECT run, count(*) FROM images JOIN attempts USING (attempt) WHERE run >= ? GROUP BY run"


def run_sums(connection: sqlite3.Connection, first: int) -> dict[int, RunSums]:
    """Run -> its sums, of the runs from this one on that sent anything."""
    images = dict(connection.execute(_IMAGES, (first,)).fetchall())
    return {
        row[0]: RunSums._make((*row[1:], images.get(row[0], 0)))
        for row in connection.execute(_SENT, (first,))
    }


class RecordedFile(NamedTuple):
    """A file that the ledger names. path: relative to OUT. size, sha256 (hex): None for bodies of which neither is known.

    private: other users may not be allowed to read it.
    """

    path: str
    size: int | None
    sha256: str | None
    private: bool = False


def recorded_files(connection: sqlite3.Connection) -> Iterator[RecordedFile]:
    """Every image and quarantined body that was recorded, but for images that were pruned."""
    for name, size, digest in connection.execute(
        "SELECT file_name, bytes, sha256 FROM images LEFT JOIN pruned USING (attempt, idx) "
        "WHERE pruned_ms IS NULL ORDER BY attempt, idx"
    ):
        yield RecordedFile(name, size, digest.hex())
    for name, size, digest in connection.execute(
        "SELECT quarantined, bytes, sha256 FROM outcomes LEFT JOIN bodies ON file_name = quarantined "
        "WHERE quarantined IS NOT NULL"
    ):
        yield RecordedFile(name, size, None if digest is None else digest.hex(), private=True)


def image_files(connection: sqlite3.Connection, first: int, end: int) -> list[str]:
    """Paths of the images of the attempts from `first` on and before `end` that were not pruned."""
    query = (
        "SELECT file_name FROM images LEFT JOIN pruned USING (attempt, idx) "
        "WHERE images.attempt >= ? AND images.attempt < ? AND pruned_ms IS NULL"
    )
    return [path for (path,) in connection.execute(query, (first, end))]


def pruned_files(connection: sqlite3.Connection) -> dict[str, str]:
    """Path -> sha256 (hex) of the images that were recorded as removed."""
    query = "SELECT file_name, sha256 FROM pruned JOIN images USING (attempt, idx) ORDER BY attempt, idx"
    return {path: digest.hex() for path, digest in connection.execute(query)}


def row_of_attempt(connection: sqlite3.Connection, attempt: int) -> tuple[str, RowStatus | None] | None:
    """Row id, and the status that the attempt left its row in (None: no outcome); None for an unknown attempt."""
    found = connection.execute(
        "SELECT row_id, status FROM attempts JOIN items USING (item) LEFT JOIN outcomes USING (attempt) "
        "WHERE attempt = ?",
        (attempt,),
    ).fetchone()
    return None if found is None else (found[0], None if found[1] is None else RowStatus(found[1]))


def rows_of_images(connection: sqlite3.Connection, paths: Sequence[str]) -> dict[str, str]:
    """Path -> row id, of those among these that are recorded images."""
    query = (
        "SELECT file_name, row_id FROM images JOIN attempts USING (attempt) JOIN items USING (item) "
        f"WHERE file_name {_AMONG}"
    )
    return dict(connection.execute(query, (json.dumps(paths),)).fetchall())


@dataclass(frozen=True, slots=True)
class Superseded:
    """An image file that may be removed. path: relative to OUT. newer: file and digest of the image that replaces it."""

    attempt: int
    index: int
    path: str
    bytes: int
    sha256: str
    newer: tuple[str, str] | None


_SUPERSEDED = (
    "SELECT i.attempt, i.idx, i.file_name, i.bytes, i.sha256, newer.file_name, newer.sha256 "
    "FROM (SELECT a.item, i.idx, max(i.attempt) AS newest FROM images i JOIN attempts a USING (attempt) "
    "GROUP BY a.item, i.idx HAVING count(*) > 1) n "
    "JOIN attempts a ON a.item = n.item JOIN images i ON i.attempt = a.attempt AND i.idx = n.idx "
    "JOIN images newer ON newer.attempt = n.newest AND newer.idx = n.idx "
    "LEFT JOIN pruned p ON p.attempt = i.attempt AND p.idx = i.idx "
    "WHERE i.attempt < n.newest AND p.attempt IS NULL ORDER BY i.attempt, i.idx"
)
_OF_ITEMS = (
    "SELECT i.attempt, i.idx, i.file_name, i.bytes, i.sha256, NULL, NULL "
    "FROM images i JOIN attempts a USING (attempt) LEFT JOIN pruned p USING (attempt, idx) "
    f"WHERE a.item {_AMONG} AND p.attempt IS NULL ORDER BY i.attempt, i.idx"
)


def superseded(connection: sqlite3.Connection) -> list[Superseded]:
    """Images of which a newer success of the same row holds another, in order of attempts."""
    return [_superseded(row) for row in connection.execute(_SUPERSEDED)]


def images_of(connection: sqlite3.Connection, items: Sequence[int]) -> list[Superseded]:
    """All images of these items that were not pruned, with `newer` None, in order of attempts."""
    return [_superseded(row) for row in connection.execute(_OF_ITEMS, (json.dumps(list(items)),))]


def _superseded(row: tuple[Any, ...]) -> Superseded:
    attempt, index, path, size, digest, newer, newer_digest = row
    return Superseded(
        attempt, index, path, size, digest.hex(), None if newer is None else (newer, newer_digest.hex())
    )


def table_digests(connection: sqlite3.Connection) -> set[str]:
    """sha256 (hex) of every results table that was about to be published."""
    return {digest.hex() for (digest,) in connection.execute("SELECT sha256 FROM tables")}


def table_written_ms(connection: sqlite3.Connection, digest: str) -> int | None:
    """When the results table with this sha256 (hex) was written; None for one that is not ours."""
    query = "SELECT max(written_ms) FROM tables WHERE sha256 = ?"
    return connection.execute(query, (bytes.fromhex(digest),)).fetchone()[0]  # type: ignore[no-any-return]


def items_sent_since(connection: sqlite3.Connection, since_ms: int) -> npt.NDArray[np.int64]:
    """Items with a request sent then or later, in order."""
    found = connection.execute(
        "SELECT DISTINCT item FROM attempts WHERE sent_ms >= ? ORDER BY item", (since_ms,)
    )
    return np.fromiter((item for (item,) in found), np.int64)


def newest_table(connection: sqlite3.Connection) -> tuple[str, int] | None:
    """sha256 (hex) of the newest results table, and when the newest was written (Unix ms); None before the first."""
    row = connection.execute(
        "SELECT sha256, (SELECT max(written_ms) FROM tables) FROM tables ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return None if row is None else (row[0].hex(), row[1])
