"""G12: two Ctrl-C end a run within two seconds, whatever hangs. A busy machine gets ten here.

An image whose check takes minutes, and a check that is stopped, are in `test_images_that_take_long.py`.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from runner.ledger.reader import open_reader
from schemas.errors import JobError
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine
from tests.support.hanging import MARK, RESOLVING
from tests.support.processes import children
from tests.support.servedjob import ServedJob, served_job
from tests.support.waiting import until

SOON_S = 10.0
LONG_S = "1h"
"""What a run would wait for by itself."""


def end(process: subprocess.Popen[str]) -> None:
    """Two Ctrl-C, and the end of the process soon after."""
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)  # the kernel merges equal signals that nobody has taken
    process.send_signal(signal.SIGINT)
    process.wait(SOON_S)


def hang(job: ServedJob, moment: str, count: int, *options: str) -> subprocess.Popen[str]:
    """Start a run that hangs at this moment, and wait until it does."""
    arguments = (*job.arguments(*options), "--drain", LONG_S)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.hanging", moment, str(count), *arguments],
        cwd=job.command.cwd,
        env=job.command.environ(PYTHONPATH=str(Path(__file__).parents[2]), **WITH_CANARY),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until((job.command.cwd / MARK).exists)
    return process


DISK = [
    ("clearing, before", 1),
    ("adopting, before", 1),
    ("permit granted", 3),
    ("record queued", 4),
    ("answer received", 2),
    ("check, before", 2),
    ("check, after", 2),
    ("commit reported", 5),
    ("concluding", 1),
]


@pytest.mark.parametrize(("moment", "count"), DISK)
def test_while_the_disk_hangs(command: CommandLine, moment: str, count: int) -> None:
    """The next run goes on: no request is sent a second time."""
    with served_job(command, "--latency", "0.05", rows=12) as job:
        process = hang(job, moment, count, "--concurrency", "3")
        end(process)
        output, message = process.communicate()
        assert process.returncode == 130, message
        assert output.splitlines()[-1].startswith("{")
        assert '"exit_code": 130' in output
        sent = job.sent()
        after = job.run()
        statuses = job.statuses()
        assert statuses.keys() <= {"succeeded", "parked"}
        assert statuses["succeeded"] >= 12 - 3
        assert set(job.sent().values()) == {1}
        assert sent.keys() <= job.sent().keys()
        assert after.json["folder"]["maybe_billed"] == statuses["parked"]


def test_an_image_that_hangs_in_the_disk_costs_no_other_its_row(command: CommandLine) -> None:
    """The run still writes its table; the image that hangs is fetched again by the next one, where the service has it."""
    with served_job(command, "--latency", "0", rows=6) as job:
        process = hang(job, "check, before", 3, "--concurrency", "1")
        end(process)
        output = process.communicate()[0]
        assert process.returncode == 130
        assert job.statuses() == {"succeeded": 2, "pending": 4}, output
        assert job.run().code == 0
        assert job.is_bought_once()


def test_while_a_name_is_resolved(command: CommandLine) -> None:
    with served_job(command, rows=3) as job:
        there = ("--base-url", "http://slow.example/v1", "--allow-http", "--give-up", LONG_S)
        process = hang(job, RESOLVING, 1, *there)
        end(process)
        process.communicate()
        assert process.returncode == 130
        assert job.statuses() == {"pending": 3}


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def origin(server: socket.socket) -> str:
    """Its host and port, as in a URL."""
    return f"127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def started(command: CommandLine, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = command.start(*arguments, environ=WITH_CANARY)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


SIMULATED = ("--simulate", "--set", "simulator.latency=0", "--size", "64x64", "--out", "out", "-q", "--json")


def test_while_a_ping_and_a_message_wait_for_their_answer(
    command: CommandLine, silent: socket.socket
) -> None:
    """The first Ctrl-C is enough: the run is over, and its exit code stands."""
    pytest.importorskip("apprise")
    (command.cwd / "p.csv").write_text("prompt\na fox\n")
    told = ("--ping-url", f"http://{origin(silent)}/ping", "--notify", f"json://{origin(silent)}/")
    with started(command, "run", "p.csv", *SIMULATED, *told) as process:
        until((command.cwd / "out/summary.json").exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(SOON_S) == 0
        assert process.stdout is not None
        assert '"by_status": {"succeeded": 1}' in process.stdout.read()


def test_while_the_manifest_comes_from_a_store_that_is_silent(
    command: CommandLine, silent: socket.socket
) -> None:
    pytest.importorskip("obstore")
    manifest = f"http://{origin(silent)}/p.csv"
    with started(command, "run", manifest, *SIMULATED) as process:
        connection, _ = silent.accept()
        with connection:
            end(process)
        assert process.returncode == 130


def test_while_the_simulator_is_frozen(command: CommandLine) -> None:
    (command.cwd / "p.csv").write_text("prompt\na fox\nan owl\n")
    slow = ("--set", "simulator.latency=3600", "--drain", LONG_S)
    with started(command, "run", "p.csv", *SIMULATED, *slow) as process:
        until(lambda: attempts(command.cwd / "out") == 2)
        simulator = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        os.kill(simulator, signal.SIGSTOP)
        end(process)
        assert process.returncode == 130
        until(lambda: not Path(f"/proc/{simulator}").exists())


def save_process(run: int) -> int | None:
    """The process that saves for this run, once there is one."""
    for child in children(run):
        try:
            if b"save_process" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
        except OSError:  # it has just ended
            continue
    return None


@contextmanager
def saving(command: CommandLine, rows: int) -> Iterator[tuple[ServedJob, subprocess.Popen[str], int]]:
    """A run so quick that a second process saves for it, and that process."""
    with served_job(command, "--latency", "0", rows=rows) as job:
        run = job.start("--concurrency", "200", "--drain", LONG_S)
        until(lambda: save_process(run.pid) is not None or run.poll() is not None)
        saver = save_process(run.pid)
        assert saver is not None
        try:
            yield job, run, saver
        finally:
            run.kill()
            run.communicate()


def test_while_the_process_that_saves_is_frozen(command: CommandLine) -> None:
    """What it has not saved is saved by threads, or parked; it does not outlive the run."""
    with saving(command, 20_000) as (job, run, saver):
        os.kill(saver, signal.SIGSTOP)
        end(run)
        assert run.returncode == 130
        until(lambda: not Path(f"/proc/{saver}").exists())
        assert set(job.sent().values()) == {1}
        assert command("verify", job.out).code == 0


@pytest.mark.parametrize("frozen", [True, False])
def test_the_process_that_saves_ends_with_the_run_however_that_ends(
    command: CommandLine, frozen: bool
) -> None:
    with saving(command, 20_000) as (_, run, saver):
        if frozen:
            os.kill(saver, signal.SIGSTOP)
        run.kill()
        run.wait()
        if frozen:
            os.kill(saver, signal.SIGCONT)  # nobody can end it before; then it ends by itself
        until(lambda: not Path(f"/proc/{saver}").exists())


def attempts(out: Path) -> int:
    """How many the folder's ledger knows of."""
    try:
        with closing(open_reader(out)) as ledger:
            return int(ledger.execute("SELECT count(*) FROM attempts").fetchone()[0])
    except (JobError, sqlite3.Error):
        return 0


def test_while_the_results_table_of_a_large_folder_is_written(command: CommandLine) -> None:
    """The next command writes it."""
    with served_job(command, "--latency", "0", rows=40_000) as job:
        process = job.start("--max-requests", "1")
        temporary = command.cwd / job.out / ".tmp"
        until(lambda: any(path.name.startswith("results") for path in temporary.glob("*")))
        end(process)
        process.communicate()
        assert process.returncode in (8, 130)
        assert job.run("--max-requests", "1").code == 8
        assert job.statuses() == {"succeeded": 1, "pending": job.rows - 1}
