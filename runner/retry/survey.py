"""Surveys every row before a retry sends anything: which are sent, as what, and which of them cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.overrides import unknown_column
from jobs.rows import partial_row
from jobs.selection import RetrySelection
from runner.ledger.completion_cache import NOTHING_COMPLETED, CompletedRows
from runner.ledger.reader import LedgerReader
from runner.planning.plan import Forecast
from runner.results.expression import columns_text
from runner.results.filter import Mask, RowFilter
from runner.results.picks import Picks
from runner.results.table import ResultsTable, TableBatch
from runner.retry.override_rows import RowOverrides
from runner.retry.picked_rows import PickedRows
from runner.text.wording import count_text
from schemas.errors import JobError
from schemas.failures import FailureKind, RowStatus
from schemas.row import Row, RowProblem

_SHOWN_PROBLEMS = 10
_SHOWN_IDS = 5


@dataclass
class Survey:
    """The result. picks: rows that are sent. already_made: number of their images that exist already.

    rows: all rows by state. left: selected rows that are not sent, by state (`polled`: tasks being made).
    problems: why rows cannot be sent, the first few; wrong: how many. example: id and prompt of the first changed one.
    notes: what else the user should know. flags: that rows have, where the selection names some.
    """

    picks: PickedRows
    forecast: Forecast
    already_made: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    wrong: int = 0
    example: tuple[str, str] | None = None
    notes: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)


@dataclass
class Surveyor:
    """Surveys a folder's rows."""

    table: ResultsTable
    ledger: LedgerReader
    selection: RetrySelection
    row_overrides: RowOverrides
    forecast: Forecast
    picks: Picks | None = None
    _found: Survey = field(init=False)
    _filter: RowFilter | None = field(init=False)
    _open: frozenset[int] = field(init=False)
    _waited: frozenset[int] = field(init=False)
    _seen_ids: set[str] = field(default_factory=set)

    def survey(self, completed: CompletedRows = NOTHING_COMPLETED) -> Survey:
        """Read every row once. completed: left out, unless the selection can name them.

        Raises JobError for columns and row ids that are not there, and values that do not fit their columns.
        """
        self._check()
        self._found = Survey(PickedRows(self.row_overrides), self.forecast)
        self._open = self.ledger.waiting_items()
        self._waited = frozenset(task.item for task in self.ledger.open_tasks() if task.waited)
        if self.selection.reads_by_name:
            completed = NOTHING_COMPLETED
        self._found.rows[RowStatus.SUCCEEDED.value] += completed.rows
        for results in self.table.batches(completed):
            self._batch(results)
        self._refuse_unknown_ids()
        self._found.notes += _absent_flags(self.selection.flags - self._found.flags, self._found.flags)
        if self.picks is not None:
            self.picks.refuse_foreign()
            self._found.notes += self.picks.notes()
        return self._found

    def _check(self) -> None:
        schema = self.table.schema()
        if self.picks is not None:
            schema = self.picks.schema(schema)
        self._filter = None if self.selection.where is None else RowFilter(self.selection.where, schema)
        for name in self.row_overrides.overrides.columns:
            if name not in schema.names:
                raise JobError(f"--set: {unknown_column(name)}", fix=columns_text(schema.names))

    def _batch(self, results: TableBatch) -> None:
        picked = np.ones(results.table.num_rows, dtype=np.bool_)
        if self.picks is not None:
            table, picked = self.picks.join(results.table)
            results = results._replace(table=table)
        status = {each: _equal(results.table, "status", each.value) for each in RowStatus}
        self._count(results, status)
        match = picked & self._matching(results.table)
        taken = np.zeros(results.table.num_rows, dtype=np.bool_)
        for each in self.selection.statuses:
            may = match & status[each]
            taken |= self._named(results.table, may) if each is RowStatus.PARKED else may
        items = np.asarray(results.items, dtype=np.int64)[results.offsets]
        given_up = self._given_up(results.table, items, match)
        polled = np.isin(items, list(self._open - given_up))
        self._found.left["polled"] += _rows(results, taken & polled)
        pinned = np.isin(results.offsets, list(results.pinned))
        self._found.left["edited"] += _rows(results, taken & pinned)
        taken &= ~polled & ~pinned
        for each in (RowStatus.PARKED, RowStatus.SUCCEEDED, RowStatus.INVALID):
            if self.selection.narrows or (each is RowStatus.PARKED and each in self.selection.statuses):
                self._found.left[each.value] += _rows(
                    results, match & status[each] & ~taken & ~polled & ~pinned
                )
        for chosen in _chosen(results, taken, status[RowStatus.SUCCEEDED]):
            if results.items[chosen.row_index] in given_up:
                self._found.picks.abandoned.add(results.items[chosen.row_index])
            self._pick(results, chosen)

    def _named(self, table: pa.Table, parked: Mask) -> Mask:
        """The parked lines that are selected as parked ones: by state, by the name of their failure, or by an expression."""
        if self.selection.parked:
            return parked
        kinds = [kind.value for kind in self.selection.kinds]
        return parked & (
            _among(table, "error_kind", kinds) | self._hinging(table, parked, "status", "error_kind")
        )

    def _given_up(self, table: pa.Table, items: npt.NDArray[np.int64], match: Mask) -> frozenset[int]:
        """Items of tasks that took too long and are sent and paid for again, because the selection names that failure."""
        waited = match & np.isin(items, list(self._waited))
        if FailureKind.TASK_TIMEOUT not in self.selection.kinds:
            waited = self._hinging(table, waited, "error_kind")
        return frozenset(items[waited].tolist())

    def _hinging(self, table: pa.Table, lines: Mask, *columns: str) -> Mask:
        """The lines for which the expression holds only because of the values of these columns."""
        found = np.zeros(table.num_rows, dtype=np.bool_)
        if self._filter is not None and lines.any():
            found[lines] = self._filter.hinges_on(columns, table.filter(pa.array(lines)))
        return found

    def _count(self, results: TableBatch, status: dict[RowStatus, Mask]) -> None:
        counts = self._found.rows
        counts["rows"] += len(results.batch.rows)
        counts[RowStatus.SUCCEEDED.value] += len(results.batch.rows) - _rows(
            results, ~status[RowStatus.SUCCEEDED]
        )
        for each in (RowStatus.PARKED, RowStatus.INVALID):
            counts[each.value] += _rows(results, status[each])

    def _matching(self, table: pa.Table) -> Mask:
        """The lines that pass all filters."""
        selection = self.selection
        match = np.ones(table.num_rows, dtype=np.bool_)
        if selection.kinds:
            match &= _among(table, "error_kind", [kind.value for kind in selection.kinds])
        if selection.flags:
            match &= _flagged(table, selection.flags)
            self._found.flags |= {*pc.unique(pc.list_flatten(table.column("flags"))).to_pylist()}
        if selection.since_ms is not None:
            moment = datetime.fromtimestamp(selection.since_ms / 1000, UTC)
            later = pc.greater_equal(table.column("started_at"), pa.scalar(moment, pa.timestamp("ms", "UTC")))
            match &= _mask(later)
        if selection.row_ids is not None:
            named = _among(table, "row_id", list(selection.row_ids))
            self._seen_ids.update(table.column("row_id").filter(pa.array(named)).to_pylist())
            match &= named
        if self._filter is not None:
            match &= self._filter.matches(table)
        if selection.missing:
            match &= self._gone(table, match)
        return match

    def _gone(self, table: pa.Table, lines: Mask) -> Mask:
        """Those of the lines whose image is recorded and not on the disk."""
        names = table.column("file_name").to_pylist()
        out = self.ledger.out
        gone = (
            bool(name and each) and not (out / name).exists() for name, each in zip(names, lines, strict=True)
        )
        return np.fromiter(gone, dtype=np.bool_, count=len(names))

    def _pick(self, results: TableBatch, chosen: Chosen) -> None:
        row = results.batch.rows[chosen.row_index]
        assert isinstance(row, Row)
        names = self.row_overrides.overrides.columns
        values = {name: results.table.column(name)[chosen.line].as_py() for name in names}
        made = self.row_overrides.override(results.batch, chosen.row_index, row, values)
        found = self._found
        if isinstance(made, RowProblem):
            found.wrong += 1
            if len(found.problems) < _SHOWN_PROBLEMS:
                found.problems.append(made.message)
            return
        edition = 0
        if chosen.already_made:
            edition = 1 + max(results.table.column("attempt")[line].as_py() for line in chosen.already_made)
            found.already_made += 0 if self.selection.missing else len(chosen.already_made)
        if made.manifest_prompt is not None and found.example is None:
            found.example = made.row_id, made.request.prompt
        found.picks.add(row.position, chosen.indexes, edition)
        found.forecast.add(made if chosen.indexes is None else partial_row(made, chosen.indexes))

    def _refuse_unknown_ids(self) -> None:
        missing = sorted((self.selection.row_ids or frozenset()) - self._seen_ids)
        if missing and self.selection.row_ids is not None:
            shown = ", ".join(repr(name) for name in missing[:_SHOWN_IDS])
            more = f" and {len(missing) - _SHOWN_IDS:,} more" if len(missing) > _SHOWN_IDS else ""
            ids = count_text(len(self.selection.row_ids), "id is no row", "ids are no rows")
            raise JobError(
                f"--rows: {len(missing):,} of {ids} here: {shown}{more}",
                fix="the ids are those of the column row_id in results.parquet",
            )


