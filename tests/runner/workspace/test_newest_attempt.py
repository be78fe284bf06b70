"""Which attempt the files of a folder tell of, whatever they are called, and what a ledger must know."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runner.workspace.folder import open_workspace
from runner.workspace.newest_attempt import Trace, newest_trace
from schemas.errors import ExitCode, JobError
from schemas.job import Job
from tests.support.ledgers import LedgerFolder, rows_of
from tests.support.manifests import prompts, row_stream

JOB = Job.model_validate({"manifest": "prompts.csv"})


def place(out: Path, name: str) -> None:
    """A file of this name."""
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(b"x")


def table(out: Path, *attempts: int | None) -> None:
    """A results table that tells of these."""
    pq.write_table(pa.table({"attempt": pa.array(attempts, pa.int64())}), out / "results.parquet")


def test_a_folder_without_files_tells_nothing(tmp_path: Path) -> None:
    assert newest_trace(tmp_path) is None
    (tmp_path / "images/0000").mkdir(parents=True)
    table(tmp_path, None, None)
    (tmp_path / ".done").write_text("{}")
    assert newest_trace(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("images/0000/fox-7-0.png", 7),
        ("images/0000/7-0.png", 7),
        ("images/0000/row-2024-7-12.jpg", 7),
        ("images/0012/x-12345-1000.webp", 12345),
        ("images/0000/fox-7-0-x12ab56.png", None),
        ("images/0000/fox.png", None),
        ("images/0000/notes-7-0.txt", None),
        ("images/thumbs/fox-7-0.png", None),
        ("quarantine/fox-7.body", 7),
        ("quarantine/7.body", 7),
        ("quarantine/row-2024-7.body", 7),
        ("quarantine/fox-7-x12ab56.body", None),
        ("quarantine/fox-7-123456.body", 7),
        ("quarantine/spool-7.tar", 7),
        ("spool-7.tar", 7),
    ],
)
def test_names_tell_their_attempt(tmp_path: Path, name: str, attempt: int | None) -> None:
    place(tmp_path, name)
    found = newest_trace(tmp_path)
    assert (None if found is None else found.attempt) == attempt


def test_the_newest_of_all_counts(tmp_path: Path) -> None:
    for name in ("images/0000/a-900-0.png", "images/0001/b-1003-0.png", "quarantine/c-1002.body"):
        place(tmp_path, name)
    assert newest_trace(tmp_path) == Trace(1003, "images/0001/b-1003-0.png")
    table(tmp_path, 4, 1004, None)
    assert newest_trace(tmp_path) == Trace(1004, "results.parquet")
    (tmp_path / ".done").write_bytes(json.dumps({"attempts": 1006}).encode() + b"\n\xff\xfe")
    assert newest_trace(tmp_path) == Trace(1005, ".done")


def test_an_older_folder_of_images_is_not_looked_into(tmp_path: Path) -> None:
    for number in range(12):
        place(tmp_path, f"images/{number:04d}/x-{number * 1000 + 5}-0.png")
    place(tmp_path, "images/0003/x-99999-0.png")
    assert newest_trace(tmp_path) == Trace(11_005, "images/0011/x-11005-0.png")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"<html>" * 400])
def test_a_table_that_cannot_be_read_tells_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "results.parquet").write_bytes(content)
    assert newest_trace(tmp_path) is None


def test_a_ledger_must_know_the_newest_attempt(tmp_path: Path) -> None:
    with LedgerFolder(tmp_path) as ledger:
        for row in rows_of(row_stream(prompts("a", "b", "c"))):
            ledger.intent(row)
    place(tmp_path, "images/0000/x-2-0.png")
    with open_workspace(tmp_path, JOB):
        pass
    place(tmp_path, "images/0000/x-3-0.png")
    with pytest.raises(JobError) as error, open_workspace(tmp_path, JOB):
        pass
    assert error.value.exit_code is ExitCode.DAMAGED
    assert "images/0000/x-3-0.png is of request 4, and" in error.value.message
    assert "knows of 3 only" in error.value.message
    assert f"imagemill verify {tmp_path} --repair" in error.value.fix
    with open_workspace(tmp_path, JOB, repairs=True):
        pass


@pytest.mark.parametrize(
    "name", ["images/0000/x-0-0.png", "quarantine/x-0.body", "quarantine/spool-0.tar", "results.parquet"]
)
def test_a_new_ledger_is_not_made_beside_what_a_run_has_left(tmp_path: Path, name: str) -> None:
    place(tmp_path, name)
    with pytest.raises(JobError) as error, open_workspace(tmp_path, JOB):
        pass
    assert (error.value.exit_code, "--repair" in error.value.fix) == (ExitCode.DAMAGED, True)
    assert not (tmp_path / "ledger.sqlite").exists()


def test_a_new_ledger_is_not_made_beside_the_job_of_a_run(tmp_path: Path) -> None:
    with open_workspace(tmp_path, JOB):
        pass
    for path in tmp_path.glob("ledger.sqlite*"):
        path.unlink()
    with pytest.raises(JobError) as error, open_workspace(tmp_path, JOB):
        pass
    assert "the job.toml of a run" in error.value.message
    (tmp_path / "job.toml").write_text('manifest = "prompts.csv"\n')
    with open_workspace(tmp_path, JOB):
        pass
