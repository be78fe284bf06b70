"""The terminal of a run goes away: the run drains as at SIGTERM, and writes to nobody."""

from __future__ import annotations

import os
import pty
import signal
import time
from collections.abc import Sequence
from contextlib import suppress

from tests.support.canary import WITH_CANARY
from tests.support.commandline import COMMAND, CommandLine
from tests.support.servedjob import ServedJob, served_job
from tests.support.waiting import until


def on_a_terminal(job: ServedJob, arguments: Sequence[str], *before: str) -> tuple[int, int]:
    """Start a command as the leader of a session on a terminal of its own; process id, and our end of the terminal."""
    environ = job.command.environ(**WITH_CANARY, COLUMNS="100") | {"TERM": "xterm"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(job.command.cwd)
        words = [*before, COMMAND, *arguments]
        os.execvpe(words[0], words, environ)
    return pid, terminal


def ended(pid: int) -> int:
    """The exit status of a process, as a shell has it."""
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def reach(job: ServedJob, terminal: int, requests: int) -> None:
    """Read what the terminal shows until the service has got so many requests."""
    os.set_blocking(terminal, False)

    def reached() -> bool:
        with suppress(OSError):  # nothing to read, or nobody who would write
            os.read(terminal, 65536)
        return int(job.service.stats()["requests"]) >= requests

    until(reached)


def shown(job: ServedJob, *options: str) -> tuple[str, ...]:
    """A run that draws a bar and prints figures for people."""
    return tuple(word for word in job.arguments(*options) if word not in ("-q", "--json"))


def test_an_ssh_session_drops(command: CommandLine) -> None:
    """The kernel says so, and every write to the terminal fails from then on."""
    with served_job(command, "--latency", "0.6") as job:
        pid, terminal = on_a_terminal(job, shown(job, "--concurrency", "4"))
        reach(job, terminal, 6)
        os.close(terminal)
        assert ended(pid) == 129
        requests = len(job.sent())
        assert job.statuses() == {"succeeded": requests, "pending": job.rows - requests}
        assert command("status", "out", "--json").json["exit_reason"] == "hung up (the terminal is gone)"
        assert job.run().code == 0
        assert job.is_bought_once()


def test_the_shell_and_the_kernel_both_say_so(command: CommandLine) -> None:
    with served_job(command, "--latency", "0.6") as job:
        process = job.start("--concurrency", "4")
        job.reach(6)
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        process.communicate()
        assert process.returncode == 129
        requests = len(job.sent())
        assert job.statuses() == {"succeeded": requests, "pending": job.rows - requests}


def test_under_nohup_a_run_goes_on(command: CommandLine) -> None:
    with served_job(command, "--latency", "0.2") as job:
        pid, terminal = on_a_terminal(job, shown(job, "--concurrency", "10"), "nohup")
        reach(job, terminal, 6)
        os.close(terminal)
        assert ended(pid) == 0
        assert job.is_bought_once()
