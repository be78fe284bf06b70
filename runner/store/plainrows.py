"""Rows with a short story, one request and one image: read from the ledger and laid out column by column.

Nearly all rows of a large job are of this kind. A row of any other kind is told by `runner.store.resultrows`; both tell
the same of a row that either could.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from runner.store.attempts import ABSENT
from runner.store.resultrows import Facts
from schemas.failures import RowStatus
from schemas.request import FIELDS
from schemas.results import RESULTS_SCHEMA
from schemas.row import Row, RowProblem

_FROM_LEDGER = {
    "revised_prompt": "i.revised_prompt",
    "file_name": "i.file_name",
    "format": "i.format",
    "width": "i.width",
    "height": "i.height",
    "bytes": "i.bytes",
    "sha256": "lower(hex(i.sha256))",
    "http_status": "o.http_status",
    "maybe_billed": "o.maybe_billed",
    "cost_usd": "o.cost_usd",
    "input_tokens": "o.input_tokens",
    "output_tokens": "o.output_tokens",
    "request_id": "o.request_id",
    "task_id": "o.task_id",
    "created": "o.created * 1000",
    "started_at": "a.sent_ms",
    "finished_at": "o.finished_ms",
    "latency_s": "o.latency_s",
    "attempt": "a.attempt",
}
_OTHERS = ("a.item", "a.params", "a.run", "o.flags", "i.flags", "o.cost_estimated")
_QUERY = (
    f"SELECT {', '.join((*_OTHERS, *_FROM_LEDGER.values()))} FROM attempts a JOIN outcomes o USING (attempt) "
    "JOIN images i ON i.attempt = a.attempt AND i.idx = 0 "
    "WHERE a.item {which} AND a.n = 1 AND o.status = 'succeeded' AND a.indexes IS NULL "
    "AND a.prompt IS NULL AND NOT EXISTS (SELECT 1 FROM pruned p WHERE p.attempt = a.attempt) "
    "AND NOT EXISTS (SELECT 1 FROM attempts b WHERE b.item = a.item AND b.attempt <> a.attempt) ORDER BY a.item"
)
_IN_RANGE = _QUERY.format(which="BETWEEN ? AND ?")
_IN_LIST = _QUERY.format(which="IN (SELECT value FROM json_each(?))")
_DENSE = 4
"""A range is read whole when it holds at most so many items for each one that is wanted."""

Items = npt.NDArray[np.int64]


class PlainRows:
    """Reads them from one ledger."""

    def __init__(self, connection: sqlite3.Connection, facts: Facts) -> None:
        self._connection = connection
        self._duplicates = facts.duplicates
        self._params: dict[int, dict[str, Any]] = {}
        self._endpoints = dict(connection.execute("SELECT run, endpoint FROM runs").fetchall())

    def table(
        self, rows: Sequence[Row | RowProblem], items: Sequence[int]
    ) -> tuple[npt.NDArray[np.int64], pa.Table | None]:
        """Offsets of the plain ones among the rows, in order, and their results rows; None where there are none."""
        numbers = np.asarray(items, dtype=np.int64)
        found = self._read(numbers[numbers != ABSENT])
        if not found:
            return np.empty(0, dtype=np.int64), None
        columns = list(zip(*found, strict=True))
        known = np.asarray(columns[0], dtype=np.int64)
        at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        plain = known[at] == numbers
        plain &= np.fromiter(
            (isinstance(row, Row) and row.request.n == 1 for row in rows), np.bool_, len(rows)
        )
        offsets = np.flatnonzero(plain)
        if not len(offsets):
            return offsets, None
        picked = [rows[i] for i in offsets.tolist()]
        return offsets, self._laid_out(picked, columns, at[offsets])

    def _read(self, items: Items) -> list[tuple[Any, ...]]:
        if not len(items):
            return []
        low, high = int(items.min()), int(items.max())
        if high - low < _DENSE * len(items):
            return self._connection.execute(_IN_RANGE, (low, high)).fetchall()
        return self._connection.execute(_IN_LIST, (json.dumps(items.tolist()),)).fetchall()

    def _laid_out(
        self, rows: Sequence[Row | RowProblem], columns: Sequence[tuple[Any, ...]], at: npt.NDArray[np.int64]
    ) -> pa.Table:
        count = len(rows)
        straight = len(columns[0]) == count and bool((at == np.arange(count)).all())
        order = None if straight else pa.array(at)

        def column(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
            made = pa.array(values, kind)
            return made if order is None else made.take(order)

        _, params, runs, outcome_flags, image_flags, estimated, *ledger = columns
        told: dict[str, Sequence[Any]] = dict(zip(_FROM_LEDGER, ledger, strict=True))
        told["flags"] = self._flags(outcome_flags, image_flags, estimated, told["sha256"])
        told["endpoint"] = tuple(map(self._endpoints.__getitem__, runs))
        for name in FIELDS:
            told[name] = self._field(name, params)
        own = {
            "row_id": [row.row_id for row in rows],
            "row": [row.position for row in rows],
            "prompt": [row.request.prompt for row in rows if isinstance(row, Row)],
        }
        constant = {"image_index": 0, "status": RowStatus.SUCCEEDED.value, "attempts": 1, "try_number": 1}
        made = []
        for field in RESULTS_SCHEMA:
            if field.name in own:
                made.append(pa.array(own[field.name], field.type))
            elif field.name in constant:
                made.append(pa.repeat(pa.scalar(constant[field.name], field.type), count))
            elif field.name in told:
                made.append(column(told[field.name], field.type))
            else:
                made.append(pa.nulls(count, field.type))
        return pa.Table.from_arrays(made, schema=RESULTS_SCHEMA)

    def _field(self, name: str, params: Sequence[int]) -> list[Any]:
        values = {number: self._body(number).get(name) for number in set(params)}
        return [values[number] for number in params]

    def _body(self, params: int) -> dict[str, Any]:
        if params not in self._params:
            text = self._connection.execute("SELECT body FROM params WHERE params=?", (params,)).fetchone()[0]
            self._params[params] = json.loads(text)
        return self._params[params]

    def _flags(
        self,
        outcome: Sequence[str | None],
        image: Sequence[str | None],
        estimated: Sequence[int],
        digests: Sequence[str],
    ) -> list[list[str]]:
        return [
            [
                *(json.loads(of_outcome) if of_outcome else ()),
                *(("estimated_cost",) if guess else ()),
                *(json.loads(of_image) if of_image else ()),
                *(("duplicate_image",) if digest in self._duplicates else ()),
            ]
            for of_outcome, of_image, guess, digest in zip(outcome, image, estimated, digests, strict=True)
        ]
