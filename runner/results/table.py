"""`results.parquet`: a pure function of manifest and ledger, written whole and replaced in one step."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.state import AttemptRecord, fold
from runner.artifacts.atomic_files import Folder, replace_file
from runner.ledger import statements
from runner.ledger.completion_cache import NOTHING_COMPLETED, CompletedRows, MapBuilder
from runner.ledger.item_index import ItemIndex
from runner.ledger.ledger_file import LedgerFile
from runner.ledger.reader import LedgerReader, connection_of
from runner.ledger.writer import Statement
from runner.planning.manifest_diff import Census
from runner.planning.row_stream import Intake, RowBatch
from runner.results.batches import KnownLines, Part
from runner.results.columns import PlainRows
from runner.results.knownrows import KnownRows
from runner.results.rows import Facts, Values, duplicates, invalid_values, row_values, stop_message
from schemas.outcome import ABSENT, EDITED
from schemas.output_folder import RESULTS_NAME
from schemas.reports import Counts
from schemas.results import RESULT_NAMES, RESULTS_SCHEMA, UNREPEATED, passthrough_name
from schemas.row import Row, RowProblem

_ROWS_A_GROUP = 8_192
_FIRST_ROWS = 2_048
"""Of the first group, for which the writing waits; those after it grow."""
_AHEAD = 5
"""So many batches at most are read before they are asked for: a row group of them, and one more."""

Making = Callable[[], pa.Table]


class ToldBatch(NamedTuple):
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
    """The table for one folder. live_run: the run that is going on now, None when there is none.

    known: rows that need not be read, because the ledger tells all of them; of these very bytes of the manifest.
    """

    intake: Intake
    ledger: LedgerReader
    live_run: int | None = None
    known: CompletedRows = NOTHING_COMPLETED
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
            newest = self.ledger.newest_table()
            if newest is None or digest != newest[0]:
                record(statements.table(digest, int(time.time() * 1000)))

        replace_file(folder, RESULTS_NAME, lambda file: self.stream(file, counts), before=announce)
        return counts

    def stream(self, file: IO[bytes], counts: Counts) -> None:
        """Write the table into a binary stream, counting what it holds."""
        extra = self.intake.manifest.extra_schema()
        schema = _full_schema(extra)
        repeating = [name for name in schema.names if name not in UNREPEATED]
        with (
            pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=repeating) as writer,
            closing(_ahead(self._tables(counts, extra, schema))) as tables,
        ):
            for table in _grouped(make() for make in tables):
                writer.write_table(table)

    def count(self) -> Counts:
        """What the table would hold, without writing it."""
        counts = Counts()
        counts.succeeded(self.known.images, self.known.rows)
        for part in self._parts(counts, self.known, flagged=False):
            part.count_into(counts)
        return counts

    def map_done(self, folder: Folder, ledger: LedgerFile) -> bool:
        """Keep a map of what the last `write` found done, for the next run; whether it was worth it. Raises OSError.

        None is kept while there are edited rows: who reads the map looks for none.
        """
        if self._builder is None or self._census is None or not self._census.is_settled:
            return False
        return ledger.keep_completed(self._builder, folder, self._repeated)

    def batches(self, passed_over: CompletedRows = NOTHING_COMPLETED) -> Iterator[ToldBatch]:
        """What `write` would write, batch by batch."""
        extra = self.intake.manifest.extra_schema()
        schema = _full_schema(extra)
        for part in self._parts(Counts(), passed_over):
            table, offsets = part.read(extra, schema)
            yield ToldBatch(part.batch, part.items, table, offsets, part.kept)

    def schema(self) -> pa.Schema:
        """Of the whole table."""
        return _full_schema(self.intake.manifest.extra_schema())

    def _tables(self, counts: Counts, extra: pa.Schema, schema: pa.Schema) -> Iterator[Making]:
        for part in self._parts(counts):
            part.count_into(counts)
            self._repeated = part.batch.repeated
            if self._builder is not None:
                part.note(self._builder)
            yield part.whole(extra, schema)

    def _parts(
        self, counts: Counts, passed_over: CompletedRows = NOTHING_COMPLETED, *, flagged: bool = True
    ) -> Iterator[Part]:
        """flagged: images are compared with all others, for the flag that tells of the same one twice."""
        connection = connection_of(self.ledger)
        index = self.ledger.item_index(passed_over if passed_over.rows else self.known)
        self._census = Census(self.intake, self.ledger, index)
        reader = self.ledger.attempts(self.live_run)
        twice = duplicates(connection) if flagged else frozenset[str]()
        facts = Facts(self.live_run is not None, stop_message(connection), twice)
        plain = PlainRows(connection, facts)
        for batch, lines, numbers in self._batches(plain, index, reads_known=not passed_over.rows):
            found = index.items(batch.rows)
            if numbers:
                found = [numbers.get(offset, item) for offset, item in zip(batch.offsets, found, strict=True)]
            rows, items, kept = self._census.look(batch.rows, found)
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
            yield Part(batch, items, offsets, table, others, values, kept, lines)
        counts.removed = len(self._census.removed())

    def _batches(
        self, plain: PlainRows, index: ItemIndex, *, reads_known: bool
    ) -> Iterator[tuple[RowBatch, KnownLines | None, dict[int, int]]]:
        """The rows to be read, the lines of those that need not be, and items of rows that the map knows but are read."""
        if not reads_known or not index.completed.rows:
            yield from ((batch, None, {}) for batch in self.intake.open_batches(index))
            return
        known = KnownRows(index.completed, plain)
        for unread in self.intake.unread():
            lines, missed = known.of(unread.position, len(unread.batch))
            left = np.ones(len(unread.batch), dtype=np.bool_)
            if lines is not None:
                left[lines.offsets] = False
            yield unread.rows(np.flatnonzero(left).tolist()), lines, missed


def _values(row: Row | RowProblem, attempts: Sequence[AttemptRecord], facts: Facts) -> list[Values]:
    if isinstance(row, RowProblem):
        return [invalid_values(row)]
    return row_values(row, fold(attempts, row.request.n), facts)


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
    rows = passed = 0
    for table in tables:
        held.append(table)
        rows += table.num_rows
        if rows >= min(_ROWS_A_GROUP, max(_FIRST_ROWS, passed // 2)):
            yield pa.concat_tables(held)
            passed += rows
            held, rows = [], 0
    if held:
        yield pa.concat_tables(held)


def _ahead(tables: Iterator[Making]) -> Generator[Making]:
    """The same, read in a thread some way ahead of their use; that thread alone asks the ledger meanwhile."""
    with ThreadPoolExecutor(1, thread_name_prefix="table") as thread:
        coming = deque(thread.submit(next, tables, None) for _ in range(_AHEAD))
        try:
            while (table := coming.popleft().result()) is not None:
                coming.append(thread.submit(next, tables, None))
                yield table
        finally:
            thread.shutdown(cancel_futures=True)
