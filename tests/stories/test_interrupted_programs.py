"""Ctrl-C in a Python program or a cell of a notebook: what is in flight arrives, the table is left, and twice is enough."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine
from tests.support.hanging import MARK
from tests.support.servedjob import HANG_S, ServedJob, served_job
from tests.support.waiting import until

START = """
import asyncio, signal, sys
import runner
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

def options(looks=print):
    concurrency = int(sys.argv[2])
    return dict(out="out", base_url=sys.argv[1], size="64x64", concurrency=concurrency, on_progress=looks)
"""
PROGRAMS = {
    "a script": 'runner.run("prompts.csv", **options())',
    "a cell of a notebook": """
async def cell():
    runner.run("prompts.csv", **options())
asyncio.new_event_loop().run_until_complete(cell())
""",
    "a program with an event loop": 'asyncio.run(runner.run_async("prompts.csv", **options()))',
}
SOON_S = 10.0
"""Long for a busy machine, and short beside the drain and the time-out."""


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    """Runs the job in `out`; its arguments are the base URL and the concurrency."""
    return START + PROGRAMS[request.param]


def start(job: ServedJob, program: str, concurrency: int, *before: str) -> subprocess.Popen[str]:
    """Start a program. before: what runs it, instead of Python alone."""
    return subprocess.Popen(
        [sys.executable, *before, "-c", program, job.service.base_url, str(concurrency)],
        cwd=job.command.cwd,
        env=job.command.environ(
            PYTHONPATH=str(Path(__file__).parents[2]), PYTHONUNBUFFERED="1", **WITH_CANARY
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end_of(process: subprocess.Popen[str], timeout_s: float) -> str:
    """What it was that ended a program."""
    message = process.communicate(timeout=timeout_s)[1]
    assert process.returncode == -signal.SIGINT, message
    return message.splitlines()[-1]


def test_one_interrupt_lets_what_is_in_flight_arrive(command: CommandLine, program: str) -> None:
    with served_job(command, "--latency", "0.4") as job:
        process = start(job, program, 4)
        job.reach(6)
        process.send_signal(signal.SIGINT)
        assert end_of(process, HANG_S) == "KeyboardInterrupt"
        requests = len(job.sent())
        assert job.statuses() == {"succeeded": requests, "pending": job.rows - requests}
        assert requests < job.rows
        told = command("status", "out", "--json").json
        assert (told["exit_code"], told["exit_reason"]) == (130, "interrupted")
        assert job.run().code == 0
        assert job.is_bought_once()


def test_two_interrupts_wait_for_no_answer(command: CommandLine, program: str) -> None:
    with served_job(command, "--latency", "0", stuck=4) as job:
        process = start(job, program, 4)
        job.reach(4)
        process.send_signal(signal.SIGINT)
        until(lambda: drains(process))
        process.send_signal(signal.SIGINT)
        assert end_of(process, SOON_S) == "KeyboardInterrupt"
        assert job.statuses() == {"parked": 4, "pending": job.rows - 4}
        assert job.run().code == 3
        assert set(job.sent().values()) == {1}


def drains(process: subprocess.Popen[str]) -> bool:
    """Whether the program was shown that its run drains."""
    assert process.stdout is not None
    return "draining" in process.stdout.readline()


@pytest.mark.parametrize("moment", ["check, before", "commit reported"])
def test_two_interrupts_end_a_program_whose_disk_hangs(
    command: CommandLine, program: str, moment: str
) -> None:
    with served_job(command, "--latency", "0", rows=12) as job:
        process = start(job, program, 3, "-m", "tests.support.hanging", moment, "4")
        until((command.cwd / MARK).exists)
        process.send_signal(signal.SIGINT)
        until(lambda: drains(process))
        process.send_signal(signal.SIGINT)
        assert end_of(process, SOON_S) == "KeyboardInterrupt"
        job.run()
        assert job.statuses().keys() <= {"succeeded", "parked"}
        assert set(job.sent().values()) == {1}
