"""A ledger as other packages read it: opened without being changed, of one moment, damage told with its exit code."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.ledger import attempt_log, attempts, history, queries, statistics
from runner.ledger.completion_cache import NOTHING_COMPLETED, CompletedRows
from runner.ledger.reader import LedgerReader, connection_of, damage_told, open_reader
from runner.ledger.schema import SCHEMA_VERSION
from runner.ledger.statistics import Totals
from schemas.errors import ExitCode, JobError
from schemas.failures import FailureKind, RowStatus
from schemas.job import Job
from schemas.outcome import ABSENT, KeptBody
from schemas.output_folder import LEDGER_NAME
from schemas.request import ImageRequest
from schemas.row import Row
from tests.support.ledgers import LedgerFolder, saved

NOBODY = 65_534


def row(number: int) -> Row:
    """Another row."""
    return Row(
        number, f"r{number}", ImageRequest(f"prompt {number}", (("model", "m"),)), number.to_bytes(16, "big")
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[LedgerFolder]:
    """A folder with a run going on: a success that has superseded another, two rows parked, a task, one on its way."""
    with LedgerFolder(tmp_path) as folder:
        folder.success(row(0), saved(name="old"), cost_usd=0.5)
        folder.success(row(0), saved(name="new"), cost_usd=0.25)
        folder.failure(
            row(1),
            FailureKind.TIMEOUT,
            RowStatus.PARKED,
            quarantined=KeptBody("quarantine/x.body", 1, "00" * 32),
        )
        folder.end_run(3, "some failed")
        folder.next_run()
        folder.success(row(2), saved(name="gone"))
        folder.ledger.record_pruned([(3, 0)], now_ms=5)
        task = folder.intent(row(3))
        folder.connection.execute("INSERT INTO tasks VALUES (?, 't', NULL, 2)", (task,))
        folder.intent(row(4))
        folder.ledger.record(attempt_log.table("0a" * 32, 7))
        yield folder


# Opening


def refusal(out: Path) -> JobError:
    with pytest.raises(JobError) as refused, LedgerReader.open(out):
        pass
    return refused.value


def test_a_ledger_is_read_while_a_run_adds_to_it_and_closed_behind_the_block(workspace: LedgerFolder) -> None:
    with LedgerReader.open(workspace.root) as ledger:
        assert ledger.out == workspace.root
        before = ledger.next_attempt()
        workspace.intent(row(9))
        assert ledger.next_attempt() == before + 1
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        ledger.next_attempt()


def test_a_reader_cannot_write(workspace: LedgerFolder) -> None:
    with (
        closing(open_reader(workspace.root)) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.execute("DELETE FROM meta")


def test_a_folder_without_a_ledger_is_exit_2_and_stays_as_it_is(tmp_path: Path) -> None:
    error = refusal(tmp_path)
    assert error.exit_code is ExitCode.USAGE
    assert error.fix.startswith("name the --out of a run")
    assert error.message == f"{tmp_path} is not an imagemill folder: no {LEDGER_NAME} in it"
    assert list(tmp_path.iterdir()) == []


def test_the_ledger_of_another_version_is_exit_2(workspace: LedgerFolder) -> None:
    workspace.connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    assert refusal(workspace.root).exit_code is ExitCode.USAGE


@pytest.mark.parametrize("data", [b"", b"<html>" * 1000, b"SQLite format 3\x00" + b"\x00" * 5000])
def test_a_file_that_is_no_ledger_is_exit_7(tmp_path: Path, data: bytes) -> None:
    (tmp_path / LEDGER_NAME).write_bytes(data)
    assert refusal(tmp_path).exit_code is ExitCode.DAMAGED


def test_damage_that_is_met_while_reading_is_exit_7(workspace: LedgerFolder) -> None:
    workspace.connection.execute("DROP TABLE images")
    with pytest.raises(JobError) as refused, LedgerReader.open(workspace.root) as ledger:
        list(ledger.recorded_files())
    assert refused.value.exit_code is ExitCode.DAMAGED


def test_what_this_machine_refuses_while_reading_is_exit_9(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    with pytest.raises(JobError) as refused, damage_told(tmp_path):
        raise error
    assert refused.value.exit_code is ExitCode.LOCAL
    assert refused.value.__cause__ is error


def succeeds_without_rights(check: Callable[[], object]) -> bool:
    """Whether it returns in a child process that may write only what anybody may."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            check()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder with a ledger that everybody may read and nobody but root may write to."""
    folder = Path(tempfile.mkdtemp(prefix="readable-"))
    with LedgerFolder(folder) as workspace:
        workspace.intent(row(0))
    (folder / LEDGER_NAME).chmod(0o444)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_ledger_on_a_medium_that_cannot_be_written_is_read(readable: Path) -> None:
    def read() -> None:
        with LedgerReader.open(readable) as ledger:
            assert ledger.next_attempt() == 1
            assert not os.access(readable, os.W_OK)

    def read_as_where_it_may_be_written() -> None:
        address = f"{(readable / LEDGER_NAME).as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            connection.execute("SELECT * FROM meta")

    assert succeeds_without_rights(read)
    assert not succeeds_without_rights(read_as_where_it_may_be_written)


# One moment


