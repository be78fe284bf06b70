"""The results of one batch of rows: put together from rows that are told column by column and rows told one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from runner.ledger.completion_cache import MapBuilder
from runner.planning.row_stream import RowBatch
from runner.results.rows import Values
from schemas.reports import Counts
from schemas.results import RESULTS_SCHEMA

Offsets = npt.NDArray[np.int64]


class KnownLines(NamedTuple):
    """Lines of rows that are told by the ledger alone, one each. offsets: places in the manifest's batch, which begins at
    `start`. table: lays them out."""

    table: Callable[[], pa.Table]
    offsets: Offsets
    items: npt.NDArray[np.int64]
    start: int


class Part(NamedTuple):
    """The results of one batch: of its plain rows as a table, of the others as values, a list a row.

    kept: places of edited rows for which an earlier version stands. known: lines of rows that are not in `batch`, which
    holds what was read of the manifest's batch.
    """

    batch: RowBatch
    items: Sequence[int]
    plain: npt.NDArray[np.int64]
    plain_table: pa.Table | None
    others: Sequence[int]
    values: Sequence[list[Values]]
    kept: frozenset[int]
    known: KnownLines | None = None

    def count_into(self, counts: Counts) -> None:
        """Count what is here."""
        plain = len(self.plain) + (0 if self.known is None else len(self.known.offsets))
        counts.succeeded(plain, plain)
        for values in self.values:
            counts.add(values)

    def read(self, extra: pa.Schema, schema: pa.Schema) -> tuple[pa.Table, Offsets]:
        """The results of the rows in `batch`, with the manifest's other columns, and of which of them each is."""
        own, places = self._told()
        others = self.batch.extras() if len(extra) else None
        return _beside(own, others, places, schema), places

    def whole(self, extra: pa.Schema, schema: pa.Schema) -> Callable[[], pa.Table]:
        """The same with the known lines among them: everything is read, and any thread may put it together."""
        if self.known is None:
            table, _ = self.read(extra, schema)
            return lambda: table
        others = self.batch.batch.extras() if len(extra) else None
        own, places = self._told() if self.batch.rows else (None, self.plain)
        offsets = np.asarray(self.batch.offsets, dtype=np.int64)[places]
        return partial(_with_known, self.known, own, offsets, others, schema)

    def _told(self) -> tuple[pa.Table, Offsets]:
        """The results of the rows in `batch`, in order, and of which of them each is."""
        if not self.values and self.plain_table is not None:
            return self.plain_table, self.plain
        flat = [value for values in self.values for value in values]
        columns = [
            pa.array([value.get(field.name) for value in flat], field.type) for field in RESULTS_SCHEMA
        ]
        told = pa.Table.from_arrays(columns, schema=RESULTS_SCHEMA)
        repeats = np.repeat(
            np.asarray(self.others, dtype=np.int64),
            [len(values) for values in self.values] or [0] * len(self.others),
        )
        if self.plain_table is None:
            return told, repeats
        offsets = np.concatenate((self.plain, repeats))
        order = np.argsort(offsets, kind="stable")
        return pa.concat_tables([self.plain_table, told]).take(pa.array(order)), offsets[order]

    def note(self, builder: MapBuilder) -> None:
        """Tell the next map of what is done here: its plain rows. Another run reads the others again."""
        if self.known is not None:
            builder.know(self.known.offsets + self.known.start, self.known.items)
        if len(self.plain):
            places = self.plain.tolist()
            positions = [self.batch.rows[i].position for i in places]
            builder.add(positions, [self.items[i] for i in places], self.batch.keys[self.plain])


def _with_known(
    known: KnownLines,
    own: pa.Table | None,
    offsets: Offsets,
    others: pa.RecordBatch | None,
    schema: pa.Schema,
) -> pa.Table:
    """Known lines and those of other rows, by their offsets in the manifest's batch, with its other columns."""
    table = known.table()
    if own is None:
        return _beside(table, others, known.offsets, schema)
    offsets = np.concatenate((known.offsets, offsets))
    order = np.argsort(offsets, kind="stable")
    return _beside(pa.concat_tables([table, own]).take(pa.array(order)), others, offsets[order], schema)


def _beside(own: pa.Table, others: pa.RecordBatch | None, offsets: Offsets, schema: pa.Schema) -> pa.Table:
    """Results rows with the manifest's other columns, if any. offsets: which of `others` belongs to each."""
    columns = own.columns
    if others is not None:
        if len(offsets) != len(others) or not bool((offsets == np.arange(len(others))).all()):
            others = others.take(pa.array(offsets))
        columns += [
            column.cast(field.type)
            for column, field in zip(others.columns, list(schema)[len(columns) :], strict=True)
        ]
    return pa.Table.from_arrays(columns, schema=schema).combine_chunks()
