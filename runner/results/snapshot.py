"""The results of a folder as of now, table by table: also while a run goes on, after a kill, and without its manifest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from runner.config.loader import read_out_job
from runner.ledger.reader import LedgerReader
from runner.manifest.records import ManifestError
from runner.planning.prepare import PreparedJob, prepare
from runner.planning.recorded_rows import recorded_rows
from runner.results.summary import folder_summary
from runner.results.table import ResultsTable
from runner.workspace import lock
from schemas.job import Job
from schemas.summary import Summary


@dataclass
class FolderResults:
    """One folder's results in one moment. live: a run goes on.

    schema: the columns of results.parquet, the manifest's own ones last.
    """

    out: Path
    job: Job
    live: bool
    ledger: LedgerReader
    _ready: PreparedJob
    schema: pa.Schema = field(init=False)

    def __post_init__(self) -> None:
        self._stream = self._ready.row_stream
        self._defaults = self._stream.defaults
        try:
            self.schema = self._table().schema()
        except ManifestError:
            self._stream = recorded_rows(self.out, self.job, self._defaults)
            self.schema = self._table().schema()

    def _table(self) -> ResultsTable:
        newest = self.ledger.last_run() if self.live else None
        return ResultsTable(self._stream, self.ledger, None if newest is None else newest.run)

    def tables(self) -> Iterator[pa.Table]:
        """All results rows, in manifest order, a few thousand at a time."""
        last = -1
        try:
            for each in self._table().batches():
                if each.table.num_rows:
                    last = each.table.column("row")[-1].as_py()
                    yield each.table
        except ManifestError:  # it cannot be read to its end: the others as they are on record
            self._stream = recorded_rows(self.out, self.job, self._defaults)
            for each in self._table().batches():
                later = each.table.filter(pc.greater(each.table.column("row"), last))
                if later.num_rows:
                    yield _in_schema(later, self.schema)

    def summary(self) -> Summary:
        """The folder's figures, as `status` has them."""
        try:
            return folder_summary(self._stream, self.job, self.ledger, self._ready.service, held=self.live)
        except ManifestError:
            stream = recorded_rows(self.out, self.job, self._defaults)
            return folder_summary(stream, self.job, self.ledger, self._ready.service, held=self.live)


@contextmanager
def open_results(out: Path) -> Iterator[FolderResults]:
    """Read an output folder; writes and locks nothing. Raises JobError when it is not an imagemill folder."""
    with LedgerReader.open(out) as ledger, ledger.snapshot():
        job = read_out_job(out)
        ready = prepare(job, sends=False, recorded=True)
        yield FolderResults(out, job, lock.is_held(out), ledger, ready)


def _in_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The same rows with these columns: nulls for what is not there."""
    columns = [
        table.column(each.name).cast(each.type, safe=False)
        if each.name in table.column_names
        else pa.nulls(table.num_rows, each.type)
        for each in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
