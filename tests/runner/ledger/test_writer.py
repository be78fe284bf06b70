"""The ledger: what is awaited is on disk, all or nothing; what is damaged or foreign is refused with its exit code."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from runner.ledger import schema
from runner.ledger import writer as ledger
from runner.ledger.reader import open_reader
from runner.ledger.writer import LedgerWriteError, Statement, Writer, create_or_open
from schemas.errors import ExitCode, JobError
from schemas.output_folder import LEDGER_NAME


def note(key: str, value: object = "x") -> Statement:
    """A small record."""
    return "INSERT INTO meta VALUES (?, ?)", (key, value)


BROKEN: Statement = ("INSERT INTO nowhere VALUES (1)", ())


def kept(out: Path) -> set[str]:
    """The notes that a reader of its own sees."""
    with closing(open_reader(out)) as reader:
        return {key for (key,) in reader.execute("SELECT key FROM meta")} - {"simulated"}


@contextmanager
def opened(out: Path, *, simulated: bool = False) -> Iterator[sqlite3.Connection]:
    """The writing connection."""
    with closing(create_or_open(out, simulated=simulated)) as connection:
        yield connection


def refusal(out: Path, *, simulated: bool = False) -> tuple[ExitCode, str]:
    """Exit code and message of an opening that is refused."""
    with pytest.raises(JobError) as error, opened(out, simulated=simulated):
        pass
    return error.value.exit_code, error.value.message


def test_a_record_that_was_awaited_can_be_read_by_anybody(tmp_path: Path) -> None:
    async def main(connection: sqlite3.Connection) -> None:
        async with Writer(connection) as writer:
            for number in range(20):
                await writer.record([note(str(number))])
                assert str(number) in kept(tmp_path)

    with opened(tmp_path) as connection:
        asyncio.run(main(connection))


def test_records_that_arrive_together_share_a_transaction(tmp_path: Path) -> None:
    async def main(connection: sqlite3.Connection) -> list[str]:
        told: list[str] = []
        connection.set_trace_callback(told.append)
        async with Writer(connection) as writer:
            with closing(sqlite3.connect(tmp_path / LEDGER_NAME, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                futures = [writer.record([note(str(number))]) for number in range(200)]
                other.execute("ROLLBACK")
            await asyncio.gather(*futures)
        return told

    with opened(tmp_path) as connection:
        told = asyncio.run(main(connection))
    assert len(kept(tmp_path)) == 200
    assert 1 <= told.count("COMMIT") <= 3


def test_the_log_is_synced_at_each_commit(tmp_path: Path) -> None:
    with opened(tmp_path) as connection:
        settings = [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]
    assert settings == ["wal", 2]


def test_a_record_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    async def main(connection: sqlite3.Connection) -> None:
        async with Writer(connection) as writer:
            with pytest.raises(LedgerWriteError, match="no such table"):
                await writer.record([note("before"), BROKEN, note("after")])
            assert kept(tmp_path) == set()
            await writer.record([note("later")])
            assert kept(tmp_path) == {"later"}

    with opened(tmp_path) as connection:
        asyncio.run(main(connection))


@pytest.mark.parametrize("value", ["half a character \ud83d", 2**70, object(), b"\x00" * 3])
def test_a_value_that_cannot_be_held_does_not_end_the_writer(tmp_path: Path, value: object) -> None:
    async def main(connection: sqlite3.Connection) -> None:
        async with Writer(connection) as writer, asyncio.timeout(20):
            if isinstance(value, bytes):
                await writer.record([note("odd", value)])
            else:
                with pytest.raises(LedgerWriteError):
                    await writer.record([note("odd", value)])
            await writer.record([note("later")])

    with opened(tmp_path) as connection:
        asyncio.run(main(connection))
    assert "later" in kept(tmp_path)


def test_a_full_disk_is_told_and_passes(tmp_path: Path) -> None:
    async def main(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
        async with Writer(connection) as writer:
            with pytest.raises(LedgerWriteError, match="full"):
                await writer.record([note("large", "x" * 100_000)])
            assert kept(tmp_path) == set()
            connection.execute("PRAGMA max_page_count=1000000")
            await writer.record([note("large", "x" * 100_000)])

    with opened(tmp_path) as connection:
        asyncio.run(main(connection))
    assert kept(tmp_path) == {"large"}


def test_what_was_handed_over_before_the_end_is_written(tmp_path: Path) -> None:
    async def main(connection: sqlite3.Connection) -> None:
        async with Writer(connection) as writer:
            futures = [writer.record([note(str(number))]) for number in range(50)]
        await asyncio.gather(*futures)

    with opened(tmp_path) as connection:
        asyncio.run(main(connection))
    assert len(kept(tmp_path)) == 50


def test_a_record_that_nobody_awaits_any_more_is_written_all_the_same(tmp_path: Path) -> None:
    async def main(connection: sqlite3.Connection) -> None:
        async with Writer(connection) as writer:
            writer.record([note("left")]).cancel()
            await writer.record([note("awaited")])

    with opened(tmp_path) as connection:
        asyncio.run(main(connection))
    assert kept(tmp_path) == {"left", "awaited"}


def test_another_thread_can_record_and_waits_for_the_disk(tmp_path: Path) -> None:
    async def main(connection: sqlite3.Connection) -> None:
        async with Writer(connection) as writer:
            await asyncio.to_thread(writer.record_from_thread, [note("thread")])
            assert kept(tmp_path) == {"thread"}
            with pytest.raises(LedgerWriteError):
                await asyncio.to_thread(writer.record_from_thread, [BROKEN])

    with opened(tmp_path) as connection:
        asyncio.run(main(connection))


def test_a_writer_that_was_not_started_takes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as connection, pytest.raises(RuntimeError, match="not been started"):
        _ = Writer(connection).record([note("x")])


def test_a_new_ledger_knows_its_kind_and_version(tmp_path: Path) -> None:
    with opened(tmp_path, simulated=True) as connection:
        assert schema.read_meta(connection, "simulated") == "1"
        assert schema.read_meta(connection, "nothing") is None
        assert connection.execute("PRAGMA user_version").fetchone()[0] == schema.SCHEMA_VERSION


@pytest.mark.parametrize(
    ("umask", "folder", "ledger"),
    [
        (0o022, 0o755, 0o644),
        (0o002, 0o2775, 0o664),
        (0o002, 0o750, 0o640),
        (0o022, 0o700, 0o600),
        (0o077, 0o777, 0o600),
        (0o000, 0o711, 0o600),
    ],
)
def test_a_ledger_is_as_open_as_the_umask_allows_and_never_more_than_its_folder(
    tmp_path: Path, umask: int, folder: int, ledger: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(folder)
    before = os.umask(umask)
    try:
        with opened(out):
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys((LEDGER_NAME, f"{LEDGER_NAME}-wal", f"{LEDGER_NAME}-shm"), ledger)


@pytest.mark.parametrize("made", [True, False])
def test_simulated_and_real_runs_do_not_mix(tmp_path: Path, made: bool) -> None:
    with opened(tmp_path, simulated=made):
        pass
    with opened(tmp_path, simulated=made):
        pass
    code, message = refusal(tmp_path, simulated=not made)
    assert code is ExitCode.USAGE
    assert ("made by a simulated run" in message) is made


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as connection:
        connection.execute("PRAGMA user_version=99")
    code, message = refusal(tmp_path)
    assert (code, "schema version 99" in message) == (ExitCode.USAGE, True)


def filled(out: Path) -> Path:
    """A ledger of some hundred records, all in its main file."""
    with opened(out) as connection:
        ledger.record_now(connection, [note(str(number), "x" * 200) for number in range(500)])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return out / LEDGER_NAME


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"<html>" * 1000,
        lambda data: b"\x00" * len(data),
        lambda data: data[:1000],
        lambda data: data[:100] + b"\xff" * (len(data) - 100),
        lambda data: b"SQLite format 3\x00" + b"\x00" * 5000,
    ],
)
def test_a_damaged_ledger_is_exit_7_for_writers_and_readers(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = filled(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert refusal(tmp_path)[0] is ExitCode.DAMAGED
    with pytest.raises(JobError) as error:
        open_reader(tmp_path)
    assert error.value.exit_code is ExitCode.DAMAGED


def test_images_without_a_ledger_are_exit_7(tmp_path: Path) -> None:
    (tmp_path / "images" / "0000").mkdir(parents=True)
    with opened(tmp_path):
        pass
    (tmp_path / "images" / "0000" / "1-0.png").write_bytes(b"x")
    with opened(tmp_path):
        pass
    (tmp_path / LEDGER_NAME).unlink()
    assert refusal(tmp_path)[0] is ExitCode.DAMAGED
    assert not (tmp_path / LEDGER_NAME).exists()


def test_a_ledger_that_lost_its_content_beside_images_is_exit_7(tmp_path: Path) -> None:
    """Emptied, or copied without the log that holds what is not yet in the main file."""
    out, copy = tmp_path / "out", tmp_path / "copy"
    for folder in (out, copy):
        (folder / "images" / "0000").mkdir(parents=True)
    with opened(out) as connection:
        ledger.record_now(connection, [note("paid")])
        shutil.copy(out / LEDGER_NAME, copy / LEDGER_NAME)
    for folder in (out, copy):
        (folder / "images" / "0000" / "1-0.png").write_bytes(b"x")
    (out / LEDGER_NAME).write_bytes(b"")
    assert refusal(out)[0] is ExitCode.DAMAGED
    assert refusal(copy)[0] is ExitCode.DAMAGED


def test_an_empty_file_without_images_is_what_a_kill_leaves_and_is_laid_out(tmp_path: Path) -> None:
    (tmp_path / LEDGER_NAME).write_bytes(b"")
    with opened(tmp_path) as connection:
        assert schema.read_meta(connection, "simulated") == "0"


def test_a_disk_that_refuses_on_opening_is_exit_9_and_no_damage(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        code, _ = refusal(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code is ExitCode.LOCAL
    with opened(tmp_path):
        pass


def test_the_ledger_of_an_older_imagemill_is_brought_up_to_date_and_keeps_what_it_holds(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as connection:
        for statement in (
            "DROP TABLE unfetched",
            "DROP TABLE spooled",
            "DROP TABLE bodies",
            "ALTER TABLE items DROP COLUMN digest",
            "ALTER TABLE params DROP COLUMN digest",
            "DROP TABLE tasks",
            "DROP TABLE task_waits",
            "DROP TABLE pruned",
            "DROP TABLE aliases",
            "ALTER TABLE attempts DROP COLUMN prompt",
            "ALTER TABLE runs DROP COLUMN command",
            "ALTER TABLE attempts DROP COLUMN indexes",
        ):
            connection.execute(statement)
        connection.execute("INSERT INTO attempts VALUES (0, 0, 0, 1, 1, 5, 0.25)")
        connection.execute("PRAGMA user_version=1")
    with pytest.raises(JobError, match="schema version 1") as refused:
        open_reader(tmp_path)
    assert "imagemill run" in refused.value.fix
    with opened(tmp_path) as connection:
        assert schema.has_expected_columns(connection)
        assert connection.execute("SELECT attempt, sent_ms, indexes FROM attempts").fetchall() == [
            (0, 5, None)
        ]
    open_reader(tmp_path).close()


def test_an_attempt_with_a_task_is_not_settled_but_left_to_be_polled(tmp_path: Path) -> None:
    with opened(tmp_path) as connection:
        for attempt in range(2):
            connection.execute(
                "INSERT INTO attempts VALUES (?, ?, 0, 1, 1, 5, 0.25, NULL, NULL)", (attempt, attempt)
            )
        connection.execute("INSERT INTO tasks VALUES (1, 'task_x', NULL, 6)")
        assert ledger.park_dead_attempts(connection, now_ms=77) == 1
        assert connection.execute("SELECT attempt FROM outcomes").fetchall() == [(0,)]


def test_dead_attempts_are_parked_once_and_settled_ones_are_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as connection:
        connection.execute("INSERT INTO params VALUES (1, '{}', NULL)")
        for attempt in range(4):
            connection.execute(
                "INSERT INTO attempts VALUES (?, ?, 0, 1, 1, 5, 0.25, NULL, NULL)", (attempt, attempt)
            )
        done = (
            "INSERT INTO outcomes (attempt, finished_ms, status, maybe_billed) VALUES (?, 6, 'succeeded', 0)"
        )
        connection.execute(done, (2,))
        assert ledger.park_dead_attempts(connection, now_ms=77) == 3
        assert ledger.park_dead_attempts(connection, now_ms=88) == 0
        told = connection.execute(
            "SELECT attempt, finished_ms, status, kind, maybe_billed FROM outcomes ORDER BY attempt"
        ).fetchall()
    parked = [(attempt, 77, "parked", "interrupted", 1) for attempt in (0, 1, 3)]
    assert told == [*parked[:2], (2, 6, "succeeded", None, 0), parked[2]]


def test_an_older_ledger_is_read_as_it_is(tmp_path: Path) -> None:
    """On a medium that cannot be written, for one, or before the next run."""
    with opened(tmp_path) as connection:
        for table in ("aliases", "spooled", "bodies", "unfetched"):
            connection.execute(f"DROP TABLE {table}")
        for table in ("items", "params"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN digest")
        connection.execute("PRAGMA user_version=3")
    before = (tmp_path / "ledger.sqlite").read_bytes()
    reader = open_reader(tmp_path)
    assert reader.execute("SELECT count(*) FROM aliases").fetchone() == (0,)
    assert not list(schema.problems(reader))
    reader.close()
    assert (tmp_path / "ledger.sqlite").read_bytes() == before