def _absent_flags(absent: frozenset[str], there: set[str]) -> Iterator[str]:
    """What is said of flags that no row has: they may be mistyped."""
    known = f"the flags here are {', '.join(sorted(there))}" if there else "no row has a flag"
    for flag in sorted(absent):
        yield f"no row has the flag {flag!r}; {known}"


class Chosen(NamedTuple):
    """One row that is sent. row_index: in its batch. line: the first of its results that was chosen.

    indexes: of the requested images; None: all. already_made: lines of those among them that exist already.
    """

    row_index: int
    line: int
    indexes: tuple[int, ...] | None
    already_made: tuple[int, ...]


def _chosen(results: TableBatch, taken: Mask, succeeded: Mask) -> Iterator[Chosen]:
    """The rows with a selected line. All missing images of a row are requested together; existing ones only if selected."""
    lines: npt.NDArray[np.int64] = np.flatnonzero(taken)
    row_indexes, firsts = np.unique(results.offsets[lines], return_index=True)
    starts = np.searchsorted(results.offsets, row_indexes, "left")
    ends = np.searchsorted(results.offsets, row_indexes, "right")
    indexes = results.table.column("image_index").to_numpy()
    for index, first, start, end in zip(row_indexes.tolist(), firsts, starts, ends, strict=True):
        line, every = int(lines[first]), range(int(start), int(end))
        already_made = tuple(each for each in every if taken[each] and succeeded[each])
        lacks = any(taken[each] and not succeeded[each] for each in every)
        asked = [each for each in every if each in already_made or (lacks and not succeeded[each])]
        whole = len(asked) == len(every)
        yield Chosen(
            index, line, None if whole else tuple(int(indexes[each]) for each in asked), already_made
        )


def _rows(results: TableBatch, lines: Mask) -> int:
    """How many rows these lines are of."""
    return len(np.unique(results.offsets[lines]))


def _mask(values: Any) -> Mask:
    found: Mask = np.asarray(pc.fill_null(values, False), dtype=np.bool_)
    return found


def _equal(table: pa.Table, name: str, value: str) -> Mask:
    return _mask(pc.equal(table.column(name), value))


def _flagged(table: pa.Table, flags: Iterable[str]) -> Mask:
    """Lines with one of these flags."""
    found = np.zeros(table.num_rows, dtype=np.bool_)
    lists = table.column("flags").combine_chunks()
    named = _mask(pc.is_in(pc.list_flatten(lists), value_set=pa.array(list(flags), pa.string())))
    found[np.asarray(pc.list_parent_indices(lists), dtype=np.int64)[named]] = True
    return found


def _among(table: pa.Table, name: str, values: list[str]) -> Mask:
    return _mask(pc.is_in(table.column(name), value_set=pa.array(values, pa.string())))
