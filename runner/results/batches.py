"""Results, batch by batch of the manifest: rows with one request and one image, and rows with a longer history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.state import fold
from runner.ledger.completion_cache import NOTHING_COMPLETED, CompletedRows, CompletionBuilder
from runner.ledger.reader import LedgerReader
from runner.planning.manifest_diff import ManifestDiff
from runner.planning.row_stream import RowBatch, RowStream
from runner.results.columns import SingleRowReader
from runner.results.rows import Facts, Values, invalid_values, row_values, stop_message
from schemas.counts import Counts
from schemas.outcome import ABSENT, EDITED
from schemas.results import RESULTS_SCHEMA
from schemas.row import Row, RowProblem

Numbers = npt.NDArray[np.int64]


class SingleImageRows(NamedTuple):
    """Results rows of rows with one request and one image. Of each row: its offset in the manifest's batch, its position
    in the manifest, and its number in the ledger."""

    table: pa.Table
    offsets: Numbers
    positions: Numbers
    items: Numbers


@dataclass(frozen=True, slots=True)
class ResultBatch:
    """The results of one batch of the manifest.

    batch: the rows that were read. known: completed rows, taken from the ledger alone. items: ledger numbers of the rows in
    `batch`. pinned: indexes of edited rows that show their earlier version. single: rows with one request and one image.
    longer, values: indexes of the other rows, and their results rows.
    """

    batch: RowBatch
    items: Sequence[int]
    pinned: frozenset[int]
    known: SingleImageRows | None
    single: SingleImageRows | None
    longer: Numbers
    values: Sequence[Sequence[Values]]

    def count_into(self, counts: Counts) -> None:
        """Add this batch to the counts."""
        for lines in (self.known, self.single):
            if lines is not None:
                counts.succeeded(len(lines.offsets), len(lines.offsets))
        for values in self.values:
            counts.add(values)

    def note(self, builder: CompletionBuilder) -> None:
        """Add the completed rows with one request to the cache. The next run reads the others again."""
        if self.known is not None:
            builder.add_known(self.known.positions, self.known.items)
        if self.single is not None:
            keys = np.delete(self.batch.keys, self.longer)
            builder.add(self.single.positions.tolist(), self.single.items.tolist(), keys)

    def table(self, schema: pa.Schema) -> tuple[pa.Table, Numbers]:
        """All results rows, in order, with the manifest's other columns; and of each the offset of its record in the
        manifest's batch."""
        parts = [(lines.table, lines.offsets) for lines in (self.known, self.single) if lines is not None]
        if len(self.longer) or not parts:
            parts.append(self._longer())
        own, offsets = parts[0]
        if len(parts) > 1:
            every = np.concatenate([each for _, each in parts])
            order = np.argsort(every, kind="stable")
            own, offsets = pa.concat_tables([each for each, _ in parts]).take(pa.array(order)), every[order]
        columns = own.columns
        if len(schema) > len(columns):
            extras = self.batch.batch.extras()
            if not np.array_equal(offsets, np.arange(len(extras))):
                extras = extras.take(pa.array(offsets))
            types = [column.type for column in list(schema)[len(columns) :]]
            columns += [column.cast(kind) for column, kind in zip(extras.columns, types, strict=True)]
        return pa.Table.from_arrays(columns, schema=schema).combine_chunks(), offsets

    def _longer(self) -> tuple[pa.Table, Numbers]:
        flat = [value for values in self.values for value in values]
        columns = [
            pa.array([value.get(column.name) for value in flat], column.type) for column in RESULTS_SCHEMA
        ]
        offsets = np.asarray(self.batch.offsets, dtype=np.int64)[self.longer]
        counts = np.array([len(values) for values in self.values], dtype=np.int64)
        return pa.Table.from_arrays(columns, schema=RESULTS_SCHEMA), np.repeat(offsets, counts)


