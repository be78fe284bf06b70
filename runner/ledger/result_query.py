"""Queries for the results table: rows with one request and one image, by blocks, and facts about the whole folder."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.counts import Repeated
from schemas.outcome import BLANK

_STEP = 16_384
_DENSE = 4
"""A range of items is read whole when it holds at most so many items for each wanted one."""

SHARED = (
    *("params", "run", "outcome_flags", "cost_estimated", "image_flags"),
    *("format", "width", "height", "http_status", "maybe_billed"),
)
"""What is in the JSON array of the column `shared`, in order."""
_COLUMNS = {
    "item": "a.item",
    "attempt": "a.attempt",
    "shared": (
        "json_array(a.params, a.run, o.flags, o.cost_estimated, i.flags, i.format, i.width, i.height, "
        "o.http_status, o.maybe_billed)"
    ),
    "file_name": "i.file_name",
    "bytes": "i.bytes",
    "sha256": "i.sha256",
    "revised_prompt": "i.revised_prompt",
    "cost_usd": "o.cost_usd",
    "input_tokens": "o.input_tokens",
    "output_tokens": "o.output_tokens",
    "request_id": "o.request_id",
    "task_id": "o.task_id",
    "created": "o.created * 1000",
    "started_at": "a.sent_ms",
    "finished_at": "o.finished_ms",
    "latency_s": "o.latency_s",
}
_NAMED = {"row_id": "t.row_id", "prompt": "t.prompt"}
_SINGLE = (
    "SELECT {columns} FROM attempts a JOIN outcomes o USING (attempt) "
    "JOIN images i ON i.attempt = a.attempt AND i.idx = 0 {items}"
    "WHERE a.item {which} AND a.n = 1 AND o.status = 'succeeded' AND a.indexes IS NULL AND a.prompt IS NULL "
    "AND a.item NOT IN (SELECT item FROM attempts WHERE item {which} GROUP BY item HAVING count(*) > 1) "
    "AND (NOT EXISTS (SELECT 1 FROM pruned) OR NOT EXISTS (SELECT 1 FROM pruned p WHERE p.attempt = a.attempt)) "
    "ORDER BY a.item"
)

_NEWEST = (
    "NOT EXISTS (SELECT 1 FROM attempts b JOIN images j ON j.attempt = b.attempt AND j.idx = i.idx "
    "WHERE b.item = a.item AND b.attempt > a.attempt) "
    "AND NOT EXISTS (SELECT 1 FROM pruned p WHERE p.attempt = i.attempt AND p.idx = i.idx)"
)
_REPEATED = (
    "SELECT count(DISTINCT a.item) AS number, min(i.file_name) FROM images i JOIN attempts a USING (attempt) "
    f"WHERE lower(hex(i.sha256)) IN (SELECT value FROM json_each(?)) AND {_NEWEST} "
    "GROUP BY i.sha256 HAVING number > 1 ORDER BY number DESC, min(i.file_name)"
)
_BLANK = (
    "SELECT count(DISTINCT a.item) FROM images i JOIN attempts a USING (attempt) "
    f"WHERE i.flags LIKE '%\"{BLANK}\"%' AND {_NEWEST}"
)


class ResultQuery:
    """Reads one ledger, within a transaction of the connection if everything is to be as of one moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._params: dict[int, dict[str, Any]] = {}

    def single_rows(self, items: Sequence[int], *, named: bool) -> Mapping[str, Sequence[Any]]:
        """The rows among these items, and maybe some others, with one request that brought the one image asked for.

        Args:
            items: item numbers, at least one. named: with `row_id` and `prompt`, as first sent.

        Returns:
            A sequence of values by a column's name, all in order of `item`; nothing where there are no such rows. What
            rows have in common is together in `shared`, a JSON array of `SHARED`, because each value that Python makes
            costs a quarter of a microsecond, and nearly all rows of a block have the same ones: 10.9 us of CPU a row with
            it and 12.7 without, ids and prompts included, of a ledger made by `tests/bench/peers/making.py`.

        Raises:
            sqlite3.DatabaseError: the ledger is damaged.
        """
        columns = _COLUMNS | _NAMED if named else _COLUMNS
        low, high = min(items), max(items)
        dense = high - low < _DENSE * len(items)
        which, values = (
            ("BETWEEN ?1 AND ?2", (low, high))
            if dense
            else ("IN (SELECT value FROM json_each(?1))", (json.dumps(list(items)),))
        )
        sql = _SINGLE.format(
            columns=", ".join(columns.values()),
            items="JOIN items t ON t.item = a.item " if named else "",
            which=which,
        )
        rows = self._connection.execute(sql, values).fetchall()
        return dict(zip(columns, zip(*rows, strict=True), strict=True)) if rows else {}

    def params(self, number: int) -> dict[str, Any]:
        """The body fields of a request other than its prompt."""
        if number not in self._params:
            found = self._connection.execute("SELECT body FROM params WHERE params=?", (number,)).fetchone()
            self._params[number] = json.loads(found[0])
        return self._params[number]

    def endpoints(self) -> dict[int, str]:
        """Base URL by run."""
        return dict(self._connection.execute("SELECT run, endpoint FROM runs").fetchall())

    def stop_reason(self) -> str | None:
        """Why the newest run ended before its work was done; None where it did not, or was killed."""
        row = self._connection.execute(
            "SELECT reason FROM run_ends WHERE run = (SELECT max(run) FROM runs) AND exit_code NOT IN (0, 3)"
        ).fetchone()
        return row[0] if row else None

    def duplicates(self) -> frozenset[str]:
        """sha256 (hex) of images that are there more than once, byte for byte."""
        steps = list(self._digest_starts())
        starts = np.concatenate([np.empty(0, dtype="<u8"), *(part for _, part in steps)])
        starts.sort()
        likely = np.unique(starts[1:][starts[1:] == starts[:-1]])
        if not len(likely):
            return frozenset()
        wanted = json.dumps([start.tobytes().hex() for start in likely])
        seen: Counter[bytes] = Counter()
        for first, part in steps:
            if np.isin(part, likely).any():
                found = self._connection.execute(
                    "SELECT sha256 FROM images WHERE attempt >= ? AND attempt < ? "
                    "AND lower(hex(substr(sha256, 1, 8))) IN (SELECT value FROM json_each(?))",
                    (first, first + _STEP, wanted),
                )
                seen.update(digest for (digest,) in found)
        return frozenset(digest.hex() for digest, times in seen.items() if times > 1)

    def repeated(self, duplicates: frozenset[str]) -> list[Repeated]:
        """Those of these images (sha256 in hex) that more than one row has now, those of the most rows first."""
        if not duplicates:
            return []
        found = self._connection.execute(_REPEATED, (json.dumps(sorted(duplicates)),)).fetchall()
        return [Repeated(*row) for row in found]

    def blank_rows(self) -> int:
        """Rows that have a picture of one colour now."""
        return int(self._connection.execute(_BLANK).fetchone()[0])

    def _digest_starts(self) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
        """The first eight bytes of every image's sha256, by steps of attempts, each with its first attempt; put together
        by SQLite, which is faster than row by row."""
        count = self._connection.execute("SELECT coalesce(max(attempt) + 1, 0) FROM images").fetchone()[0]
        for first in range(0, count, _STEP):
            found = self._connection.execute(
                "SELECT CAST(group_concat(substr(sha256, 1, 8), '') AS BLOB) FROM images "
                "WHERE attempt >= ? AND attempt < ?",
                (first, first + _STEP),
            ).fetchone()[0]
            yield first, np.frombuffer(found or b"", dtype="<u8")
