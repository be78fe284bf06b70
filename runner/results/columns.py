"""Rows with a short story, one request and one image: read from the ledger and laid out column by column.

Nearly all rows of a large job are of this kind. A row of any other kind is told by `runner.results.rows`; both tell
the same of a row that either could.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from runner.results.plaincolumns import Plain, PlainReader
from runner.results.rows import Facts
from schemas.failures import RowStatus
from schemas.outcome import ABSENT
from schemas.request import FIELDS
from schemas.results import RESULTS_SCHEMA
from schemas.row import Row, RowProblem

_CONSTANT = {"image_index": 0, "status": RowStatus.SUCCEEDED.value, "attempts": 1, "try_number": 1}

Offsets = npt.NDArray[np.int64]


class Lines(NamedTuple):
    """Results rows that are laid out when they are asked for, by any thread. size: bytes of text in them, about."""

    table: Callable[[], pa.Table]
    size: int


class PlainRows:
    """Reads them from one ledger."""

    def __init__(self, connection: sqlite3.Connection, facts: Facts) -> None:
        self._connection = connection
        self._reader = PlainReader(connection)
        self._duplicates = pa.array(sorted(facts.duplicates), pa.string())
        self._params: dict[int, dict[str, Any]] = {}
        self._endpoints = dict(connection.execute("SELECT run, endpoint FROM runs").fetchall())

    def table(
        self, rows: Sequence[Row | RowProblem], items: Sequence[int]
    ) -> tuple[Offsets, pa.Table | None]:
        """Offsets of the plain ones among the rows, in order, and their results rows; None where there are none."""
        numbers = np.asarray(items, dtype=np.int64)
        found = self._reader.read(numbers[numbers != ABSENT], named=False)
        if found is None:
            return np.empty(0, dtype=np.int64), None
        plain, at = _found(found.items, numbers)
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
        return offsets, self._laid_out(own, found, at[offsets])

    def known(self, positions: Offsets, items: Offsets) -> tuple[npt.NDArray[np.bool_], Lines | None]:
        """Which rows at these manifest positions, of one image each, are plain, and their results rows, in order.

        Rows and items are of the same request: ids and prompts are the ledger's.
        """
        found = self._reader.read(items, named=True)
        if found is None:
            return np.zeros(len(items), dtype=np.bool_), None
        plain, at = _found(found.items, items)
        if not plain.any():
            return plain, None
        for number in found.params:
            self._body(number)
        own = {"row": pa.array(positions[plain], pa.int64())}
        return plain, Lines(cache(partial(self._laid_out, own, found, at[plain])), found.size)

    def _laid_out(self, own: dict[str, pa.Array], found: Plain, at: Offsets) -> pa.Table:
        """own: columns that are in order already. at: places of the rows among what was found."""
        count = len(own["row"])
        straight = len(found.items) == count and bool((at == np.arange(count)).all())
        order = None if straight else pa.array(at)
        told = found.columns() | _CONSTANT
        told["flags"] = self._flags(told)
        told["endpoint"] = _spread(told["run"], self._endpoints.__getitem__, pa.string())
        for name in FIELDS:
            kind = RESULTS_SCHEMA.field(name).type
            told[name] = _spread(told["params"], partial(self._requested, name), kind)
        made = []
        for field in RESULTS_SCHEMA:
            values = own.get(field.name, told.get(field.name))
            if not isinstance(values, pa.Array):
                made.append(pa.repeat(pa.scalar(values).cast(field.type), count))
            elif field.name in own or order is None:
                made.append(values.cast(field.type))
            else:
                made.append(values.cast(field.type).take(order))
        return pa.Table.from_arrays(made, schema=RESULTS_SCHEMA)

    def _requested(self, name: str, params: int) -> Any:
        return self._body(params).get(name)

    def _body(self, params: int) -> dict[str, Any]:
        if params not in self._params:
            text = self._connection.execute("SELECT body FROM params WHERE params=?", (params,)).fetchone()[0]
            self._params[params] = json.loads(text)
        return self._params[params]

    def _flags(self, told: Mapping[str, Any]) -> pa.Array:
        """The flags of each row, in the order in which `runner.results.rows` names them."""
        digests = told["sha256"]
        twice = pc.is_in(digests, self._duplicates) if len(self._duplicates) else False
        parts = [told["outcome_flags"], told["estimated"], told["image_flags"], twice]
        some = np.flatnonzero(_any_of(parts, len(digests)))
        lists = [
            [
                *(json.loads(of_outcome) if of_outcome else ()),
                *(("estimated_cost",) if guess else ()),
                *(json.loads(of_image) if of_image else ()),
                *(("duplicate_image",) if duplicate else ()),
            ]
            for of_outcome, guess, of_image, duplicate in zip(
                *(
                    part.take(pa.array(some)).to_pylist()
                    if isinstance(part, pa.Array)
                    else itertools.repeat(part, len(some))
                    for part in parts
                ),
                strict=True,
            )
        ]
        ends = np.zeros(len(digests) + 1, dtype=np.int32)
        ends[some + 1] = [len(flags) for flags in lists]
        names = pa.array(list(itertools.chain.from_iterable(lists)), pa.string())
        return pa.ListArray.from_arrays(pa.array(np.cumsum(ends, dtype=np.int32)), names)


def _any_of(parts: Sequence[Any], count: int) -> npt.NDArray[np.bool_]:
    """In which of so many rows one of the parts, each a column or a value for all, says something."""
    some = np.zeros(count, dtype=np.bool_)
    for part in parts:
        if isinstance(part, pa.Array):
            told = (
                part.is_valid() if pa.types.is_string(part.type) else part.cast(pa.bool_()).fill_null(False)
            )
            some |= told.to_numpy(zero_copy_only=False)
        elif part:
            some[:] = True
    return some


def _found(known: Offsets, wanted: Offsets) -> tuple[npt.NDArray[np.bool_], Offsets]:
    """Which of the wanted numbers are among the known ones, which ascend, and where."""
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return known[at] == wanted, at


def _spread(numbers: pa.Array | int, value: Callable[[int], Any], kind: pa.DataType) -> Any:
    """The value of each number; one for all where they are all the same."""
    if not isinstance(numbers, pa.Array):
        return value(numbers)
    coded = numbers.dictionary_encode()
    return pa.array([value(number) for number in coded.dictionary.to_pylist()], kind).take(coded.indices)
