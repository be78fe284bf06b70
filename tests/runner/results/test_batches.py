"""Writing the table while its rows are read in a thread: of one moment, and ended by whatever goes wrong on either side."""

from __future__ import annotations

import io
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from runner.ledger.reader import LedgerReader, connection_of
from runner.ledger.writer import create_or_open
from runner.planning.row_stream import RowStream
from runner.results.table import ResultsTable
from schemas.counts import Counts
from schemas.output_folder import LEDGER_NAME
from tests.support.ledgers import rows_of
from tests.support.manifests import prompts, row_stream

ROWS = 12_000


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose ledger has so many rows done that the table has two row groups."""
    out = tmp_path_factory.mktemp("done")
    with closing(create_or_open(out, simulated=False)) as connection:
        connection.execute("INSERT INTO runs VALUES (0, 'r', 0, '0', 'e', NULL)")
        connection.execute("INSERT INTO params VALUES (0, '{}', NULL)")
        connection.execute("BEGIN")
        for item, row in enumerate(rows_of(_manifest())):
            connection.execute(
                "INSERT INTO items VALUES (?,?,?,?,NULL)",
                (item, row.fingerprint, row.row_id, row.request.prompt),
            )
        numbers = [(item,) for item in range(ROWS)]
        connection.executemany(
            "INSERT INTO attempts (attempt, item, run, params, n, sent_ms) VALUES (?1,?1,0,0,1,?1)", numbers
        )
        connection.executemany(
            "INSERT INTO outcomes (attempt, finished_ms, status, maybe_billed) VALUES (?1,?1,'succeeded',0)",
            numbers,
        )
        connection.executemany(
            "INSERT INTO images (attempt, idx, file_name, format, bytes, sha256) "
            "VALUES (?1, 0, 'a', 'png', 1, randomblob(32))",
            numbers,
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return out


def _manifest() -> RowStream:
    return row_stream(prompts(*(f"picture {i}" for i in range(ROWS))), batch=2_048)


@pytest.fixture
def out(done: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    (tmp_path / LEDGER_NAME).write_bytes((done / LEDGER_NAME).read_bytes())
    return tmp_path


def _stream(ledger: LedgerReader, file: io.BytesIO, live_run: int | None = None) -> Counts:
    counts = Counts()
    ResultsTable(_manifest(), ledger, live_run).stream(file, counts)
    return counts


def test_what_a_run_records_meanwhile_is_not_in_the_table(out: Path) -> None:
    """All of it is of the moment at which the reader's transaction began."""
    quiet = io.BytesIO()
    with LedgerReader.open(out) as reader:
        _stream(reader, quiet, 0)
    with closing(create_or_open(out, simulated=False)) as writer, LedgerReader.open(out) as reader:

        class Busy(io.BytesIO):
            written = 0

            def write(self, data: Any) -> int:
                number = ROWS + Busy.written
                Busy.written += 1
                writer.execute(
                    "INSERT INTO attempts (attempt, item, run, params, n, sent_ms) VALUES (?,?,0,0,1,0)",
                    (number, ROWS - 1 - Busy.written),
                )
                return super().write(data)

        busy = Busy()
        with reader.snapshot():
            assert reader.next_attempt() == ROWS
            counts = _stream(reader, busy, 0)
        assert Busy.written > 10
    assert busy.getvalue() == quiet.getvalue()
    assert (counts.rows, counts.by_status["succeeded"]) == (ROWS, ROWS)


@pytest.mark.parametrize("share", [0.5, 0.7, 0.95])
def test_damage_that_is_met_on_the_way_is_raised_and_leaves_no_thread(out: Path, share: float) -> None:
    path = out / LEDGER_NAME
    data = bytearray(path.read_bytes())
    at = int(len(data) * share) // 4096 * 4096
    data[at : at + 20 * 4096] = b"\x55" * 20 * 4096
    path.write_bytes(data)
    before = threading.enumerate()
    with LedgerReader.open(out) as reader, pytest.raises(sqlite3.DatabaseError, match="malformed"):
        _stream(reader, io.BytesIO())
    assert threading.enumerate() == before


def test_a_disk_that_refuses_ends_the_reading_too(out: Path) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() > 1000:
                raise OSError(28, "No space left on device")
            return super().write(data)

    before = threading.enumerate()
    with LedgerReader.open(out) as reader:
        with pytest.raises(OSError, match="No space left"):
            _stream(reader, Full())
        assert threading.enumerate() == before
        assert connection_of(reader).execute("SELECT count(*) FROM attempts").fetchone() == (ROWS,)


def test_the_table_is_what_the_ledger_holds(out: Path) -> None:
    file = io.BytesIO()
    with LedgerReader.open(out) as reader:
        _stream(reader, file)
        digests = [
            row[0].hex()
            for row in connection_of(reader).execute("SELECT sha256 FROM images ORDER BY attempt")
        ]
    table = pq.read_table(file)
    assert table.column("sha256").to_pylist() == digests
    assert table.column("prompt").to_pylist() == [f"picture {i}" for i in range(ROWS)]