class ResultBatches:
    """One pass over the manifest: iterate once.

    live_run: the run that is going on now, None when there is none. known: rows that are not read, because the ledger
    tells all of them. skipped: rows to pass over.
    """

    def __init__(
        self,
        row_stream: RowStream,
        ledger: LedgerReader,
        live_run: int | None = None,
        *,
        known: CompletedRows = NOTHING_COMPLETED,
        skipped: CompletedRows = NOTHING_COMPLETED,
    ) -> None:
        self._row_stream = row_stream
        self._known = NOTHING_COMPLETED if skipped.rows else known
        self._index = ledger.item_index(skipped if skipped.rows else known)
        self.diff = ManifestDiff(row_stream, ledger, self._index)
        self._attempts = ledger.attempts(live_run)
        query = self._query = ledger.result_query()
        twice = self._twice = query.duplicates()
        self._facts = Facts(live_run is not None, stop_message(query.stop_reason()), twice)
        self._single = SingleRowReader(query, twice)

    def count_pictures(self, counts: Counts) -> None:
        """Count those that several rows have, and those of one colour."""
        counts.repeated = self._query.repeated(self._twice)
        counts.blank = self._query.blank_rows()

    def __iter__(self) -> Iterator[ResultBatch]:
        if not self._known.rows:
            for batch in self._row_stream.incomplete_batches(self._index):
                yield self._batch(batch)
            return
        numbers, passed = self._known.numbers(), 0
        for raw in self._row_stream.raw_batches():
            offsets = self._known.completed_offsets(raw.position, len(raw.batch))
            items = numbers[passed : passed + len(offsets)]
            passed += len(offsets)
            known = self._known_lines(raw.position, offsets, items)
            left = np.ones(len(raw.batch), dtype=np.bool_)
            if known is not None:
                left[known.offsets] = False
            batch = raw.rows(np.flatnonzero(left).tolist())
            yield self._batch(batch, known, dict(zip(offsets.tolist(), items.tolist(), strict=True)))

    def _batch(
        self, batch: RowBatch, known: SingleImageRows | None = None, numbers: Mapping[int, int] | None = None
    ) -> ResultBatch:
        """numbers: items of the cache's rows, by offset in the manifest's batch; the index has none of them."""
        found = self._index.items(batch.rows)
        if numbers:
            found = [numbers.get(offset, item) for offset, item in zip(batch.offsets, found, strict=True)]
        rows, items, pinned = self.diff.add(batch.rows, found)
        single = self._single_lines(batch, rows, items, pinned)
        longer = np.arange(len(rows))
        if single is not None:
            offsets = np.asarray(batch.offsets, dtype=np.int64)
            longer = np.delete(longer, np.searchsorted(offsets, single.offsets))
        values = self._values(longer, rows, items, pinned)
        return ResultBatch(batch, items, pinned, known, single, longer, values)

    def _known_lines(self, start: int, offsets: Numbers, items: Numbers) -> SingleImageRows | None:
        found = self._single.find(items, named=True)
        if found is None:
            return None
        positions = offsets[found.indexes] + start
        return SingleImageRows(
            found.table(row=positions), offsets[found.indexes], positions, items[found.indexes]
        )

    def _single_lines(
        self, batch: RowBatch, rows: Sequence[Row | RowProblem], items: Sequence[int], pinned: frozenset[int]
    ) -> SingleImageRows | None:
        asked = [
            item if isinstance(row, Row) and row.request.n == 1 else ABSENT
            for row, item in zip(rows, items, strict=True)
        ]
        for index in pinned:
            asked[index] = ABSENT
        found = self._single.find(np.array(asked, dtype=np.int64), named=False)
        if found is None:
            return None
        picked = [row for index in found.indexes.tolist() if isinstance(row := rows[index], Row)]
        positions = np.array([row.position for row in picked], dtype=np.int64)
        table = found.table(
            row_id=[row.row_id for row in picked],
            row=positions,
            prompt=[row.request.prompt for row in picked],
        )
        offsets, numbers = np.asarray(batch.offsets, dtype=np.int64), np.asarray(items, dtype=np.int64)
        return SingleImageRows(table, offsets[found.indexes], positions, numbers[found.indexes])

    def _values(
        self,
        indexes: Numbers,
        rows: Sequence[Row | RowProblem],
        items: Sequence[int],
        pinned: frozenset[int],
    ) -> list[list[Values]]:
        """The results rows of the rows at these indexes, a list for each."""
        results = []
        attempts = (
            self._attempts.attempts_of([items[index] for index in indexes.tolist()]) if len(indexes) else {}
        )
        for index in indexes.tolist():
            row = rows[index]
            if isinstance(row, RowProblem):
                results.append([invalid_values(row)])
                continue
            values = row_values(row, fold(attempts.get(items[index], ()), row.request.n), self._facts)
            if index in pinned:
                for value in values:
                    value["flags"].append(EDITED)
            results.append(values)
        return results
