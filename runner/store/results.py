"""`results.parquet`: a pure function of manifest and ledger, written whole and replaced in one step."""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.state import AttemptRecord, fold
from runner.changes import EDITED, Census
from runner.intake import Intake, RowBatch
from runner.store import records
from runner.store.attempts import ABSENT, AttemptReader
from runner.store.donemap import DoneMap, MapBuilder
from runner.store.durable import Folder, replace_file
from runner.store.ledger import Statement
from runner.store.plainrows import PlainRows
from runner.store.resultrows import (
    Facts,
    Values,
    duplicates,
    invalid_values,
    row_values,
    stop_message,
)
from runner.store.views import ItemIndex
from schemas.failures import RowStatus
from schemas.results import RESULT_NAMES, RESULTS_SCHEMA, passthrough_name
from schemas.row import Row, RowProblem

RESULTS_NAME = "results.parquet"
_ROWS_A_GROUP = 8_192


@dataclass
class Counts:
    """What the table holds. by_status, by_error: results rows. rows: manifest rows; images: results rows in all.

    removed: rows that were sent earlier and that the manifest no longer holds.
    """

    rows: int = 0
    images: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    by_error: Counter[str] = field(default_factory=Counter)
    removed: int = 0

    def add(self, values: Sequence[Values]) -> None:
        """Count one manifest row's results rows."""
        self.rows += 1
        self.images += len(values)
        for value in values:
            self.by_status[value["status"]] += 1
            if value.get("error_kind"):
                self.by_error[value["error_kind"]] += 1


@dataclass(frozen=True, slots=True)
class ToldBatch:
    """A batch of rows, their items in the ledger, and their results: offsets tell of which row each line is.

    kept: places of edited rows for which an earlier version stands.
    """

    batch: RowBatch
    items: Sequence[int]
    table: pa.Table
    offsets: npt.NDArray[np.int64]
    kept: frozenset[int]


@dataclass
class ResultsTable:
    """The table for one folder. live_run: the run that is going on now, None when there is none."""

    intake: Intake
    connection: sqlite3.Connection
    live_run: int | None = None
    _builder: MapBuilder | None = None
    _repeated: set[int] = field(default_factory=set)
    _census: Census | None = None

    def write(self, folder: Folder, record: Callable[[Sequence[Statement]], None]) -> Counts:
        """Write and replace `results.parquet`; what it holds. Raises OSError when the disk refuses.

        record: makes a record for the ledger durable; told of the table's digest before it is published.
        """
        counts = Counts()
        self._builder = MapBuilder(self.intake.job)

        def announce(digest: str) -> None:
            if digest != newest_digest(self.connection):
                record(records.table(digest, int(time.time() * 1000)))

        replace_file(folder, RESULTS_NAME, lambda file: self.stream(file, counts), before=announce)
        return counts

    def stream(self, file: IO[bytes], counts: Counts) -> None:
        """Write the table into a binary stream, counting what it holds."""
        extra = self.intake.manifest.extra_schema()
        schema = _full_schema(extra)
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for table in _grouped(self._tables(counts, extra, schema)):
                writer.write_table(table)

    def count(self) -> Counts:
        """What the table would hold, without writing it."""
        counts = Counts()
        for part in self._parts(counts):
            part.count_into(counts)
        return counts

    def map_done(self, folder: Folder) -> bool:
        """Keep a map of what the last `write` found done, for the next run; whether it was worth it. Raises OSError.

        None is kept while there are edited rows: who reads the map looks for none.
        """
        if self._builder is None or self._census is None or not self._census.is_settled:
            return False
        return self._builder.save(folder, self.connection, self._repeated)

    def batches(self, done: DoneMap | None = None) -> Iterator[ToldBatch]:
        """What `write` would write, batch by batch. done: rows to pass over."""
        extra = self.intake.manifest.extra_schema()
        schema = _full_schema(extra)
        for part in self._parts(Counts(), done):
            table, offsets = _whole(part, extra, schema)
            yield ToldBatch(part.batch, part.items, table, offsets, part.kept)

    def schema(self) -> pa.Schema:
        """Of the whole table."""
        return _full_schema(self.intake.manifest.extra_schema())

    def _tables(self, counts: Counts, extra: pa.Schema, schema: pa.Schema) -> Iterator[pa.Table]:
        for part in self._parts(counts):
            part.count_into(counts)
            self._note(part)
            yield _whole(part, extra, schema)[0]

    def _note(self, part: _Part) -> None:
        """Remember the plain rows: nearly all that are done. Another run reads the others again."""
        self._repeated = part.batch.repeated
        if len(part.plain) and self._builder is not None:
            places = part.plain.tolist()
            positions = [part.batch.rows[i].position for i in places]
            self._builder.add(positions, [part.items[i] for i in places], part.batch.keys[part.plain])

    def _parts(self, counts: Counts, done: DoneMap | None = None) -> Iterator[_Part]:
        index = ItemIndex(self.connection, done)
        self._census = Census(self.intake, self.connection, index, done)
        reader = AttemptReader(self.connection, self.live_run)
        facts = Facts(self.live_run is not None, stop_message(self.connection), duplicates(self.connection))
        plain = PlainRows(self.connection, facts)
        for batch in self.intake.batches(done):
            rows, items, kept = self._census.look(batch.rows, index.items(batch.rows))
            current = [ABSENT if i in kept else item for i, item in enumerate(items)] if kept else items
            offsets, table = plain.table(rows, current)
            told = set(offsets.tolist())
            others = [i for i in range(len(items)) if i not in told] if len(told) < len(items) else []
            attempts = reader.of([items[i] for i in others]) if others else {}
            values = [_values(rows[i], attempts.get(items[i], ()), facts) for i in others]
            for value in itertools.chain.from_iterable(
                values for i, values in zip(others, values, strict=True) if i in kept
            ):
                value["flags"].append(EDITED)
            yield _Part(batch, items, offsets, table, others, values, kept)
        counts.removed = len(self._census.removed())


