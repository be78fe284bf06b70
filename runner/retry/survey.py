"""One look at every row before a retry sends anything: which are sent, as what, and which of them cannot be."""

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

from jobs.overrides import unknown
from jobs.rows import part
from jobs.selection import Wanted
from runner.ledger.completion_cache import DoneMap
from runner.ledger.open_tasks import open_tasks, waiting_items
from runner.ledger.queries import Connection
from runner.planning.plan import Forecast
from runner.results.expression import listed
from runner.results.filter import Mask, RowFilter
from runner.results.table import ResultsTable, ToldBatch
from runner.retry.override_rows import Remaker
from runner.retry.picked_rows import Picks
from runner.text.wording import count_text
from schemas.errors import JobError
from schemas.failures import FailureKind, RowStatus
from schemas.row import Row, RowProblem

_SHOWN_PROBLEMS = 10
_SHOWN_IDS = 5


@dataclass
class Survey:
    """What was found. picks: rows that are sent. again: images among them that are there already.

    rows: all rows by state. left: rows as asked for that are not sent, by state (`polled`: tasks being made).
    problems: why rows cannot be sent, the first few; wrong: how many. example: id and prompt of the first changed one.
    """

    picks: Picks
    forecast: Forecast
    again: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    wrong: int = 0
    example: tuple[str, str] | None = None


@dataclass
class Surveyor:
    """Looks at a folder's rows. live_run: the run that is going on, None when there is none."""

    table: ResultsTable
    connection: Connection
    wanted: Wanted
    remaker: Remaker
    forecast: Forecast
    _found: Survey = field(init=False)
    _filter: RowFilter | None = field(init=False)
    _open: frozenset[int] = field(init=False)
    _waited: frozenset[int] = field(init=False)
    _seen_ids: set[str] = field(default_factory=set)

    def survey(self, done: DoneMap | None = None) -> Survey:
        """Every row, read once. done: rows that succeeded, passed over where nobody asks for them.

        Raises JobError for columns and row ids that are not there, and values that do not fit their columns.
        """
        self._check()
        self._found = Survey(Picks(self.remaker), self.forecast)
        self._open = waiting_items(self.connection)
        self._waited = frozenset(task.item for task in open_tasks(self.connection) if task.waited)
        if done is not None and self.wanted.reads_by_name:
            done = None
        if done is not None:
            self._found.rows[RowStatus.SUCCEEDED.value] += done.rows
        for told in self.table.batches(done):
            self._batch(told)
        self._refuse_unknown_ids()
        return self._found

    def _check(self) -> None:
        schema = self.table.schema()
        self._filter = None if self.wanted.where is None else RowFilter(self.wanted.where, schema)
        for name in self.remaker.changes.columns:
            if name not in schema.names:
                raise JobError(f"--set: {unknown(name)}", fix=listed(schema.names))

    def _batch(self, told: ToldBatch) -> None:
        status = {each: _equal(told.table, "status", each.value) for each in RowStatus}
        self._count(told, status)
        match = self._matching(told.table)
        taken = np.zeros(told.table.num_rows, dtype=np.bool_)
        for each in self.wanted.statuses:
            may = match & status[each]
            taken |= self._named(told.table, may) if each is RowStatus.PARKED else may
        items = np.asarray(told.items, dtype=np.int64)[told.offsets]
        given_up = self._given_up(told.table, items, match)
        held = np.isin(items, list(self._open - given_up))
        self._found.left["polled"] += _rows(told, taken & held)
        stands = np.isin(told.offsets, list(told.kept))
        self._found.left["edited"] += _rows(told, taken & stands)
        taken &= ~held & ~stands
        for each in (RowStatus.PARKED, RowStatus.SUCCEEDED, RowStatus.INVALID):
            if self.wanted.narrows or (each is RowStatus.PARKED and each in self.wanted.statuses):
                self._found.left[each.value] += _rows(told, match & status[each] & ~taken & ~held & ~stands)
        for chosen in _chosen(told, taken, status[RowStatus.SUCCEEDED]):
            if told.items[chosen.place] in given_up:
                self._found.picks.abandoned.add(told.items[chosen.place])
            self._pick(told, chosen)

    def _named(self, table: pa.Table, parked: Mask) -> Mask:
        """Of the parked lines those that are asked for as such: by state, by the name of their failure or by both."""
        if self.wanted.parked:
            return parked
        kinds = [kind.value for kind in self.wanted.kinds]
        return parked & (
            _among(table, "error_kind", kinds) | self._hinging(table, parked, "status", "error_kind")
        )

    def _given_up(self, table: pa.Table, items: npt.NDArray[np.int64], match: Mask) -> frozenset[int]:
        """Items of tasks that have taken too long and are paid for anew, because that failure is named."""
        waited = match & np.isin(items, list(self._waited))
        if FailureKind.TASK_TIMEOUT not in self.wanted.kinds:
            waited = self._hinging(table, waited, "error_kind")
        return frozenset(items[waited].tolist())

    def _hinging(self, table: pa.Table, lines: Mask, *columns: str) -> Mask:
        """Of these lines those for which the expression holds only because of what these columns say."""
        found = np.zeros(table.num_rows, dtype=np.bool_)
        if self._filter is not None and lines.any():
            found[lines] = self._filter.hinges_on(columns, table.filter(pa.array(lines)))
        return found

    def _count(self, told: ToldBatch, status: dict[RowStatus, Mask]) -> None:
        counts = self._found.rows
        counts["rows"] += len(told.batch.rows)
        counts[RowStatus.SUCCEEDED.value] += len(told.batch.rows) - _rows(told, ~status[RowStatus.SUCCEEDED])
        for each in (RowStatus.PARKED, RowStatus.INVALID):
            counts[each.value] += _rows(told, status[each])

    def _matching(self, table: pa.Table) -> Mask:
        """The lines that all filters let through."""
        wanted = self.wanted
        match = np.ones(table.num_rows, dtype=np.bool_)
        if wanted.kinds:
            match &= _among(table, "error_kind", [kind.value for kind in wanted.kinds])
        if wanted.flags:
            match &= _flagged(table, wanted.flags)
        if wanted.since_ms is not None:
            moment = datetime.fromtimestamp(wanted.since_ms / 1000, UTC)
            later = pc.greater_equal(table.column("started_at"), pa.scalar(moment, pa.timestamp("ms", "UTC")))
            match &= _mask(later)
        if wanted.row_ids is not None:
            named = _among(table, "row_id", list(wanted.row_ids))
            self._seen_ids.update(table.column("row_id").filter(pa.array(named)).to_pylist())
            match &= named
        if self._filter is not None:
            match &= self._filter.matches(table)
        return match

    def _pick(self, told: ToldBatch, chosen: Chosen) -> None:
        row = told.batch.rows[chosen.place]
        assert isinstance(row, Row)
        names = self.remaker.changes.columns
        values = {name: told.table.column(name)[chosen.line].as_py() for name in names}
        made = self.remaker.first(told.batch, chosen.place, row, values)
        found = self._found
        if isinstance(made, RowProblem):
            found.wrong += 1
            if len(found.problems) < _SHOWN_PROBLEMS:
                found.problems.append(made.message)
            return
        edition = 0
        if chosen.again:
            edition = 1 + max(told.table.column("attempt")[line].as_py() for line in chosen.again)
            found.again += len(chosen.again)
        if made.manifest_prompt is not None and found.example is None:
            found.example = made.row_id, made.request.prompt
        found.picks.add(row.position, chosen.indexes, edition)
        found.forecast.add(made if chosen.indexes is None else part(made, chosen.indexes))

    def _refuse_unknown_ids(self) -> None:
        missing = sorted((self.wanted.row_ids or frozenset()) - self._seen_ids)
        if missing and self.wanted.row_ids is not None:
            shown = ", ".join(repr(name) for name in missing[:_SHOWN_IDS])
            more = f" and {len(missing) - _SHOWN_IDS:,} more" if len(missing) > _SHOWN_IDS else ""
            ids = count_text(len(self.wanted.row_ids), "id is no row", "ids are no rows")
            raise JobError(
                f"--rows: {len(missing):,} of {ids} here: {shown}{more}",
                fix="the ids are those of the column row_id in results.parquet",
            )


