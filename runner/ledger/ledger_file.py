"""The ledger, written: opened by whoever holds the folder's lock, before, after and beside the run's writer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from runner.artifacts.atomic_files import Folder
from runner.ledger import attempt_log, queries, writer
from runner.ledger.completion_cache import MapBuilder
from runner.ledger.reader import LedgerReader, damage_told
from runner.ledger.writer import LedgerWriteError, Statement, Writer
from schemas.attempt import Measured
from schemas.errors import ExitCode
from schemas.outcome import Success
from schemas.request import ImageRequest


class DeadAttempt(NamedTuple):
    """A request that a dead run left without an outcome. indexes: which of the row's images it asked for.

    reserved_usd: what was set aside for it; None where no price was known.
    """

    attempt: int
    row_id: str
    request: ImageRequest
    n: int
    indexes: Sequence[int]
    reserved_usd: float | None


class LedgerFile(LedgerReader):
    """The writing connection to one folder's ledger. While a `Writer` of it runs, nothing else here may write."""

    @classmethod
    @contextmanager
    def create_or_open(cls, out: Path, *, simulated: bool) -> Iterator[Self]:
        """Write a folder's ledger inside the block. Call only while holding the folder's lock.

        Raises:
            JobError: the file is damaged, or gone or empty while images are there (exit 7); this machine refuses (9);
                the folder belongs to the other kind of run, simulated or real (2).
        """
        connection = writer.create_or_open(out, simulated=simulated)
        with damage_told(out):
            try:
                yield cls(out, connection)
            finally:
                connection.close()

    def writer(self) -> Writer:
        """The thread that writes during a run."""
        return Writer(self._connection)

    def record(self, records: Sequence[Statement]) -> None:
        """Record directly, all or none. Raises sqlite3.OperationalError when the disk refuses."""
        writer.record_now(self._connection, records)

    def dead_attempts(self, since: int) -> list[DeadAttempt]:
        """Attempts from this number on without an outcome, oldest first. Nobody else may be running."""
        return [_dead_attempt(*row) for row in self._connection.execute(_DEAD, (since,)).fetchall()]

    def adopt(self, dead: DeadAttempt, outcome: Success, *, now_ms: int) -> None:
        """Record that a dead attempt succeeded after all; its cost is taken for what was set aside."""
        cost = dead.reserved_usd
        measured = Measured(dead.attempt, now_ms, None, cost, cost_estimated=cost is not None)
        self.record(attempt_log.success(outcome, measured))

    def settle_dead(self, *, now_ms: int, since: int = 0) -> int:
        """Park every attempt that a dead run left without an outcome, but for tasks, which are polled; how many."""
        return writer.settle_dead(self._connection, now_ms=now_ms, since=since)

    def start_run(self, run_id: str, *, started_ms: int, version: str, endpoint: str, command: str) -> int:
        """Record that a run begins; its number. command: what was called (JSON)."""
        run = queries.next_number(self._connection, "runs", "run")
        values = (run, run_id, started_ms, version, endpoint, command)
        self._connection.execute("INSERT INTO runs VALUES (?,?,?,?,?,?)", values)
        return run

    def end_run(self, run: int, code: ExitCode, reason: str, *, finished_ms: int) -> None:
        """Record how a run ended, in place of what was recorded of that before."""
        values = (run, finished_ms, int(code), reason)
        self._connection.execute("INSERT OR REPLACE INTO run_ends VALUES (?,?,?,?)", values)

    def record_pruned(self, images: Iterable[tuple[int, int]], *, now_ms: int) -> None:
        """Record, before they are unlinked, the images (attempt and index) whose files go."""
        self.record([("INSERT INTO pruned VALUES (?,?,?)", (*image, now_ms)) for image in images])

    def keep_completed(self, builder: MapBuilder, folder: Folder, repeated: set[int]) -> bool:
        """Keep what a pass over the manifest found completed, for the next run; whether it was worth it.

        Args:
            repeated: keys of rows that came more than once.

        Raises:
            OSError: the disk refuses.
        """
        try:
            return builder.save(folder, self._connection, repeated)
        except sqlite3.Error as error:
            raise LedgerWriteError(f"the ledger could not be written: {error}") from error


_DEAD = (
    "SELECT attempt, row_id, coalesce(attempts.prompt, items.prompt), body, n, indexes, reserved_usd "
    "FROM attempts JOIN items USING (item) JOIN params USING (params) "
    "WHERE attempt >= ? AND attempt NOT IN (SELECT attempt FROM outcomes)"
)


def _dead_attempt(
    attempt: int, row_id: str, prompt: str, body: str, n: int, indexes: str | None, reserved_usd: float | None
) -> DeadAttempt:
    request = ImageRequest(prompt, tuple(json.loads(body).items()))
    wanted = range(n) if indexes is None else json.loads(indexes)
    return DeadAttempt(attempt, row_id, request, n, wanted, reserved_usd)
