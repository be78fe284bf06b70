"""Folders that imagemill 0.1.0 made go on with this one: looked at, verified, resumed, retried and never paid for twice."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.commandline import CommandLine

KEPT = Path(__file__).resolve().parents[1] / "data" / "folder-0.1.0"
ATTEMPTS = 8
NO_FAULTS = "[latency]\nmedian = 0.0\n"


@pytest.fixture
def folders(command: CommandLine) -> Path:
    """Copies of both folders, where the command runs."""
    shutil.copytree(KEPT, command.cwd, dirs_exist_ok=True)
    return command.cwd


def ledger(out: Path, query: str) -> list[tuple[Any, ...]]:
    """What a folder's ledger says."""
    connection = sqlite3.connect(out / "ledger.sqlite")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def attempts(out: Path) -> int:
    """How many requests a folder's ledger knows."""
    return int(ledger(out, "SELECT count(*) FROM attempts")[0][0])


def statuses(command: CommandLine, out: str) -> dict[str, str]:
    """Row id and image -> status."""
    return {f"{row['row_id']}{row['image_index']}": row["status"] for row in command.results(out)}


FINISHED = {
    **dict.fromkeys(("hill0", "boats0", "boats1", "pair0", "bridge0", "tower0"), "succeeded"),
    **dict.fromkeys(("crime0", "pair1"), "failed"),
    "storm0": "parked",
}


@pytest.mark.usefixtures("folders")
def test_status_says_what_0_1_0_said(command: CommandLine) -> None:
    told = command("status", "out", "--json").json
    assert (told["by_status"], told["by_error"]) == (
        {"succeeded": 6, "failed": 2, "parked": 1},
        {"moderation": 1, "disconnected": 1, "bad_content": 1},
    )
    assert (told["requests_sent"], told["images_saved"], told["maybe_billed"], told["cost_usd"]) == (
        8,
        6,
        2,
        0.12,
    )


@pytest.mark.usefixtures("folders")
def test_a_finished_folder_is_whole(command: CommandLine) -> None:
    ended = command("verify", "out", "--json")
    assert (ended.code, ended.json["problems"]) == (0, [])


def test_resuming_a_finished_folder_sends_nothing(command: CommandLine, folders: Path) -> None:
    before = pq.read_table(folders / "out" / "results.parquet")
    ended = command("run", "out/job.toml")
    assert (ended.code, attempts(folders / "out")) == (3, ATTEMPTS)
    assert pq.read_table(folders / "out" / "results.parquet").equals(before)


def test_a_lost_results_table_comes_back_as_0_1_0_wrote_it(command: CommandLine, folders: Path) -> None:
    table = folders / "out" / "results.parquet"
    before = pq.read_table(table)
    table.unlink()
    assert command("verify", "out", "--repair", "--json").json["repaired"] == 1
    after = pq.read_table(table)
    assert after.equals(before)
    assert after.schema.equals(before.schema)
    assert statuses(command, "out") == FINISHED


def test_a_retry_sends_the_failed_row_and_no_other(command: CommandLine, folders: Path) -> None:
    (folders / "scenario.toml").write_text(NO_FAULTS)
    ended = command("retry", "out", "--error", "moderation")
    assert ended.code == 3, ended.err
    assert statuses(command, "out") == FINISHED | {"crime0": "succeeded"}
    assert ledger(folders / "out", f"SELECT item FROM attempts WHERE attempt >= {ATTEMPTS}") == [(2,)]
    assert command("verify", "out").code == 0


def test_a_retry_asks_only_for_the_image_that_a_row_lacks(command: CommandLine, folders: Path) -> None:
    (folders / "scenario.toml").write_text(NO_FAULTS)
    ended = command("retry", "out", "--error", "bad_content")
    assert ended.code == 3, ended.err
    assert statuses(command, "out") == FINISHED | {"pair1": "succeeded"}
    new = f"SELECT item, n, indexes FROM attempts WHERE attempt >= {ATTEMPTS}"
    assert ledger(folders / "out", new) == [(4, 1, "[1]")]


@pytest.mark.usefixtures("folders")
def test_the_history_and_the_runs_are_there(command: CommandLine) -> None:
    told = command("history", "out", "storm", "--json").json
    (row,) = told["rows"]
    assert [(each["status"], each["kind"]) for each in row["attempts"]] == [("parked", "disconnected")]
    (run,) = command("runs", "out", "--json").json["runs"]
    assert (run["exit_code"], run["rows"], run["requests_sent"], run["images_saved"]) == (3, 7, 8, 6)


def test_a_killed_folder_polls_its_task_and_sends_nothing_again(command: CommandLine, folders: Path) -> None:
    told = command("status", "killed", "--json").json
    assert told["by_status"] == {"succeeded": 1, "pending": 1}
    command("run", "killed/job.toml")
    assert attempts(folders / "killed") == 2
    found = Counter(statuses(command, "killed").values())
    assert found == {"succeeded": 1, "parked": 1}, "the simulator of another run knows no such task"
    assert command("verify", "killed").code == 0
