"""`imagemill runs`: what it lists, and what it says where there is nothing to list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runner.cli.conftest import Imagemill

SIMULATED = ("--simulate", "--set", "simulator.latency=0", "--size", "64x64", "-q", "--price", "0.5")
JOB = 'manifest = "p.csv"\nout = "runs/{manifest_stem}/{date:%Y/%m/%d}"\n'


@pytest.fixture
def job(tmp_path: Path) -> str:
    (tmp_path / "p.csv").write_text("prompt\na\nb [[refuse]]\n")
    (tmp_path / "job.toml").write_text(JOB)
    return "job.toml"


def test_a_folder_and_a_job_over_all_its_folders(imagemill: Imagemill, job: str, tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert imagemill("run", job, *SIMULATED, "--date", "2026-11-20", **environ).code == 3
    assert imagemill("run", job, *SIMULATED, "--date", "2026-11-21", **environ).code == 3
    out = "runs/p/2026/11/20"
    assert imagemill("retry", out, "-q").code == 3
    (tmp_path / "runs/p/2026/11/notes").mkdir()

    listed = imagemill("runs", out, "--json").json["runs"]
    told = ("exit_code", "rows", "rows_again", "requests_sent", "images_saved", "maybe_billed")
    assert [tuple(run[name] for name in told) for run in listed] == [(3, 1, 1, 1, 0, 1), (3, 2, 0, 2, 1, 1)]
    assert (listed[1]["cost_usd"], listed[1]["exit_reason"]) == (0.5, "finished: 1 failed")

    everything = imagemill("runs", job, "--json").json["runs"]
    assert [run["out"][-2:] for run in everything] == ["20", "21", "20"]
    assert everything == sorted(everything, key=lambda run: run["started"], reverse=True)
    lines = imagemill("runs", job, "--limit", "2").out.splitlines()
    assert (len(lines), lines[0].split()[:3]) == (3, ["started", "time", "exit"])

    (tmp_path / out / "ledger.sqlite").write_bytes(b"not a database" * 100)
    damaged = imagemill("runs", job, "--json")
    assert (damaged.code, len(damaged.json["runs"])) == (0, 1)
    assert f"{out} is left out: " in damaged.err
    assert imagemill("runs", out).code == 7


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nowhere", "nowhere is not an imagemill folder"),
        ("job.toml", "job.toml has no output folder yet"),
        ("gone.toml", "no job file gone.toml"),
    ],
)
def test_nothing_to_list(imagemill: Imagemill, source: str, told: str) -> None:
    done = imagemill("runs", source, "--json")
    assert (done.code, json.loads(done.out)["exit_code"], told in done.err) == (2, 2, True)
