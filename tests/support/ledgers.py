"""A folder's ledger, written attempt by attempt, for tests of what reads it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.artifacts.atomic_files import Folder
from runner.ledger import attempt_log
from runner.ledger.ledger_file import LedgerFile
from runner.ledger.reader import connection_of
from runner.planning.row_stream import RowStream
from schemas.attempt import Intent, Measured
from schemas.failures import Failure, FailureKind, RowStatus
from schemas.outcome import NOTHING_REPORTED, Failed, KeptBody, MissingImage, Reported, SavedImage, Success
from schemas.row import Row

ENDPOINT = "https://images.example/v1"


@dataclass
class LedgerFolder:
    """An output folder with one run going on. Use as a context manager."""

    root: Path
    _stack: ExitStack = field(default_factory=ExitStack)
    _items: dict[bytes, int] = field(default_factory=dict)
    _attempts: int = 0
    run: int = -1

    def __enter__(self) -> LedgerFolder:
        self.folder = Folder(self.root)
        self.ledger = self._stack.enter_context(LedgerFile.create_or_open(self.root, simulated=False))
        self.connection = connection_of(self.ledger)
        self.next_run()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def next_run(self) -> None:
        """Another run begins."""
        self.run += 1
        run = (self.run, f"run-{self.run}", 1_000, "0", ENDPOINT)
        self.connection.execute("INSERT INTO runs VALUES (?,?,?,?,?,NULL)", run)

    def end_run(self, exit_code: int, reason: str) -> None:
        """The run ends."""
        self.connection.execute("INSERT INTO run_ends VALUES (?,?,?,?)", (self.run, 9_000, exit_code, reason))

    def intent(self, row: Row, *, reserved_usd: float | None = None) -> int:
        """An attempt is about to be sent; its number."""
        fresh = row.fingerprint not in self._items
        item = self._items.setdefault(row.fingerprint, len(self._items))
        number, self._attempts = self._attempts, self._attempts + 1
        told = Intent(number, item, self.run, row, 2_000 + number, reserved_usd, fresh)
        self.ledger.record(attempt_log.intent_records(told))
        return number

    def success(
        self,
        row: Row,
        *images: SavedImage,
        missing: Sequence[MissingImage] = (),
        reported: Reported = NOTHING_REPORTED,
        flags: tuple[str, ...] = (),
        reserved_usd: float | None = None,
        **measured: Any,
    ) -> int:
        """An attempt that brought these images; its number."""
        number = self.intent(row, reserved_usd=reserved_usd)
        outcome = Success(images, tuple(missing), reported, flags=flags)
        self.ledger.record(attempt_log.success(outcome, self._measured(number, measured)))
        return number

    def failure(
        self,
        row: Row,
        kind: FailureKind,
        status: RowStatus,
        *,
        message: str = "told",
        code: str | None = None,
        http_status: int | None = None,
        reported: Reported = NOTHING_REPORTED,
        quarantined: KeptBody | None = None,
        reserved_usd: float | None = None,
        **measured: Any,
    ) -> int:
        """An attempt without an image; its number."""
        number = self.intent(row, reserved_usd=reserved_usd)
        failure = Failure(kind, message, code, http_status)
        outcome = Failed(failure, reported, quarantined)
        self.ledger.record(attempt_log.failure(outcome, status, self._measured(number, measured)))
        return number

    def _measured(self, number: int, more: dict[str, Any]) -> Measured:
        return Measured(number, 3_000 + number, more.pop("latency_s", 1.5), **more)


def saved(index: int = 0, name: str = "a", *, digest: str = "00", **more: Any) -> SavedImage:
    """A saved image. digest: two hex digits that its sha256 repeats."""
    fields = {"format": "png", "width": 64, "height": 48, "bytes": 100, **more}
    return SavedImage(index, f"images/0000/{name}-{index}.png", sha256=digest * 32, **fields)


def rows_of(row_stream: RowStream) -> list[Row]:
    """The rows that can be sent."""
    return [row for batch in row_stream.batches() for row in batch.rows if isinstance(row, Row)]
