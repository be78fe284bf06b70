"""`run`, `plan` and `status` against the embedded simulator: what they print, where, and what they exit with."""

from __future__ import annotations

import sqlite3
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from schemas.reports import CostRange, Plan
from schemas.summary import Summary
from tests.runner.cli.conftest import Imagemill

MANIFEST = "id,prompt\na,a red fox\nb,a [[refuse]] b\nc,\n"
ENVELOPE = ("imagemill", "command", "exit_code", "exit_reason", "out", "simulated")
SIMULATED = ("--simulate", "--set", "simulator.latency=0")


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    (tmp_path / "p.csv").write_text(MANIFEST)
    return "p.csv"


def test_plan_then_run_then_status(imagemill: Imagemill, manifest: str, tmp_path: Path) -> None:
    planned = imagemill("plan", manifest, *SIMULATED, "--json")
    assert (planned.code, set(planned.json)) == (0, {*(field.name for field in fields(Plan)), *ENVELOPE})
    assert list(planned.json["cost_usd"]) == [field.name for field in fields(CostRange)]
    assert [planned.json[name] for name in ("rows", "images", "requests", "invalid")] == [3, 2, 2, 1]
    assert imagemill("run", manifest, *SIMULATED, "--dry-run", "--json").json == planned.json
    assert not (tmp_path / "runs").exists()

    ran = imagemill("run", manifest, *SIMULATED, "--json", "--progress", "none")
    summary = ran.json
    assert (ran.code, list(summary)) == (3, [field.name for field in fields(Summary)])
    assert summary["by_status"] == {"succeeded": 1, "failed": 1, "invalid": 1}
    assert (summary["exit_code"], summary["out"]) == (3, "runs/p")

    status = imagemill("status", "runs/p", "--json")
    assert status.code == 0
    kept = ("rows", "images", "by_status", "by_error", "requests_sent", "images_saved", "exit_code", "next")
    assert [status.json[name] for name in kept] == [summary[name] for name in kept]


def test_status_after_a_kill_tells_what_may_have_been_paid_for(
    imagemill: Imagemill, manifest: str, tmp_path: Path
) -> None:
    assert imagemill("run", manifest, *SIMULATED, "-q", "--out", "out").code == 3
    before = imagemill("status", "out", "--json").json
    with sqlite3.connect(tmp_path / "out" / "ledger.sqlite") as connection:  # as a kill would have left it
        connection.execute("DELETE FROM outcomes WHERE status = 'succeeded'")
        connection.execute("DELETE FROM images")
        connection.execute("DELETE FROM run_ends")
    killed = imagemill("status", "out", "--json").json
    assert killed["by_status"] == {"failed": 1, "parked": 1, "invalid": 1}
    assert killed["maybe_billed"] == before["maybe_billed"] + 1


def test_a_run_and_its_table_need_no_pandas(imagemill: Imagemill, manifest: str) -> None:
    program = (sys.executable, "-X", "importtime", str(Path(sys.executable).with_name("imagemill")))
    done = imagemill("run", manifest, *SIMULATED, "--out", "out", program=program)
    imported = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert (done.code, "pyarrow.compute" in imported, "pandas.core" in imported) == (3, True, False)


def test_people_read_facts_on_stdout_and_progress_on_stderr(imagemill: Imagemill, manifest: str) -> None:
    done = imagemill("run", manifest, *SIMULATED, "--limit", "1")
    facts = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.out.splitlines()}
    assert (done.code, facts["images"], facts["results"]) == (
        0,
        "runs/p/images",
        "runs/p/results.parquet",
    )
    assert "1/1 image" in done.err
    again = imagemill("run", manifest, *SIMULATED, "--limit", "1", "-q")
    assert (again.code, again.err) == (0, "")


def test_the_job_file_of_the_folder_resumes_it_from_anywhere(
    imagemill: Imagemill, manifest: str, tmp_path: Path
) -> None:
    assert imagemill("run", manifest, *SIMULATED, "-q", "--out", "first").code == 3
    (tmp_path / "first").rename(tmp_path / "moved")
    again = imagemill("run", "moved/job.toml", "-q", "--json")
    assert (again.code, again.json["out"], again.json["folder"]["requests_sent"]) == (3, "moved", 2)
    assert not (tmp_path / "first").exists()


def test_a_run_that_cannot_start_is_told_on_both_streams(imagemill: Imagemill) -> None:
    done = imagemill("run", "gone.csv", *SIMULATED, "--json")
    assert (done.code, done.json["exit_code"]) == (2, 2)
    assert done.err.startswith("error: ")
