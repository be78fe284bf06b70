"""The use case of `imagemill failures`: what is not fine in a folder, also while a run goes on, and without its manifest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from runner.config.loader import read_out_job
from runner.ledger.queries import RunRecord
from runner.ledger.reader import LedgerReader
from runner.manifest.records import ManifestError
from runner.planning.prepare import prepare
from runner.planning.recorded_rows import recorded_rows
from runner.planning.row_stream import RowStream
from runner.results.failures import FailureReader, FailureReport, FailureRow
from runner.results.table import ResultsTable
from runner.workspace import lock
from schemas.failures import FailureKind

_FOLLOW_S = 1.0
"""Pause between two looks at a run that goes on, at least."""
_SHARE = 10
"""A look that took long is followed by a pause so many times as long: the run has the machine."""


class FolderFailures:
    """The failures of one folder. kinds, where: see `FailureReader`.

    Raises JobError when it is not an imagemill folder, or `where` is no expression.
    """

    def __init__(
        self, out: Path, kinds: frozenset[FailureKind] = frozenset(), where: str | None = None
    ) -> None:
        self.out = out
        self.kinds = kinds
        self.where = where
        with LedgerReader.open(out):
            self._job = read_out_job(out)
        self.simulated = self._job.simulate

    def read(self, report: FailureReport) -> Iterator[FailureRow]:
        """All as of now, in manifest order, each counted in `report`."""
        live = lock.is_held(self.out)
        last = -1
        with LedgerReader.open(self.out) as ledger, ledger.snapshot():
            newest = ledger.last_run() if live else None
            stream = prepare(self._job, sends=False, recorded=True).row_stream
            try:
                for failure in self._of(stream, ledger, newest, report):
                    last = failure.row
                    yield failure
            except ManifestError:  # it cannot be read to its end
                recorded = recorded_rows(self.out, self._job, stream.defaults)
                for failure in self._of(recorded, ledger, newest, FailureReport()):
                    if failure.row > last:
                        report.add(failure)
                        yield failure

    def _of(
        self, stream: RowStream, ledger: LedgerReader, live: RunRecord | None, report: FailureReport
    ) -> Iterator[FailureRow]:
        table = ResultsTable(stream, ledger, None if live is None else live.run)
        reader = FailureReader(table, self.kinds, self.where)
        return reader.read(report, ledger.completed_rows(self._job))

    def follow(self) -> Iterator[FailureRow]:
        """All as of now, then those that have come since, until the run that is going on has ended."""
        told: set[tuple[int, int, int | None]] = set()
        while True:
            live, started = lock.is_held(self.out), time.monotonic()
            for failure in self.read(FailureReport()):
                key = failure.row, failure.image_index, failure.attempt
                if key not in told:
                    told.add(key)
                    yield failure
            if not live:
                return
            time.sleep(max(_FOLLOW_S, _SHARE * (time.monotonic() - started)))
