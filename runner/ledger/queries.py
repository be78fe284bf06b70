"""What commands ask a ledger between runs: its runs, the attempts of a row, and images that were superseded or pruned."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from runner.ledger.writer import Statement

Connection = sqlite3.Connection
"""A connection to the ledger, for those who only hand it on."""
Record = dict[str, Any]
"""Column -> value."""

_RUNS = (
    "SELECT run, run_id, started_ms, version, endpoint, command, finished_ms, exit_code, reason, "
    "(SELECT count(*) FROM attempts a WHERE a.run = r.run) AS attempts, "
    "(SELECT count(*) FROM images JOIN attempts a USING (attempt) WHERE a.run = r.run) AS images, "
    "(SELECT coalesce(sum(maybe_billed), 0) FROM outcomes JOIN attempts a USING (attempt) WHERE a.run = r.run) "
    "AS maybe_billed, "
    "(SELECT sum(cost_usd) FROM outcomes JOIN attempts a USING (attempt) WHERE a.run = r.run) AS cost_usd "
    "FROM runs r LEFT JOIN run_ends USING (run) ORDER BY run"
)
_ATTEMPTS = (
    "SELECT a.attempt, a.run, r.run_id, r.endpoint, a.sent_ms, a.prompt, p.body, a.indexes, o.finished_ms, o.status, "
    "o.kind, o.code, o.message, o.http_status, o.maybe_billed, o.cost_usd, o.cost_estimated, o.request_id, "
    "coalesce(o.task_id, t.task_id) AS task_id, o.input_tokens, o.output_tokens, o.latency_s, o.flags, o.quarantined "
    "FROM attempts a JOIN runs r USING (run) JOIN params p USING (params) LEFT JOIN outcomes o USING (attempt) "
    "LEFT JOIN tasks t USING (attempt) WHERE a.item = ? ORDER BY a.attempt"
)
_IMAGES = (
    "SELECT idx, file_name, format, width, height, bytes, sha256, revised_prompt, flags, pruned_ms "
    "FROM images LEFT JOIN pruned USING (attempt, idx) WHERE attempt = ? ORDER BY idx"
)
_MISSING = "SELECT idx, kind, message FROM missing WHERE attempt = ? ORDER BY idx"
_OFTEN = "FROM items JOIN (SELECT item, count(*) AS tries FROM attempts GROUP BY item) USING (item) WHERE tries > 1"
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
    "WHERE a.item IN (SELECT value FROM json_each(?)) AND p.attempt IS NULL ORDER BY i.attempt, i.idx"
)
_PRUNED = "SELECT file_name, sha256 FROM pruned JOIN images USING (attempt, idx) ORDER BY attempt, idx"


@dataclass(frozen=True, slots=True)
class Superseded:
    """An image file that may go. path: relative to OUT. newer: the file and digest that stand in its place, if any."""

    attempt: int
    index: int
    path: str
    bytes: int
    sha256: str
    newer: tuple[str, str] | None


def newest_run(connection: Connection) -> int | None:
    """The number of the newest run; None before the first."""
    found: int | None = connection.execute("SELECT max(run) FROM runs").fetchone()[0]
    return found


def runs(connection: Connection) -> list[Record]:
    """Every run with its figures, oldest first."""
    return _records(connection, _RUNS)


def rows_of(connection: Connection, row_id: str) -> list[Record]:
    """`item`, `row_id` and `prompt` of each version of the row that was sent."""
    return _records(
        connection, "SELECT item, row_id, prompt FROM items WHERE row_id = ? ORDER BY item", row_id
    )


def rows_sent_often(connection: Connection, most: int) -> tuple[list[Record], int]:
    """The same of rows with several attempts, and how many there are beyond `most` of them."""
    found = _records(connection, f"SELECT item, row_id, prompt {_OFTEN} ORDER BY item LIMIT ?", most)
    return found, connection.execute(f"SELECT count(*) {_OFTEN}").fetchone()[0] - len(found)


def attempts_of(connection: Connection, item: int) -> list[Record]:
    """Every attempt of the row, oldest first; `status` is null while it has no outcome."""
    return _records(connection, _ATTEMPTS, item)


def images_of(connection: Connection, attempt: int) -> list[Record]:
    """The images that it yielded."""
    return _records(connection, _IMAGES, attempt)


def missing_of(connection: Connection, attempt: int) -> list[Record]:
    """The images that it was paid for and did not yield."""
    return _records(connection, _MISSING, attempt)


def _records(connection: Connection, sql: str, *values: Any) -> list[Record]:
    cursor = connection.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def superseded(connection: Connection) -> list[Superseded]:
    """Images of which the row has a newer one, but for those that were pruned; by attempt and index."""
    return list(_superseded(connection.execute(_SUPERSEDED)))


def images_of_rows(connection: Connection, items: Iterable[int]) -> list[Superseded]:
    """All images of these rows, with nothing in their place; in the same order."""
    return list(_superseded(connection.execute(_OF_ITEMS, (json.dumps(list(items)),))))


def _superseded(rows: Iterable[tuple[Any, ...]]) -> Iterator[Superseded]:
    for attempt, index, path, size, digest, newer, newer_digest in rows:
        stands = None if newer is None else (newer, newer_digest.hex())
        yield Superseded(attempt, index, path, size, digest.hex(), stands)


def rows_with_images(connection: Connection) -> dict[int, str]:
    """Item -> row id."""
    query = "SELECT DISTINCT item, row_id FROM attempts JOIN images USING (attempt) JOIN items USING (item)"
    return dict(connection.execute(query).fetchall())


def pruned(connection: Connection) -> Iterator[tuple[str, str]]:
    """Path and digest of each image file that was recorded as pruned."""
    for path, digest in connection.execute(_PRUNED):
        yield path, digest.hex()


def prune(file: Superseded, now_ms: int) -> Statement:
    """The record of an image file that is about to be removed."""
    return "INSERT INTO pruned VALUES (?,?,?)", (file.attempt, file.index, now_ms)
