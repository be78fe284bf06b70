"""Results, batch by batch of the manifest: rows with one request and one image beside rows with a longer story."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.state import fold
from runner.ledger.completion_cache import NOTHING_COMPLETED, CompletedRows, MapBuilder
from runner.ledger.reader import LedgerReader
from runner.planning.manifest_diff import Census
from runner.planning.row_stream import Intake, RowBatch
from runner.results.columns import SingleRows
from runner.results.rows import Facts, Values, invalid_values, row_values, stop_message
from schemas.outcome import ABSENT, EDITED
from schemas.reports import Counts
from schemas.results import RESULTS_SCHEMA
from schemas.row import Row, RowProblem

Numbers = npt.NDArray[np.int64]


class Lines(NamedTuple):
    """Results rows of rows with one request and one image. Of each row: its offset in the manifest's batch, its position
    in the manifest, and its number in the ledger."""

    table: pa.Table
    offsets: Numbers
    positions: Numbers
    items: Numbers


@dataclass(frozen=True, slots=True)
class ResultBatch:
    """The results of one batch of the manifest.

    batch: the rows that were read; known: those of which the ledger told all. items, kept: of the rows in `batch`, the
    numbers in the ledger, and the places of edited rows for which an earlier version stands. single: those with one
    request and one image. longer, values: places of the others, and their results rows.
    """

    batch: RowBatch
    items: Sequence[int]
    kept: frozenset[int]
    known: Lines | None
    single: Lines | None
    longer: Numbers
    values: Sequence[Sequence[Values]]

    def count_into(self, counts: Counts) -> None:
        """Count what is here."""
        for lines in (self.known, self.single):
            if lines is not None:
                counts.succeeded(len(lines.offsets), len(lines.offsets))
        for values in self.values:
            counts.add(values)

    def note(self, builder: MapBuilder) -> None:
        """Tell the next map of what is done here: rows of one request. Another run reads the others again."""
        if self.known is not None:
            builder.know(self.known.positions, self.known.items)
        if self.single is not None:
            keys = np.delete(self.batch.keys, self.longer)
            builder.add(self.single.positions.tolist(), self.single.items.tolist(), keys)

    def table(self, schema: pa.Schema) -> tuple[pa.Table, Numbers]:
        """All results rows, in order, with the manifest's other columns; and which record of the manifest's batch each
        is of."""
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
    tells all of them. skipped: rows to pass over. flagged: images are compared with all others, for the flag of the same
    one twice.
    """

    def __init__(
        self,
        intake: Intake,
        ledger: LedgerReader,
        live_run: int | None = None,
        *,
        known: CompletedRows = NOTHING_COMPLETED,
        skipped: CompletedRows = NOTHING_COMPLETED,
        flagged: bool = True,
    ) -> None:
        self._intake = intake
        self._known = NOTHING_COMPLETED if skipped.rows else known
        self._index = ledger.item_index(skipped if skipped.rows else known)
        self.census = Census(intake, ledger, self._index)
        self._attempts = ledger.attempts(live_run)
        query = ledger.result_query()
        twice = query.duplicates() if flagged else frozenset[str]()
        self._facts = Facts(live_run is not None, stop_message(query.stop_reason()), twice)
        self._single = SingleRows(query, twice)

    def __iter__(self) -> Iterator[ResultBatch]:
        if not self._known.rows:
            for batch in self._intake.open_batches(self._index):
                yield self._batch(batch)
            return
        numbers, passed = self._known.numbers(), 0
        for unread in self._intake.unread():
            offsets = self._known.places(unread.position, len(unread.batch))
            items = numbers[passed : passed + len(offsets)]
            passed += len(offsets)
            known = self._known_lines(unread.position, offsets, items)
            left = np.ones(len(unread.batch), dtype=np.bool_)
            if known is not None:
                left[known.offsets] = False
            batch = unread.rows(np.flatnonzero(left).tolist())
            yield self._batch(batch, known, dict(zip(offsets.tolist(), items.tolist(), strict=True)))

    def _batch(
        self, batch: RowBatch, known: Lines | None = None, numbers: Mapping[int, int] | None = None
    ) -> ResultBatch:
        """numbers: items of rows that the map knows, by offset in the manifest's batch; the index has none of them."""
        found = self._index.items(batch.rows)
        if numbers:
            found = [numbers.get(offset, item) for offset, item in zip(batch.offsets, found, strict=True)]
        rows, items, kept = self.census.look(batch.rows, found)
        single = self._single_lines(batch, rows, items, kept)
        longer = np.arange(len(rows))
        if single is not None:
            offsets = np.asarray(batch.offsets, dtype=np.int64)
            longer = np.delete(longer, np.searchsorted(offsets, single.offsets))
        values = self._values(longer, rows, items, kept)
        return ResultBatch(batch, items, kept, known, single, longer, values)

    def _known_lines(self, start: int, offsets: Numbers, items: Numbers) -> Lines | None:
        found = self._single.find(items, named=True)
        if found is None:
            return None
        positions = offsets[found.places] + start
        return Lines(found.table(row=positions), offsets[found.places], positions, items[found.places])

    def _single_lines(
        self, batch: RowBatch, rows: Sequence[Row | RowProblem], items: Sequence[int], kept: frozenset[int]
    ) -> Lines | None:
        asked = [
            item if isinstance(row, Row) and row.request.n == 1 else ABSENT
            for row, item in zip(rows, items, strict=True)
        ]
        for place in kept:
            asked[place] = ABSENT
        found = self._single.find(np.array(asked, dtype=np.int64), named=False)
        if found is None:
            return None
        picked = [row for place in found.places.tolist() if isinstance(row := rows[place], Row)]
        positions = np.array([row.position for row in picked], dtype=np.int64)
        table = found.table(
            row_id=[row.row_id for row in picked],
            row=positions,
            prompt=[row.request.prompt for row in picked],
        )
        offsets, numbers = np.asarray(batch.offsets, dtype=np.int64), np.asarray(items, dtype=np.int64)
        return Lines(table, offsets[found.places], positions, numbers[found.places])

    def _values(
        self,
        places: Numbers,
        rows: Sequence[Row | RowProblem],
        items: Sequence[int],
        kept: frozenset[int],
    ) -> list[list[Values]]:
        """The results rows of the rows at these places, a list for each."""
        told = []
        attempts = self._attempts.of([items[place] for place in places.tolist()]) if len(places) else {}
        for place in places.tolist():
            row = rows[place]
            if isinstance(row, RowProblem):
                told.append([invalid_values(row)])
                continue
            values = row_values(row, fold(attempts.get(items[place], ()), row.request.n), self._facts)
            if place in kept:
                for value in values:
                    value["flags"].append(EDITED)
            told.append(values)
        return told
