"""How a run ends when it is told to, and what the next one finds: signals, two runners, a folder moved or changed."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.faults.drive import frozen_files
from tests.support.canary import WITH_CANARY
from tests.support.commandline import AT_ONCE, CommandLine
from tests.support.servedjob import HANG_S, last_object, served_job
from tests.support.waiting import until

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
_SOON_S = 30.0
"""Long for a busy machine, and short beside the drain and the time-out, which are what it might wait for."""


@pytest.mark.parametrize("sent", CODES)
def test_the_first_signal_lets_what_is_in_flight_land(command: CommandLine, sent: signal.Signals) -> None:
    with served_job(command, "--latency", "0.4") as job:
        process = job.start("--concurrency", "4")
        job.reach(6)
        process.send_signal(sent)
        summary = last_object(process)
        requests = len(job.sent())
        assert (process.returncode, summary["exit_code"]) == (CODES[sent], CODES[sent])
        assert job.statuses() == {"succeeded": requests, "pending": job.rows - requests}
        assert (summary["requests_sent"], summary["maybe_billed"], requests < job.rows) == (requests, 0, True)
        assert summary["next"] == "imagemill run out/job.toml"
        assert job.run().code == 0
        assert job.is_bought_once()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_parks_what_is_in_flight_and_ends_soon(
    command: CommandLine, sent: signal.Signals
) -> None:
    with served_job(command, "--latency", "0", stuck=4) as job:
        process = job.start("--concurrency", "4")
        job.reach(4)
        process.send_signal(sent)
        time.sleep(0.05)  # the kernel merges equal signals that nobody has taken
        assert process.poll() is None
        process.send_signal(sent)
        second = time.monotonic()
        summary = last_object(process)
        assert time.monotonic() - second < _SOON_S
        assert process.returncode == CODES[sent]
        assert job.statuses() == {"parked": 4, "pending": job.rows - 4}
        assert (summary["maybe_billed"], summary["by_error"]) == (4, {"interrupted": 4})
        assert job.run().code == 3
        assert set(job.sent().values()) == {1}
        assert command("retry", "out", "--parked", environ=WITH_CANARY).code == 0
        assert sum(job.sent().values()) == job.rows + 4


def test_the_drain_has_an_end(command: CommandLine) -> None:
    with served_job(command, "--latency", "0", stuck=2) as job:
        process = job.start("--concurrency", "2", "--drain", "1s")
        job.reach(2)
        process.send_signal(signal.SIGTERM)
        assert last_object(process)["by_status"] == {"parked": 2, "pending": job.rows - 2}
        assert process.returncode == 143


def test_time_is_up(command: CommandLine) -> None:
    with served_job(command, "--latency", "0.3") as job:
        ended = job.run("--concurrency", "2", "--max-duration", "1s")
        assert ended.code == 10
        assert ended.json["by_status"].keys() == {"succeeded", "pending"}
        assert job.run("--concurrency", "20").code == 0
        assert job.is_bought_once()


def test_two_runners(command: CommandLine) -> None:
    """G10: the second neither sends nor waits, unless it is told to wait."""
    with served_job(command, "--latency", "0.3") as job:
        first = job.start("--concurrency", "4")
        job.reach(4)
        first.send_signal(signal.SIGSTOP)  # it has the folder for as long as the others need to find out
        second = job.run()
        assert (second.code, second.json["exit_code"]) == (6, 6)
        assert "another run is working on out" in second.err
        assert command("retry", "out", "--parked", environ=WITH_CANARY).code == 6
        assert first.poll() is None
        first.send_signal(signal.SIGCONT)
        patient = job.run("--wait-lock", "2m")
        assert first.communicate(timeout=HANG_S)[0]
        assert (first.returncode, patient.code, patient.json["folder"]["requests_sent"]) == (0, 0, job.rows)
        assert job.is_bought_once()


# What was done to the folder between two runs


def alter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize(
    ("spoil", "told", "code"),
    [(Path.unlink, "missing", 7), (alter, "altered: its sha256 is not the recorded one", 0)],
)
def test_an_image_that_was_bought_is_not_bought_again(
    command: CommandLine, spoil: Callable[[Path], None], told: str, code: int
) -> None:
    """G3: whatever became of its file; `verify` tells that it is gone."""
    with served_job(command, "--latency", "0", rows=3) as job:
        assert job.run().code == 0
        spoil(command.cwd / "out" / command.results("out")[1]["file_name"])
        before = frozen_files(command.cwd / "out")
        assert job.run().code == code
        assert sum(job.sent().values()) == 3
        assert frozen_files(command.cwd / "out") == before
        seen = command("verify", "out", "--json")
        assert (seen.code, [problem["problem"] for problem in seen.json["problems"]]) == (7, [told])


def test_a_finished_folder_that_was_moved(command: CommandLine) -> None:
    """G9: its job file resumes it where it is now; no byte of images and results changes."""
    with served_job(command, "--latency", "0", rows=5) as job:
        assert job.run().code == 0
        (command.cwd / "archive").mkdir()
        place = (command.cwd / "out").rename(command.cwd / "archive" / "monday")
        images, job_file = frozen_files(place), place / "job.toml"
        ended = command("run", "archive/monday/job.toml", "--json", environ=WITH_CANARY)
        assert (ended.code, ended.json["out"], len(job.sent())) == (0, "archive/monday", 5)
        assert 'out = "archive/monday"' in job_file.read_text()
        changed = frozen_files(place)
        assert [name for name in images if images[name] != changed[name]] == ["job.toml"]
        assert not (command.cwd / "out").exists()
        assert sum(job.sent().values()) == 5
        assert command("verify", "archive/monday").code == 0
        assert command("status", "archive/monday", "--json").json["by_status"] == {"succeeded": 5}


def test_an_unfinished_folder_that_was_moved(command: CommandLine) -> None:
    with served_job(command, "--latency", "0.3", out="moved") as job:
        process = command.start(*job.arguments("--concurrency", "4"), "--out", "out", environ=WITH_CANARY)
        job.reach(4)
        process.send_signal(signal.SIGTERM)
        assert last_object(process)["exit_code"] == 143
        (command.cwd / "out").rename(command.cwd / "moved")
        assert command("run", "moved/job.toml", "--concurrency", "20", environ=WITH_CANARY).code == 0
        assert job.is_bought_once()
        assert not (command.cwd / "out").exists()


def test_a_copy_is_a_folder_of_its_own(command: CommandLine) -> None:
    with served_job(command, "--latency", "0", rows=3) as job:
        assert job.run().code == 0
        shutil.copytree(command.cwd / "out", command.cwd / "copy")
        assert command("run", "copy/job.toml", environ=WITH_CANARY).code == 0
        assert sum(job.sent().values()) == 3
        assert command("verify", "copy").code == 0


@pytest.mark.parametrize("simulated_first", [True, False])
def test_simulated_and_real_runs_do_not_mix(command: CommandLine, simulated_first: bool) -> None:
    with served_job(command, "--latency", "0", rows=3) as job:
        real = job.arguments()
        simulated = (
            "run",
            "prompts.csv",
            "--simulate",
            *AT_ONCE,
            "--size",
            "64x64",
            "--out",
            "out",
            "--json",
        )
        first, second = (simulated, real) if simulated_first else (real, simulated)
        assert command(*first, environ=WITH_CANARY).code == 0
        before, sent = frozen_files(command.cwd / "out"), sum(job.sent().values())
        refused = command(*second, environ=WITH_CANARY)
        assert refused.code == 2
        assert f"was made by a {'simulated' if simulated_first else 'real'} run" in refused.err
        assert (frozen_files(command.cwd / "out"), sum(job.sent().values())) == (before, sent)
        assert sent == (0 if simulated_first else 3)


def test_a_signal_while_the_results_are_written_does_not_lose_them(command: CommandLine) -> None:
    with served_job(command, "--latency", "0", rows=60_000) as job:
        process = job.start("--max-requests", "1")
        temporary = command.cwd / job.out / ".tmp"
        until(lambda: any(path.name.startswith("results") for path in temporary.glob("*")))
        process.send_signal(signal.SIGTERM)
        assert last_object(process)["exit_code"] == process.returncode == 8
        assert job.statuses() == {"succeeded": 1, "pending": job.rows - 1}
        assert command("verify", job.out).code == 0
