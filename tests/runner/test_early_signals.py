"""A signal before a run begins: it ends the command, which tells so, and nothing was sent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from runner.process.signals import ending_early
from runner.telemetry.notify import Teller
from runner.telemetry.prometheus import MetricsFile
from runner.workspace import lock
from schemas.errors import ExitCode, JobError
from tests.commandline import AT_ONCE, CommandLine
from tests.runner.heldkey import HeldKey
from tests.servedjob import HANG_S, last_object
from tests.waiting import until

TOLD = {
    signal.SIGINT: {"exit_code": 130, "exit_reason": "interrupted (Ctrl-C)"},
    signal.SIGTERM: {"exit_code": 143, "exit_reason": "terminated"},
}
FIX = {"fix": "the same command goes on from here"}
SIMULATED = ("--simulate", *AT_ONCE, "--size", "64x64", "--out", "out", "--progress", "none")


@pytest.fixture
def manifest(command: CommandLine) -> str:
    (command.cwd / "p.csv").write_text("prompt\na fox\n")
    return "p.csv"


def catches(process: subprocess.Popen[str], number: signal.Signals) -> bool:
    """Whether the process has a handler of its own for the signal."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    caught = next(line for line in lines if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("sent", TOLD)
@pytest.mark.parametrize("verb", ["run", "retry"])
def test_while_another_run_has_the_folder(
    command: CommandLine, manifest: str, verb: str, sent: signal.Signals
) -> None:
    run = ("run", manifest, *SIMULATED)
    assert command(*run).code == 0
    ledger = (command.cwd / "out/ledger.sqlite").read_bytes()
    arguments = run if verb == "run" else ("retry", "out")
    with lock.held(command.cwd / "out", wait_s=0):
        process = command.start(*arguments, "--wait-lock", "5m", "--json")
        until(lambda: catches(process, signal.SIGTERM))
        process.send_signal(sent)
        assert last_object(process) == TOLD[sent] | FIX
    assert process.returncode == TOLD[sent]["exit_code"]
    assert (command.cwd / "out/ledger.sqlite").read_bytes() == ledger


def test_who_waits_for_the_lock_leaves_the_metrics_to_its_holder(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    teller = Teller("p", metrics=MetricsFile(tmp_path / "m.prom", "p"))

    def refused() -> NoReturn:
        os.kill(os.getpid(), signal.SIGTERM)
        raise JobError("another run has it", exit_code=ExitCode.LOCKED)

    async def night() -> None:
        async with ending_early(wanted=True), lock.waited_for(refused, 60.0):
            pass

    with pytest.raises(JobError, match="terminated") as ended:
        asyncio.run(night())
    assert ended.value.exit_code is ExitCode.TERMINATED
    asyncio.run(teller.record(None, ended.value))
    assert not (tmp_path / "m.prom").exists()


@pytest.mark.parametrize("sent", TOLD)
def test_while_the_job_is_prepared(command: CommandLine, manifest: str, sent: signal.Signals) -> None:
    pytest.importorskip("prometheus_client")
    key = HeldKey(command.cwd)
    held = ("--base-url", "http://127.0.0.1:9/v1", *key.options, "--metrics-file", "m.prom", "--json")
    process = command.start("run", manifest, *held)
    until(lambda: key.is_asked_for())
    process.send_signal(sent)
    key.give()
    assert last_object(process) == TOLD[sent] | FIX
    assert process.returncode == TOLD[sent]["exit_code"]
    assert (
        f'imagemill_last_run_exit_code{{job="p"}} {TOLD[sent]["exit_code"]}.0'
        in (command.cwd / "m.prom").read_text()
    )
    assert not (command.cwd / "runs").exists()


def test_a_second_signal_waits_for_nothing(command: CommandLine, manifest: str) -> None:
    key = HeldKey(command.cwd)
    process = command.start("run", manifest, "--base-url", "http://127.0.0.1:9/v1", *key.options)
    until(lambda: key.is_asked_for())
    process.send_signal(signal.SIGTERM)
    until(lambda: not catches(process, signal.SIGTERM))
    process.send_signal(signal.SIGTERM)
    assert process.wait(HANG_S) == -signal.SIGTERM
    key.give()
    process.communicate(timeout=HANG_S)
