"""The results rows that are not fine, read from the ledger: what failed, is parked or invalid, or waits for a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from runner.ledger.completion_cache import NOTHING_COMPLETED, CompletedRows
from runner.results.filter import Mask, RowFilter
from runner.results.table import ResultsTable
from schemas.failures import FailureKind, RowStatus

_READ = (
    *("row_id", "row", "image_index", "status", "prompt", "error_kind", "error_code", "error_message"),
    *("http_status", "attempts", "attempt", "maybe_billed", "request_id"),
)


class FailureRow(NamedTuple):
    """A results row that is not fine; fields as the columns of results.parquet. prompt: the manifest's."""

    row_id: str
    row: int
    image_index: int
    status: str
    prompt: str | None
    error_kind: str
    error_code: str | None
    error_message: str | None
    http_status: int | None
    attempts: int
    attempt: int | None
    maybe_billed: int
    request_id: str | None

    @property
    def group(self) -> tuple[str, str]:
        """What it is counted with."""
        return self.status, self.error_kind


@dataclass
class FailureReport:
    """Counts of a pass over the failures. images: results rows by status and kind. rows: the same in manifest rows.

    unsent: images that no run has come to yet, and that were not asked for by name.
    """

    images: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    unsent: int = 0
    _last: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, failure: FailureRow) -> None:
        """Count one; those of a row come one after another."""
        group = failure.group
        self.images[group] += 1
        if self._last.get(group) != failure.row:
            self._last[group] = failure.row
            self.rows[group] += 1


@dataclass
class FailureReader:
    """Reads a folder's failures, in manifest order. kinds: only these; empty: all. where: an expression as for `retry`.

    Rows that wait for their turn are failures only where `kinds` names `stopped`, or `where` is given.
    Raises JobError for an expression that is none over the results columns.
    """

    table: ResultsTable
    kinds: frozenset[FailureKind] = frozenset()
    where: str | None = None

    def __post_init__(self) -> None:
        schema = self.table.schema()
        self._filter = None if self.where is None else RowFilter(self.where, schema)
        self._with_unsent = self.where is not None or FailureKind.STOPPED in self.kinds

    def read(
        self, report: FailureReport, completed: CompletedRows = NOTHING_COMPLETED
    ) -> Iterator[FailureRow]:
        """Each failure, counted in `report`. completed: rows that are known to have succeeded, which are not read."""
        for results in self.table.batches(completed):
            lines = results.table.filter(pa.array(_open(results.table)))
            unsent = _unsent(lines)
            wanted = np.ones(lines.num_rows, dtype=np.bool_)
            if not self._with_unsent:
                report.unsent += int(unsent.sum())
                wanted &= ~unsent
            if self.kinds:
                among = pa.array([kind.value for kind in self.kinds], pa.string())
                wanted &= _mask(pc.is_in(lines.column("error_kind"), value_set=among))
            if self._filter is not None and wanted.any():
                wanted &= self._filter.matches(lines)
            for values in lines.filter(pa.array(wanted)).select(_READ).to_pylist():
                failure = FailureRow(**values)
                report.add(failure)
                yield failure


def _open(table: pa.Table) -> Mask:
    """The lines without an image, but for those of requests that are in flight now."""
    succeeded = _mask(pc.equal(table.column("status"), RowStatus.SUCCEEDED.value))
    return ~succeeded & _mask(pc.is_valid(table.column("error_kind")))


def _unsent(table: pa.Table) -> Mask:
    """The lines of images that were never asked for, because their turn has not come."""
    stopped = _mask(pc.equal(table.column("error_kind"), FailureKind.STOPPED.value))
    return stopped & _mask(pc.is_null(table.column("attempt")))


def _mask(values: pa.ChunkedArray) -> Mask:
    found: Mask = np.asarray(pc.fill_null(values, False), dtype=np.bool_)
    return found