def test_what_is_read_in_one_view_is_of_one_moment(workspace: LedgerFolder) -> None:
    with LedgerReader.open(workspace.root) as ledger:
        with ledger.snapshot():
            before = ledger.next_attempt()
            workspace.intent(row(8))
            with ledger.snapshot():
                assert ledger.next_attempt() == before
            assert ledger.next_attempt() == before
        assert ledger.next_attempt() == before + 1


# What it tells

READS: list[tuple[Callable[[LedgerReader], Any], Callable[[sqlite3.Connection], Any]]] = [
    (lambda ledger: ledger.newest_runs(1), lambda c: queries.newest_runs(c, 1)),
    (lambda ledger: ledger.run_sums(1), lambda c: queries.run_sums(c, 1)),
    (lambda ledger: ledger.totals(), statistics.totals),
    (lambda ledger: ledger.undecided_attempts(), statistics.undecided_attempts),
    (lambda ledger: ledger.past_successes(), statistics.past_successes),
    (lambda ledger: ledger.recent_sends(60, 2.003), lambda c: statistics.recent_sends(c, 60, 2.003)),
    (lambda ledger: ledger.versions([0, ABSENT, 3]), lambda c: queries.versions(c, [0, 3])),
    (lambda ledger: ledger.params(), queries.params),
    (lambda ledger: list(ledger.finished_with([1])), lambda c: list(queries.finished_with(c, [1]))),
    (lambda ledger: ledger.open_tasks(), attempts.open_tasks),
    (lambda ledger: ledger.waiting_items(), attempts.waiting_items),
    (lambda ledger: list(ledger.recorded_files()), lambda c: list(queries.recorded_files(c))),
    (lambda ledger: ledger.pruned_files(), queries.pruned_files),
    (lambda ledger: ledger.row_of_attempt(2), lambda c: queries.row_of_attempt(c, 2)),
    (lambda ledger: ledger.superseded(), queries.superseded),
    (lambda ledger: ledger.items_with_images(), queries.items_with_images),
    (lambda ledger: ledger.images_of([0]), lambda c: queries.images_of(c, [0])),
    (lambda ledger: ledger.table_digests(), queries.table_digests),
    (lambda ledger: ledger.newest_table(), queries.newest_table),
    (lambda ledger: ledger.runs(), history.runs),
    (lambda ledger: ledger.rows_with_id("r1"), lambda c: history.rows_with_id(c, "r1")),
    (lambda ledger: ledger.rows_sent_often(5), lambda c: history.rows_sent_often(c, 5)),
    (lambda ledger: ledger.attempt_history(0), lambda c: history.attempts_of(c, 0)),
]
"""What a method tells, and the function that it asks."""


def test_each_question_is_answered_by_the_function_that_knows(workspace: LedgerFolder) -> None:
    with LedgerReader.open(workspace.root) as ledger:
        for ask, answer in READS:
            expected = answer(workspace.connection)
            assert expected
            assert ask(ledger) == expected


def test_what_is_counted_and_named(workspace: LedgerFolder) -> None:
    ledger = workspace.ledger
    assert connection_of(ledger) is workspace.connection
    assert (ledger.next_item(), ledger.next_attempt()) == (5, 6)
    assert ledger.undecided_attempts() == 1
    assert ledger.waiting_items() == {3}
    assert [name for _, names in ledger.row_ids(3) for name in names] == ["r2", "r3", "r4"]
    assert [name for _, names in ledger.row_ids() for name in names] == ["r0", "r1", "r2", "r3", "r4"]
    assert list(ledger.problems()) == []
    assert not ledger.is_simulated()
    workspace.connection.execute("UPDATE meta SET value = '1' WHERE key = 'simulated'")
    assert ledger.is_simulated()


def test_all_row_ids_are_told_of_the_first_attempt_too(tmp_path: Path) -> None:
    with LedgerFolder(tmp_path) as workspace:
        workspace.intent(row(0))
        assert [names for _, names in workspace.ledger.row_ids()] == [["r0"]]


def test_the_last_run_is_the_newest(
    workspace: LedgerFolder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    last = workspace.ledger.last_run()
    assert last is not None
    assert (last.run, last.exit_code) == (1, None)
    with LedgerFolder(tmp_path_factory.mktemp("new")) as new:
        new.connection.execute("DELETE FROM runs")
        assert new.ledger.last_run() is None


def test_attempts_of_the_run_that_is_going_on_are_open(workspace: LedgerFolder) -> None:
    (dead,) = workspace.ledger.attempts().attempts_of([4])[4]
    (live,) = workspace.ledger.attempts(1).attempts_of([4])[4]
    assert (dead.live, live.live) == (False, True)


def test_completed_rows_are_not_asked_for(workspace: LedgerFolder) -> None:
    known = CompletedRows(1, 1, np.array([True]), np.array([True]), 2, Totals(2, 2, 2, 0, 0.75, 0.75, 0))
    ledger = workspace.ledger
    assert ledger.totals(known) == ledger.totals()
    assert ledger.undecided_attempts(known) == 1
    assert len(ledger.item_index()) == 5
    assert len(ledger.item_index(known)) == 4
    assert ledger.nothing_else_sent(replace(known, attempts=6))
    assert not ledger.nothing_else_sent(known)
    assert ledger.completed_rows(Job()) is NOTHING_COMPLETED


def test_why_the_newest_run_ended(workspace: LedgerFolder) -> None:
    assert workspace.ledger.result_query().stop_reason() is None
    workspace.end_run(8, "the budget is used up")
    assert workspace.ledger.result_query().stop_reason() == "the budget is used up"
