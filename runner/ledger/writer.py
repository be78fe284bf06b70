"""The ledger's writer: the ledger is the only truth about what was sent, what came back and what was paid.

`ledger.sqlite` is plain SQLite; `schema.sql` describes its tables and columns. Rows are only added: an attempt is its
intent, and later its outcome beside it, so every count can be derived again. Only where images are fetched after their
answer, or found in a body that was given up, an outcome takes the place of a lesser one.

There is one writer. Its thread owns the only writing connection; records that arrive while a transaction commits go into
the next one (group commit), so the cost of a durable record falls as the load rises. `Writer.record` is done when its
records are on disk: `synchronous=FULL` in WAL mode syncs the log at each commit. Only then may the caller send (after an
intent) or count (after an outcome).

Readers open the file read-only, at any time, and never checkpoint.

After a crash there are attempts without an outcome. One with a task is polled again, one with images behind URLs has
them fetched. Whether the requests of the others were paid for cannot be known; `park_dead_attempts` gives each the outcome
"parked" before anything new is sent.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.ledger import schema
from runner.process.crash_points import crash_point
from schemas.failures import FailureKind, RowStatus
from schemas.output_folder import LEDGER_NAME

_NOT_WRITTEN = (sqlite3.Error, ValueError, OverflowError)
"""What SQLite raises when the disk refuses, and for a value that it cannot hold: half a character, a huge number."""

Statement = tuple[str, Sequence[Any]]


class LedgerWriteError(OSError):
    """The ledger could not be written (disk full, I/O error). Nothing of the failed transaction is kept."""


def create_or_open(out: Path, *, simulated: bool, anew: bool = False) -> sqlite3.Connection:
    """The writing connection. Call only while holding the folder's lock.

    anew: make a ledger also where one is gone that knew what was paid for. Raises JobError: exit 7 when the file is
    damaged, or gone or empty while files of runs are there; exit 9 when this machine refuses; exit 2 when the folder
    belongs to the other kind of run (simulated or real).
    """
    path = out / LEDGER_NAME
    if not path.exists():
        if not anew:
            schema.refuse_new_ledger(out)
        _create(path)
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=FAST")  # signed URLs are erased, not only forgotten
        connection.execute("PRAGMA busy_timeout=10000")
        if schema.version_of(connection) == 0:
            if not anew:
                schema.refuse_new_ledger(out)
            schema.create_tables(connection, simulated=simulated)
        schema.migrate(connection)
        schema.check_version(connection, out)
        schema.check_kind(connection, out, simulated=simulated)
    except schema.DAMAGE as error:
        raise schema.ledger_error(out, error) from error
    return connection


def _create(path: Path) -> None:
    """An empty file that is as open as the umask and the folder are: signed URLs may stand in it. Raises OSError."""
    mode = path.parent.stat().st_mode & 0o666
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, mode))


def park_dead_attempts(connection: sqlite3.Connection, *, now_ms: int, since: int = 0) -> int:
    """Park every attempt that a dead run left without an outcome; the number of them. Tasks are polled, images fetched.

    Nobody else may be running. since: the first attempt that may be dead.
    """
    cursor = connection.execute(
        "INSERT INTO outcomes (attempt, finished_ms, status, kind, message, maybe_billed) "
        "SELECT attempt, ?, ?, ?, ?, 1 FROM attempts WHERE attempt >= ? "
        "AND attempt NOT IN (SELECT attempt FROM outcomes) "
        "AND attempt NOT IN (SELECT attempt FROM tasks) AND attempt NOT IN (SELECT attempt FROM unfetched)",
        (
            now_ms,
            RowStatus.PARKED.value,
            FailureKind.INTERRUPTED.value,
            "imagemill ended before an answer was kept; the service may have made and charged the image",
            since,
        ),
    )
    return cursor.rowcount


def record_now(connection: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    """Record directly, while no `Writer` runs. Raises sqlite3.OperationalError when the disk refuses."""
    connection.execute("BEGIN IMMEDIATE")
    for sql, values in statements:
        connection.execute(sql, values)
    connection.execute("COMMIT")


class Writer:
    """The writing thread. Use as an async context manager inside the running event loop."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queue: queue.SimpleQueue[tuple[Sequence[Statement], asyncio.Future[None]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Writer:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def record(self, statements: Sequence[Statement]) -> asyncio.Future[None]:
        """Add records, all or none. The future is done when they are on disk; it raises LedgerWriteError otherwise."""
        if self._loop is None:
            raise RuntimeError("the ledger's writer has not been started")
        crash_point("record queued")
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((statements, future))
        return future

    def record_from_thread(self, statements: Sequence[Statement]) -> None:
        """The same for another thread, which waits until the records are on disk."""
        if self._loop is None:
            raise RuntimeError("the ledger's writer has not been started")

        async def record() -> None:
            await self.record(statements)

        asyncio.run_coroutine_threadsafe(record(), self._loop).result()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            last = False
            while not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    last = True
                    break
                batch.append(item)
            self._commit(batch)
            if last:
                return

    def _commit(self, batch: list[tuple[Sequence[Statement], asyncio.Future[None]]]) -> None:
        error: LedgerWriteError | None = None
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for statements, _ in batch:
                for sql, values in statements:
                    self._connection.execute(sql, values)
            self._connection.execute("COMMIT")
        except _NOT_WRITTEN as problem:
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            error = LedgerWriteError(f"the ledger could not be written: {problem}")
        self._resolve([future for _, future in batch], error)

    def _resolve(self, futures: list[asyncio.Future[None]], error: LedgerWriteError | None) -> None:
        crash_point("commit reported")

        def settle() -> None:
            for future in futures:
                if future.done():
                    continue
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

        loop: Any = self._loop
        call: Callable[[Callable[[], None]], object] = loop.call_soon_threadsafe
        if not loop.is_closed():
            call(settle)
