"""Ctrl-Z, `docker pause`, a scheduler that suspends: a run stands still for longer than its deadlines, and loses nothing."""

from __future__ import annotations

import signal
import subprocess
import time

from tests.support.commandline import CommandLine
from tests.support.servedjob import ServedJob, last_object, served_job
from tests.support.waiting import until

STOP_S = 6.0
"""Longer than each deadline here, with what the run has waited before."""


def stand_still(process: subprocess.Popen[str], job: ServedJob) -> None:
    """Stop a process until long after the service has answered."""
    process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    until(lambda: job.service.stats()["in_flight"] == 0)
    until(lambda: time.monotonic() - stopped > STOP_S)
    process.send_signal(signal.SIGCONT)


def test_answers_that_lie_in_their_sockets_are_read(command: CommandLine) -> None:
    with served_job(command, "--latency", "1.5", rows=6) as job:
        process = job.start("--timeout", "5", "--concurrency", "6", "--size", "1024x1024")
        job.reach(6)
        stand_still(process, job)
        summary = last_object(process)
        assert (process.returncode, summary["by_status"]) == (0, {"succeeded": 6})
        assert summary["duration_s"] > STOP_S
        assert job.is_bought_once()


def test_tasks_have_as_long_as_before(command: CommandLine) -> None:
    with served_job(command, "--latency", "1.5", "--dialect", "evolink", rows=4) as job:
        patience = ("--set", "endpoint.task_timeout=5", "--set", "endpoint.poll_every=0.2")
        process = job.start("--concurrency", "4", *patience)
        until(lambda: int(job.service.stats()["polls"]) >= 1)
        stand_still(process, job)
        assert last_object(process)["by_status"] == {"succeeded": 4}
        assert job.service.stats()["tasks"]["submitted"] == 4


def test_the_drain_lasts_as_long_as_before(command: CommandLine) -> None:
    with served_job(command, "--latency", "2", rows=6) as job:
        process = job.start("--concurrency", "3", "--drain", "5s")
        job.reach(3)
        process.send_signal(signal.SIGTERM)
        stand_still(process, job)
        assert last_object(process)["by_status"] == {"succeeded": 3, "pending": 3}
        assert process.returncode == 143


def test_a_longest_duration_is_a_promise_about_the_clock_on_the_wall(command: CommandLine) -> None:
    with served_job(command, "--latency", "1.5", rows=40) as job:
        process = job.start("--concurrency", "2", "--max-duration", "5s")
        job.reach(2)
        stand_still(process, job)
        summary = last_object(process)
        assert process.returncode == 10
        assert summary["by_status"].keys() == {"succeeded", "pending"}
        assert summary["requests_sent"] < 40
