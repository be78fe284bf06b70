"""The output folder and its neighbours: other users, other disks, folders that go away. Nothing paid for is lost by them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.canary import WITH_CANARY
from tests.support.commandline import COMMAND, CommandLine
from tests.support.rights import as_ordinary
from tests.support.servedjob import HANG_S, ServedJob, last_object, served_job


def start_as_ordinary(job: ServedJob, *options: str) -> subprocess.Popen[str]:
    """Start a run with the rights of an ordinary user."""
    return subprocess.Popen(
        as_ordinary([COMMAND, *job.arguments(*options)]),
        cwd=job.command.cwd,
        env=job.command.environ(**WITH_CANARY),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_images_that_become_unwritable_cost_no_answer_and_no_wait(command: CommandLine) -> None:
    images = command.cwd / "out" / "images" / "0000"
    with served_job(command, "--latency", "1", rows=30) as job:
        process = start_as_ordinary(job, "--concurrency", "6", "--drain", "1h")
        job.reach(9)
        images.chmod(0o555)
        summary = last_object(process)
        assert (process.returncode, summary["exit_code"]) == (9, 9)
        assert f"this machine refused to write {images.relative_to(command.cwd)}" in summary["exit_reason"]
        sent = sum(job.sent().values())
        kept = [row for row in command.results("out") if row["error_kind"] == "local"]
        assert {row["status"] for row in kept} == {"pending"}
        assert all("quarantine/spool-" in row["error_message"] for row in kept)
        assert summary["by_status"]["succeeded"] + len(kept) == sent
        assert summary["maybe_billed"] == len(kept) > 0
        assert command("plan", "out/job.toml").out.count("spool file") == 1
        again = start_as_ordinary(job)
        assert last_object(again)["exit_code"] == again.returncode == 2
        assert sum(job.sent().values()) == sent
        images.chmod(0o755)
        assert job.run().code == 0
        assert job.is_bought_once()
        assert command("status", "out", "--json").json["folder"]["maybe_billed"] == 0


def test_images_of_somebody_else_are_noticed_before_anything_is_sent(command: CommandLine) -> None:
    with served_job(command, "--latency", "0", rows=3) as job:
        (command.cwd / "out/images").mkdir(parents=True, mode=0o555)
        process = start_as_ordinary(job)
        told = last_object(process)
        assert (process.returncode, job.sent()) == (2, {})
        assert told["exit_reason"] == "out/images/0000 cannot be written: Permission denied"
        assert "chmod" in told["fix"]


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder from which nothing can be renamed to the tests' own."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk here")
    with TemporaryDirectory(dir=memory) as made:
        yield Path(made)


def test_images_on_another_disk_are_made_resumed_verified_and_pruned_like_any(
    command: CommandLine, other_disk: Path
) -> None:
    with served_job(command, "--latency", "0", rows=6) as job:
        (command.cwd / "out").mkdir()
        (command.cwd / "out/images").symlink_to(other_disk, target_is_directory=True)
        assert job.run("--limit", "3").code == 0
        assert job.run().code == 0
        assert job.is_bought_once()
        assert len([*other_disk.rglob("*.png")]) == 6
        again = ("--rows", "r0", "--succeeded", "--yes", "--set", "prompt=a hare")
        (command.cwd / "r0").write_text("r0\n")
        assert job.retry(*again).code == 0
        assert command("prune", "out", "--yes", environ=WITH_CANARY).code == 0
        assert len([*other_disk.rglob("*.png")]) == 6
        assert command("verify", "out").code == 0


@pytest.mark.parametrize("gone", ["moved", "removed"])
def test_images_that_go_away_under_a_run_stop_it_with_exit_7(command: CommandLine, gone: str) -> None:
    images = command.cwd / "out" / "images"
    with served_job(command, "--latency", "0.5", rows=60) as job:
        process = job.start("--concurrency", "4")
        job.reach(8)
        if gone == "moved":
            images.rename(command.cwd / "away")
        else:
            shutil.rmtree(images, ignore_errors=True)
        summary = last_object(process)
        assert (process.returncode, summary["exit_code"]) == (7, 7)
        assert "gone" in summary["exit_reason"]
        assert "was moved away or removed" in summary["exit_reason"]
        assert summary["next"] == "imagemill verify out"
        assert sum(job.sent().values()) < job.rows
        rows = [row for row in command.results("out") if row["status"] == "succeeded"]
        there = [row for row in rows if (command.cwd / "out" / row["file_name"]).exists()]
        away = {path.name for path in (command.cwd / "away").rglob("*.png")}
        assert there
        if gone == "moved":
            names = {Path(row["file_name"]).name for row in rows if row not in there}
            assert names <= away


def test_a_finished_job_whose_images_are_gone_says_so_and_sends_nothing(command: CommandLine) -> None:
    with served_job(command, "--latency", "0", rows=4) as job:
        assert job.run().code == 0
        name = command.results("out")[2]["file_name"]
        before = (command.cwd / "out/results.parquet").read_bytes()
        (command.cwd / "out" / name).rename(command.cwd / "kept.png")
        ended = job.run()
        assert (ended.code, ended.json["next"]) == (7, "imagemill verify out")
        assert ended.json["exit_reason"] == f"1 image file is gone, {name} among them"
        assert command("verify", "out").code == 7
        shutil.rmtree(command.cwd / "out/images")
        assert job.run().json["exit_reason"] == "4 image files are gone, images/0000/r0-0-0.png among them"
        assert set(job.sent().values()) == {1}
        assert (command.cwd / "out/results.parquet").read_bytes() == before


@pytest.mark.parametrize(("umask", "group"), [("002", True), ("022", False), ("077", False)])
def test_a_folder_is_as_open_as_the_umask_allows(command: CommandLine, umask: str, group: bool) -> None:
    """What a colleague needs to resume, or to ask for the status: every file and folder but for nothing."""
    (command.cwd / "prompts.csv").write_text("id,prompt\na,a fox\nb,[[error]]\n")
    arguments = ("run", "prompts.csv", "--simulate", "--out", "out", "-q", "--set", "simulator.latency=0")
    done = subprocess.run(
        ["sh", "-c", f'umask {umask}; exec "$@"', "sh", COMMAND, *arguments],
        cwd=command.cwd,
        env=command.environ(),
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == 0
    made = [path for path in (command.cwd / "out").rglob("*") if not {"quarantine", "logs"} & {*path.parts}]
    modes = {path.relative_to(command.cwd).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in made}
    assert {"out/ledger.sqlite", "out/.lock", "out/job.toml", "out/images/0000"} <= modes.keys()
    allowed = ~int(umask, 8)
    for name, mode in modes.items():
        assert mode & 0o666 == 0o666 & allowed, name
    assert all(bool(mode & stat.S_IWGRP) is group for mode in modes.values())
    assert os.access(command.cwd / "out/quarantine", os.R_OK)
