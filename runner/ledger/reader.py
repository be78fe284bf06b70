"""Read access to the ledger, for packages that write nothing."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from runner.ledger import attempts, completion_cache, history, item_index, queries, schema, statistics
from runner.ledger.attempts import AttemptReader
from runner.ledger.completion_cache import NOTHING_COMPLETED, CompletedRows
from runner.ledger.history import AttemptHistory, RowHistory, RunHistory
from runner.ledger.item_index import ItemIndex
from runner.ledger.queries import RecordedFile, RowVersion, RunRecord, RunSums, Superseded
from runner.ledger.result_query import ResultQuery
from runner.ledger.statistics import PastSuccesses, RunFigures, Totals
from runner.text.nearest import nearest
from schemas.attempt import OpenTask
from schemas.errors import JobError
from schemas.failures import RowStatus
from schemas.job import Job
from schemas.output_folder import LEDGER_NAME


class LedgerReader:
    """Queries on one folder's ledger, for one thread at a time. Every answer is as of the moment of the call.

    completed (of several methods): rows that an earlier run found completed; the ledger is not read for them.
    """

    def __init__(self, out: Path, connection: sqlite3.Connection) -> None:
        self.out = out
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, out: Path) -> Iterator[Self]:
        """Read a folder's ledger inside the block, also while a run adds to it, and on a medium that cannot be written.

        Raises:
            JobError: there is no ledger (exit 2), it cannot be opened (9), or it is damaged (7), also where SQLite meets
                the damage inside the block.
        """
        connection = open_reader(out)
        with damage_told(out):
            try:
                yield cls(out, connection)
            finally:
                connection.close()

    def snapshot(self) -> AbstractContextManager[None]:
        """A read transaction: everything in the block is read as of one moment, even while a run adds to the ledger."""
        return item_index.snapshot(self._connection)

    def is_simulated(self) -> bool:
        """Whether the folder's runs were simulated ones."""
        return schema.was_simulated(self._connection)

    def problems(self) -> Iterator[str]:
        """Inconsistencies of the ledger, a line each."""
        return schema.problems(self._connection)

    def last_run(self) -> RunRecord | None:
        """The newest run; None before the first."""
        return next(iter(self.newest_runs(1)), None)

    def last_endpoint(self) -> str | None:
        """See `attempts.last_endpoint`."""
        return attempts.last_endpoint(self._connection)

    def newest_runs(self, limit: int) -> list[RunRecord]:
        """The newest first."""
        return queries.newest_runs(self._connection, limit)

    def run_sums(self, first: int) -> dict[int, RunSums]:
        """Run -> what it did alone, of the runs from this number on that sent anything."""
        return queries.run_sums(self._connection, first)

    def run_figures(self, run: int) -> RunFigures:
        """What the newest run did alone."""
        return statistics.run_figures(self._connection, run)

    def totals(self, completed: CompletedRows = NOTHING_COMPLETED) -> Totals:
        """What the folder has sent, kept and cost so far."""
        return completion_cache.totals_with(self._connection, completed)

    def undecided_attempts(self, completed: CompletedRows = NOTHING_COMPLETED) -> int:
        """Requests that a dead run left without an outcome, tasks apart: each may have been paid for."""
        return statistics.undecided_attempts(self._connection, completed.attempts)

    def past_successes(self) -> PastSuccesses | None:
        """What the newest thousand successes were like; None without any."""
        return statistics.past_successes(self._connection)

    def recent_sends(self, window_s: float, now: float) -> list[tuple[float, int]]:
        """(age in seconds, images) of the requests sent within the last window, oldest first. now: Unix seconds."""
        return statistics.recent_sends(self._connection, window_s, now)

    def completed_rows(self, job: Job) -> CompletedRows:
        """Completed rows of the job's manifest, from the cache. Reads all bytes of the manifest, to compare its hash."""
        return completion_cache.load(self.out, self._connection, job)

    def nothing_else_sent(self, completed: CompletedRows) -> bool:
        """Whether every request since these rows were found was for their manifest, so that no row can have been edited."""
        return completion_cache.nothing_else_sent(self._connection, completed)

    def item_index(self, completed: CompletedRows = NOTHING_COMPLETED) -> ItemIndex:
        """Every row by its fingerprint, but for the completed ones."""
        return ItemIndex(self._connection, completed)

    def next_item(self) -> int:
        """The number that the next new row gets; 0 for a folder that has sent none."""
        return queries.next_number(self._connection, "items", "item")

    def next_attempt(self) -> int:
        """The number that the next request gets."""
        return queries.next_number(self._connection, "attempts", "attempt")

    def versions(self, items: Sequence[int]) -> dict[int, RowVersion]:
        """Item number -> the row as it was first sent."""
        return queries.versions(self._connection, items)

    def row_ids(self, since: int = 0) -> Iterator[tuple[npt.NDArray[np.int64], list[str]]]:
        """Item numbers and row ids, some at a time. since: only items that an attempt from this number on was for."""
        return queries.row_ids(self._connection, since)

    def params(self) -> dict[int, dict[str, Any]]:
        """Number -> body fields, of every distinct set of them."""
        return queries.params(self._connection)

    def finished_with(self, params: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Item and params of the rows whose newest whole success was asked for with one of these sets of params."""
        return queries.finished_with(self._connection, params)

    def open_tasks(self) -> list[OpenTask]:
        """All images to fetch and every task to go on polling, the images first, otherwise oldest first."""
        return attempts.open_tasks(self._connection)

    def waiting_items(self) -> frozenset[int]:
        """Items that wait for a task that has not ended, as their newest request, or for images to be fetched."""
        return attempts.waiting_items(self._connection)

    def attempts(self, live_run: int | None = None) -> AttemptReader:
        """Reads the attempts of chosen rows. live_run: the run that is going on now, None when there is none."""
        return AttemptReader(self._connection, live_run)

    def result_query(self) -> ResultQuery:
        """Queries for the results table: rows with one request and one image, and facts about the whole folder."""
        return ResultQuery(self._connection)

    def recorded_files(self) -> Iterator[RecordedFile]:
        """Every image and quarantined body that was recorded, but for images that were pruned."""
        return queries.recorded_files(self._connection)

    def spooled_attempts(self) -> frozenset[int]:
        """Attempts without an outcome of which all that came is kept, some of it in a spool file."""
        query = "SELECT attempt FROM spooled WHERE attempt NOT IN (SELECT attempt FROM outcomes)"
        return frozenset(row[0] for row in self._connection.execute(query))

    def image_files(self, first: int, end: int) -> list[str]:
        """Paths of the images of the attempts from `first` on and before `end` that were not pruned."""
        return queries.image_files(self._connection, first, end)

    def pruned_files(self) -> dict[str, str]:
        """Path -> sha256 (hex) of the images that were recorded as removed."""
        return queries.pruned_files(self._connection)

    def row_of_attempt(self, attempt: int) -> tuple[str, RowStatus | None] | None:
        """Row id, and the status that the attempt left its row in (None: no outcome); None for an unknown attempt."""
        return queries.row_of_attempt(self._connection, attempt)

    def rows_of_images(self, paths: Sequence[str]) -> dict[str, str]:
        """Path -> row id, of those among these that are recorded images."""
        return queries.rows_of_images(self._connection, paths)

    def superseded(self) -> list[Superseded]:
        """Images of which a newer success of the same row holds another, in order of attempts."""
        return queries.superseded(self._connection)

    def items_with_images(self) -> dict[int, str]:
        """Item number -> row id, of the rows that have an image."""
        return queries.items_with_images(self._connection)

    def images_of(self, items: Sequence[int]) -> list[Superseded]:
        """All images of these items that were not pruned, with `newer` None, in order of attempts."""
        return queries.images_of(self._connection, items)

    def table_digests(self) -> set[str]:
        """sha256 (hex) of every results table that was about to be published."""
        return queries.table_digests(self._connection)

    def table_written_ms(self, digest: str) -> int | None:
        """When the results table with this sha256 (hex) was written (Unix ms); None for one that is not ours."""
        return queries.table_written_ms(self._connection, digest)

    def items_sent_since(self, since_ms: int) -> npt.NDArray[np.int64]:
        """Items with a request sent then or later, in order."""
        return queries.items_sent_since(self._connection, since_ms)

    def newest_table(self) -> tuple[str, int] | None:
        """sha256 (hex) of the newest results table, and when it was written (Unix ms); None before the first."""
        return queries.newest_table(self._connection)

    def runs(self) -> list[RunHistory]:
        """All runs, oldest first, each with its figures."""
        return history.runs(self._connection)

    def rows_with_id(self, row_id: str) -> list[RowHistory]:
        """The rows with this id; each version of an edited row is one of them."""
        return history.rows_with_id(self._connection, row_id)

    def rows_sent_often(self, limit: int) -> tuple[list[RowHistory], int]:
        """Rows that were sent more than once, at most so many, and how many there are in all."""
        return history.rows_sent_often(self._connection, limit)

    def attempt_history(self, item: int) -> list[AttemptHistory]:
        """Every request for the row, oldest first."""
        return history.attempts_of(self._connection, item)


def connection_of(ledger: LedgerReader) -> sqlite3.Connection:
    """The connection behind it. For modules of `runner.ledger` only."""
    return ledger._connection


@contextmanager
def damage_told(out: Path) -> Iterator[None]:
    """Damage that SQLite meets in the block raises JobError (exit 7 or 9)."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise schema.ledger_error(out, error) from error


def open_reader(out: Path) -> sqlite3.Connection:
    """A read-only connection, also to a folder on a medium where nothing can be written, for one thread at a time.

    Raises JobError when there is no ledger (exit 2, or 7 where there was one), it cannot be read (7) or opened (9).
    """
    path = out / LEDGER_NAME
    if not path.is_file():
        schema.refuse_new_ledger(out)
        what = f"no {LEDGER_NAME} in it" if out.is_dir() else "there is no such folder"
        raise JobError(f"{out} is not an imagemill folder: {what}", fix=_folder_hint(out))
    frozen = not (os.access(out, os.W_OK) or path.with_name(f"{path.name}-wal").exists())
    how = "mode=ro&immutable=1" if frozen else "mode=ro"
    try:
        address = f"{path.resolve().as_uri()}?{how}"
        connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA busy_timeout=10000")
        if schema.version_of(connection) == 0:
            schema.refuse_new_ledger(out)
        connection.execute("SELECT count(*) FROM meta").fetchone()
        schema.check_version(connection, out, oldest=schema.OLDEST_READ)
        schema.complete_for_reading(connection)
    except schema.DAMAGE as error:
        raise schema.ledger_error(out, error) from error
    return connection


def _folder_hint(out: Path) -> str:
    """The folder that was probably meant: one beside this name that is like it, or the only one inside."""
    with suppress(OSError):
        inside = [path.parent for path in out.glob(f"*/{LEDGER_NAME}")]
        beside = [path.parent for path in out.parent.glob(f"*/{LEDGER_NAME}")]
        near = nearest(out.name, [path.name for path in beside])
        if near is not None or len(inside) == 1:
            return f"name the --out of a run; did you mean {out.with_name(near) if near else inside[0]}?"
    return "name the --out of a run"
