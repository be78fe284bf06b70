"""`results.parquet`: a pure function of manifest and ledger, written whole and replaced in one step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from runner.artifacts.atomic_files import Folder, replace_file
from runner.ledger import attempt_log
from runner.ledger.completion_cache import NOTHING_COMPLETED, CompletedRows, CompletionBuilder
from runner.ledger.ledger_file import LedgerFile
from runner.ledger.reader import LedgerReader
from runner.ledger.writer import Statement
from runner.planning.manifest_diff import ManifestDiff
from runner.planning.row_stream import RowBatch, RowStream
from runner.process.clock import wall_ms
from runner.process.event_loop import DaemonPool
from runner.results.batches import ResultBatches
from schemas.counts import Counts
from schemas.output_folder import RESULTS_NAME
from schemas.results import RESULT_NAMES, RESULTS_SCHEMA, UNREPEATED, passthrough_name

_ROWS_A_GROUP = 8_192
_FIRST_ROWS = 2_048
"""Rows of the first group, for which the writer waits; later groups are larger."""
_AHEAD = 5
"""Batches that are read ahead at most: a row group of them, and one more."""


class TableBatch(NamedTuple):
    """A batch of rows, their items in the ledger, and their results. offsets: of each line of `table`, its row in `batch`.

    pinned: offsets of edited rows that show their earlier version.
    """

    batch: RowBatch
    items: Sequence[int]
    table: pa.Table
    offsets: npt.NDArray[np.int64]
    pinned: frozenset[int]


@dataclass
class ResultsTable:
    """The table for one folder. live_run: the run that is going on now, None when there is none.

    known: completed rows of these very bytes of the manifest; they are not read, because the ledger has all their values.
    """

    row_stream: RowStream
    ledger: LedgerReader
    live_run: int | None = None
    known: CompletedRows = NOTHING_COMPLETED
    _builder: CompletionBuilder | None = None
    _repeated: set[int] = field(default_factory=set)
    _diff: ManifestDiff | None = None

    def write(self, folder: Folder, record: Callable[[Sequence[Statement]], None]) -> Counts:
        """Write and replace `results.parquet`; what it holds. Raises OSError when the disk refuses.

        record: makes a record of the ledger durable; called with the table's digest before the table is published.
        """
        counts = Counts()
        self._builder = CompletionBuilder(self.row_stream.job)

        def announce(digest: str) -> None:
            newest = self.ledger.newest_table()
            if newest is None or digest != newest[0]:
                record(attempt_log.table(digest, wall_ms()))

        replace_file(folder, RESULTS_NAME, lambda file: self.stream(file, counts), before=announce)
        return counts

    def stream(self, file: IO[bytes], counts: Counts) -> None:
        """Write the table into a binary stream, counting what it holds."""
        schema = self.schema()
        repeating = [name for name in schema.names if name not in UNREPEATED]
        with (
            pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=repeating) as writer,
            closing(_ahead(self._tables(counts, schema))) as tables,
        ):
            for table in _grouped(tables):
                writer.write_table(table)

    def count(self) -> Counts:
        """What the table would hold, without writing it."""
        counts = Counts()
        counts.succeeded(self.known.images, self.known.rows)
        passed = ResultBatches(self.row_stream, self.ledger, self.live_run, skipped=self.known)
        for each in passed:
            each.count_into(counts)
        passed.count_pictures(counts)
        counts.removed = len(passed.diff.removed())
        return counts

    def save_completed(self, folder: Folder, ledger: LedgerFile) -> bool:
        """Cache the completed rows that the last `write` found, for the next run. Returns whether it did. Raises OSError.

        None is kept while there are edited rows: who reads the map looks for none. Nor where the manifest's files are not
        those any more that were read.
        """
        if self._builder is None or self._diff is None or not self._diff.has_no_edits:
            return False
        if self.row_stream.manifest.changed() is not None:
            return False
        return ledger.keep_completed(self._builder, folder, self._repeated)

    def batches(self, passed_over: CompletedRows = NOTHING_COMPLETED) -> Iterator[TableBatch]:
        """The table's content, batch by batch. passed_over: rows to leave out."""
        schema = self.schema()
        passed = ResultBatches(self.row_stream, self.ledger, self.live_run, skipped=passed_over)
        for each in passed:
            table, offsets = each.table(schema)
            indexes = np.searchsorted(np.asarray(each.batch.offsets, dtype=np.int64), offsets)
            yield TableBatch(each.batch, each.items, table, indexes, each.pinned)

    def schema(self) -> pa.Schema:
        """Of the whole table."""
        return _full_schema(self.row_stream.manifest.extra_schema())

    def _tables(self, counts: Counts, schema: pa.Schema) -> Iterator[pa.Table]:
        passed = ResultBatches(self.row_stream, self.ledger, self.live_run, known=self.known)
        self._diff = passed.diff
        for each in passed:
            each.count_into(counts)
            self._repeated = each.batch.repeated
            if self._builder is not None:
                each.note(self._builder)
            table, _ = each.table(schema)
            yield table
        passed.count_pictures(counts)
        counts.removed = len(passed.diff.removed())


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


def _ahead(tables: Iterator[pa.Table]) -> Generator[pa.Table]:
    """The same tables, read ahead in a thread. Only that thread reads the ledger meanwhile."""
    with DaemonPool(1, "table") as thread:
        coming = deque(thread.submit(next, tables, None) for _ in range(_AHEAD))
        try:
            while (table := coming.popleft().result()) is not None:
                coming.append(thread.submit(next, tables, None))
                yield table
        finally:
            thread.shutdown(cancel_futures=True)
