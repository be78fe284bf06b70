"""Rows with a short story, one request and one image: read from the ledger and laid out column by column.

Nearly all rows of a large job are of this kind. A row of any other kind is told by `runner.store.resultrows`; both tell
the same of a row that either could.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
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
    "sha256": "i.sha256",
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
_FROM_ITEMS = {"row_id": "t.row_id", "prompt": "t.prompt"}
_QUERY = (
    "SELECT {columns} FROM attempts a JOIN outcomes o USING (attempt) "
    "JOIN images i ON i.attempt = a.attempt AND i.idx = 0 {items}"
    "WHERE a.item {which} AND a.n = 1 AND o.status = 'succeeded' AND a.indexes IS NULL "
    "AND a.prompt IS NULL AND NOT EXISTS (SELECT 1 FROM pruned p WHERE p.attempt = a.attempt) "
    "AND NOT EXISTS (SELECT 1 FROM attempts b WHERE b.item = a.item AND b.attempt <> a.attempt) ORDER BY a.item"
)
_RANGE, _LIST = "BETWEEN ? AND ?", "IN (SELECT value FROM json_each(?))"
_COLUMNS = (*_OTHERS, *_FROM_LEDGER.values())
_DENSE = 4
"""A range is read whole when it holds at most so many items for each one that is wanted."""

Offsets = npt.NDArray[np.int64]


class PlainRows:
    """Reads them from one ledger."""

    def __init__(self, connection: sqlite3.Connection, facts: Facts) -> None:
        self._connection = connection
        self._duplicates = facts.duplicates
        self._params: dict[int, dict[str, Any]] = {}
        self._endpoints = dict(connection.execute("SELECT run, endpoint FROM runs").fetchall())

    def table(
        self, rows: Sequence[Row | RowProblem], items: Sequence[int]
    ) -> tuple[Offsets, pa.Table | None]:
        """Offsets of the plain ones among the rows, in order, and their results rows; None where there are none."""
        numbers = np.asarray(items, dtype=np.int64)
        columns = self._read(numbers[numbers != ABSENT], _COLUMNS)
        if not columns:
            return np.empty(0, dtype=np.int64), None
        plain, at = _found(columns[0], numbers)
        plain &= np.fromiter(
            (isinstance(row, Row) and row.request.n == 1 for row in rows), np.bool_, len(rows)
        )
        offsets = np.flatnonzero(plain)
        if not len(offsets):
            return offsets, None
        picked = [rows[i] for i in offsets.tolist()]
        own = {
            "row_id": pa.array([row.row_id for row in picked], pa.string()),
            "row": pa.array([row.position for row in picked], pa.int64()),
            "prompt": pa.array([row.request.prompt for row in picked if isinstance(row, Row)], pa.string()),
        }
        return offsets, self._laid_out(own, columns, at[offsets])

    def known(self, positions: Offsets, items: Offsets) -> tuple[npt.NDArray[np.bool_], pa.Table | None]:
        """Which rows at these manifest positions, of one image each, are plain, and their results rows, in order.

        Rows and items are of the same request: ids and prompts are the ledger's.
        """
        columns = self._read(items, (*_COLUMNS, *_FROM_ITEMS.values()))
        if not columns:
            return np.zeros(len(items), dtype=np.bool_), None
        plain, at = _found(columns[0], items)
        if not plain.any():
            return plain, None
        own = {"row": pa.array(positions[plain], pa.int64())}
        return plain, self._laid_out(own, columns, at[plain])

    def _read(self, items: Offsets, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """These columns of the plain ones among the items, by item; empty where there are none."""
        if not len(items):
            return []
        low, high = int(items.min()), int(items.max())
        joined = "JOIN items t ON t.item = a.item " if len(columns) > len(_COLUMNS) else ""
        dense = high - low < _DENSE * len(items)
        sql = _QUERY.format(columns=", ".join(columns), items=joined, which=_RANGE if dense else _LIST)
        values = (low, high) if dense else (json.dumps(items.tolist()),)
        return list(zip(*self._connection.execute(sql, values).fetchall(), strict=True))

    def _laid_out(
        self, own: dict[str, pa.Array], columns: Sequence[tuple[Any, ...]], at: Offsets
    ) -> pa.Table:
        """own: columns that are in order already. at: places of the rows in the ledger's columns."""
        count = len(own["row"])
        straight = len(columns[0]) == count and bool((at == np.arange(count)).all())
        order = None if straight else pa.array(at)
        _, params, runs, outcome_flags, image_flags, estimated, *ledger = columns
        told: dict[str, Any] = dict(zip((*_FROM_LEDGER, *_FROM_ITEMS), ledger, strict=False))
        told["flags"] = self._flags(outcome_flags, image_flags, estimated, told["sha256"])
        told["sha256"] = _in_hex(told["sha256"])
        told["endpoint"] = _spread(runs, self._endpoints)
        for name in FIELDS:
            told[name] = _spread(params, {number: self._body(number).get(name) for number in set(params)})
        constant = {"image_index": 0, "status": RowStatus.SUCCEEDED.value, "attempts": 1, "try_number": 1}
        made = []
        for field in RESULTS_SCHEMA:
            if field.name in own:
                made.append(own[field.name])
            elif field.name in constant:
                made.append(pa.repeat(pa.scalar(constant[field.name], field.type), count))
            elif field.name in told:
                values = told[field.name]
                if isinstance(values, pa.Scalar):
                    made.append(pa.repeat(values.cast(field.type), count))
                    continue
                column = values if isinstance(values, pa.Array) else pa.array(values, field.type)
                made.append(column if order is None else column.take(order))
            else:
                made.append(pa.nulls(count, field.type))
        return pa.Table.from_arrays(made, schema=RESULTS_SCHEMA)

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
        digests: Sequence[bytes],
    ) -> pa.Array | list[list[str]]:
        if not (any(outcome) or any(image) or any(estimated) or self._duplicates):
            nothing = pa.array(np.zeros(len(outcome) + 1, dtype=np.int32))
            return pa.ListArray.from_arrays(nothing, pa.array([], pa.string()))
        return [
            [
                *(json.loads(of_outcome) if of_outcome else ()),
                *(("estimated_cost",) if guess else ()),
                *(json.loads(of_image) if of_image else ()),
                *(("duplicate_image",) if self._duplicates and digest.hex() in self._duplicates else ()),
            ]
            for of_outcome, of_image, guess, digest in zip(outcome, image, estimated, digests, strict=True)
        ]


def _found(known: Sequence[int], wanted: Offsets) -> tuple[npt.NDArray[np.bool_], Offsets]:
    """Which of the wanted numbers are among the known ones, which ascend, and where."""
    numbers = np.asarray(known, dtype=np.int64)
    at = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    return numbers[at] == wanted, at


def _in_hex(digests: Sequence[bytes]) -> pa.Array:
    """Digests of 32 bytes as text."""
    text = b"".join(digests).hex().encode()
    ends = np.arange(len(digests) + 1, dtype=np.int32) * 64
    return pa.StringArray.from_buffers(len(digests), pa.py_buffer(ends), pa.py_buffer(text))


def _spread(numbers: Sequence[int], values: Mapping[int, Any]) -> pa.Scalar | list[Any]:
    """The value of each number; one for all where they are all the same."""
    if len(set(numbers)) == 1:
        return pa.scalar(values[numbers[0]])
    return [values[number] for number in numbers]