def _values(row: Row | RowProblem, attempts: Sequence[AttemptRecord], facts: Facts) -> list[Values]:
    if isinstance(row, RowProblem):
        return [invalid_values(row)]
    return row_values(row, fold(attempts, row.request.n), facts)


@dataclass(frozen=True, slots=True)
class _Part:
    """The results of one batch: of its plain rows as a table, of the others as values, a list a row."""

    batch: RowBatch
    items: Sequence[int]
    plain: npt.NDArray[np.int64]
    plain_table: pa.Table | None
    others: Sequence[int]
    values: Sequence[list[Values]]
    kept: frozenset[int]

    def count_into(self, counts: Counts) -> None:
        """Count what is here."""
        counts.rows += len(self.plain)
        counts.images += len(self.plain)
        if len(self.plain):
            counts.by_status[RowStatus.SUCCEEDED.value] += len(self.plain)
        for values in self.values:
            counts.add(values)

    def table(self) -> tuple[pa.Table, npt.NDArray[np.int64]]:
        """The results rows in manifest order, and of which of the batch's rows each is."""
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


def _whole(part: _Part, extra: pa.Schema, schema: pa.Schema) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """The part's results with the manifest's other columns, and of which of the batch's rows each is."""
    own, offsets = part.table()
    columns = own.columns
    if len(extra):
        others = part.batch.extras()
        if len(offsets) != len(others) or not bool((offsets == np.arange(len(others))).all()):
            others = others.take(pa.array(offsets))
        columns += [others.column(name).cast(extra.field(name).type) for name in extra.names]
    return pa.Table.from_arrays(columns, schema=schema), offsets


def _full_schema(extra: pa.Schema) -> pa.Schema:
    taken = set(RESULT_NAMES)
    fields = list(RESULTS_SCHEMA)
    for column in extra:
        name = passthrough_name(column.name, taken)
        taken.add(name)
        fields.append(pa.field(name, column.type))
    return pa.schema(fields)


def _grouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables joined into row groups of a useful size; at least one, so that an empty manifest has a table."""
    held: list[pa.Table] = []
    rows = 0
    for table in tables:
        held.append(table)
        rows += table.num_rows
        if rows >= _ROWS_A_GROUP:
            yield pa.concat_tables(held)
            held, rows = [], 0
    if held:
        yield pa.concat_tables(held)


def newest_digest(connection: sqlite3.Connection) -> str | None:
    """sha256 (hex) of the newest table that was about to be published; None before the first."""
    row = connection.execute("SELECT sha256 FROM tables ORDER BY number DESC LIMIT 1").fetchone()
    return row[0].hex() if row else None