class Chosen(NamedTuple):
    """One row that is sent. place: in its batch. line: the first of its results that was chosen.

    indexes: which of its images are asked for; None: all. again: lines of those among them that are there already.
    """

    place: int
    line: int
    indexes: tuple[int, ...] | None
    again: tuple[int, ...]


def _chosen(told: ToldBatch, taken: Mask, succeeded: Mask) -> Iterator[Chosen]:
    """The rows with a line that is taken. What a row lacks is asked for together; what it has, where it was chosen."""
    lines: npt.NDArray[np.int64] = np.flatnonzero(taken)
    places, firsts = np.unique(told.offsets[lines], return_index=True)
    starts = np.searchsorted(told.offsets, places, "left")
    ends = np.searchsorted(told.offsets, places, "right")
    indexes = told.table.column("image_index").to_numpy()
    for place, first, start, end in zip(places.tolist(), firsts, starts, ends, strict=True):
        line, every = int(lines[first]), range(int(start), int(end))
        again = tuple(each for each in every if taken[each] and succeeded[each])
        lacks = any(taken[each] and not succeeded[each] for each in every)
        asked = [each for each in every if each in again or (lacks and not succeeded[each])]
        whole = len(asked) == len(every)
        yield Chosen(place, line, None if whole else tuple(int(indexes[each]) for each in asked), again)


def _rows(told: ToldBatch, lines: Mask) -> int:
    """How many rows these lines are of."""
    return len(np.unique(told.offsets[lines]))


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
