"""Write access to the ledger, for the holder of the folder's lock: before, after and beside a run's writer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from runner.artifacts.atomic_files import Folder
from runner.ledger import attempt_log, queries, writer
from runner.ledger.completion_cache import CompletionBuilder
from runner.ledger.reader import LedgerReader, damage_told
from runner.ledger.writer import LedgerWriteError, Statement, Writer
from schemas.attempt import Measured
from schemas.errors import ExitCode
from schemas.failures import RowStatus
from schemas.outcome import Failed, KeptBody, Outcome, Success
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


class KeptAnswer(NamedTuple):
    """A request whose answer is in quarantine, whole or in part. body: its file, relative to OUT.

    asked: which of the row's images it was for; None: all. indexes: the same as numbers. saved: images that the row has,
    by whatever request.
    """

    attempt: int
    item: int
    row_id: str
    request: ImageRequest
    asked: tuple[int, ...] | None
    indexes: Sequence[int]
    body: str
    saved: frozenset[int]


class LedgerFile(LedgerReader):
    """The writing connection to one folder's ledger. While a `Writer` of it runs, nothing else here may write."""

    @classmethod
    @contextmanager
    def create_or_open(cls, out: Path, *, simulated: bool, anew: bool = False) -> Iterator[Self]:
        """Write a folder's ledger inside the block. Call only while holding the folder's lock.

        Args:
            anew: make a ledger also where one is gone that knew what was paid for.

        Raises:
            JobError: the file is damaged, or gone or empty while files of runs are there (exit 7); this machine refuses
                (9); the folder belongs to the other kind of run, simulated or real (2).
        """
        connection = writer.create_or_open(out, simulated=simulated, anew=anew)
        with damage_told(out):
            try:
                yield cls(out, connection)
            finally:
                connection.close()

    def writer(self) -> Writer:
        """The writer thread of a run."""
        return Writer(self._connection)

    def record(self, records: Sequence[Statement]) -> None:
        """Record directly, all or none. Raises sqlite3.OperationalError when the disk refuses."""
        writer.record_now(self._connection, records)

    def dead_attempts(self, since: int) -> list[DeadAttempt]:
        """Attempts from this number on without an outcome, oldest first. Nobody else may be running."""
        return [_dead_attempt(*row) for row in self._connection.execute(_DEAD, (since,)).fetchall()]

    def record_recovered(self, dead: DeadAttempt, outcome: Outcome, *, now_ms: int) -> None:
        """Record what a dead attempt came to after all; its cost is taken for what was set aside, unless it was told."""
        if isinstance(outcome, Failed):
            self.record(attempt_log.failure(outcome, RowStatus.FAILED, Measured(dead.attempt, now_ms, None)))
            return
        told = outcome.reported.cost_usd
        cost = dead.reserved_usd if told is None else told
        estimated = cost is not None and told is None
        measured = Measured(dead.attempt, now_ms, None, cost, cost_estimated=estimated)
        self.record(attempt_log.success(outcome, measured))

    def kept_answers(self) -> list[KeptAnswer]:
        """Requests with a body in quarantine, newest first, but for those with images that are still to be fetched."""
        return [_kept_answer(*row) for row in self._connection.execute(_KEPT).fetchall()]

    def body(self, file_name: str) -> KeptBody | None:
        """The record of a quarantined body; None for one from before version 4."""
        query = "SELECT file_name, bytes, sha256 FROM bodies WHERE file_name = ?"
        row = self._connection.execute(query, (file_name,)).fetchone()
        return None if row is None else KeptBody(row[0], row[1], row[2].hex())

    def forgotten_bodies(self) -> list[str]:
        """Bodies that were recorded and are needed no more; a kill may have come before they were removed."""
        query = (
            "SELECT file_name FROM bodies WHERE file_name NOT IN "
            "(SELECT quarantined FROM outcomes WHERE quarantined IS NOT NULL)"
        )
        return [name for (name,) in self._connection.execute(query).fetchall()]

    def record_reread(
        self, kept: KeptAnswer, outcome: Success, cost_usd: float | None, *, estimated: bool
    ) -> None:
        """Record the images that were found in a kept body, in place of what the request had come to.

        cost_usd: where none is recorded. outcome: without `quarantined` the body is needed no more.
        """
        self.record(attempt_log.reread(kept.attempt, kept.body, outcome, cost_usd, estimated=estimated))

    def park_dead_attempts(self, *, now_ms: int, since: int = 0) -> int:
        """Park every attempt that a dead run left without an outcome, but for tasks, which are polled; how many."""
        return writer.park_dead_attempts(self._connection, now_ms=now_ms, since=since)

    def start_run(self, run_id: str, *, started_ms: int, version: str, endpoint: str, command: str) -> int:
        """Record that a run begins; its number. command: what was called (JSON)."""
        run = queries.next_number(self._connection, "runs", "run")
        values = (run, run_id, started_ms, version, endpoint, command)
        self._connection.execute("INSERT INTO runs VALUES (?,?,?,?,?,?)", values)
        return run

    def end_run(self, run: int, code: ExitCode, reason: str, *, finished_ms: int) -> None:
        """Record how a run ended; replaces an earlier record of its end."""
        values = (run, finished_ms, int(code), reason)
        self._connection.execute("INSERT OR REPLACE INTO run_ends VALUES (?,?,?,?)", values)

    def record_pruned(self, images: Iterable[tuple[int, int]], *, now_ms: int) -> None:
        """Record, before they are unlinked, the images (attempt and index) whose files go."""
        self.record([("INSERT INTO pruned VALUES (?,?,?)", (*image, now_ms)) for image in images])

    def keep_completed(self, builder: CompletionBuilder, folder: Folder, repeated: set[int]) -> bool:
        """Keep the completed rows that a pass over the manifest found, for the next run. Returns whether they were enough.

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


_KEPT = (
    "SELECT attempt, item, row_id, coalesce(attempts.prompt, items.prompt), body, n, indexes, quarantined, "
    "(SELECT json_group_array(idx) FROM images JOIN attempts other USING (attempt) WHERE other.item = attempts.item) "
    "FROM outcomes JOIN attempts USING (attempt) JOIN items USING (item) JOIN params USING (params) "
    "WHERE quarantined IS NOT NULL AND attempt NOT IN (SELECT attempt FROM unfetched) ORDER BY attempt DESC"
)


def _kept_answer(
    attempt: int, item: int, row_id: str, prompt: str, params: str, n: int, indexes: str | None, *rest: str
) -> KeptAnswer:
    body, saved = rest
    request = ImageRequest(prompt, tuple(json.loads(params).items()))
    asked = None if indexes is None else tuple(json.loads(indexes))
    wanted = range(n) if asked is None else asked
    return KeptAnswer(attempt, item, row_id, request, asked, wanted, body, frozenset(json.loads(saved)))


def _dead_attempt(
    attempt: int, row_id: str, prompt: str, body: str, n: int, indexes: str | None, reserved_usd: float | None
) -> DeadAttempt:
    request = ImageRequest(prompt, tuple(json.loads(body).items()))
    wanted = range(n) if indexes is None else json.loads(indexes)
    return DeadAttempt(attempt, row_id, request, n, wanted, reserved_usd)
