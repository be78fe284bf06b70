"""Signals before a run begins: they end the command, which tells so, and nothing was sent. And what hangs, is left."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from runner.app.listeners import Listeners
from runner.process.signals import cancel_on_signals, taken, until_signalled
from runner.telemetry.prometheus import MetricsFile
from runner.workspace import lock
from schemas.errors import ExitCode, JobError
from tests.support.commandline import AT_ONCE, CommandLine
from tests.support.heldkey import HeldKey
from tests.support.servedjob import HANG_S, last_object
from tests.support.waiting import until

TOLD = {
    signal.SIGINT: {"exit_code": 130, "exit_reason": "interrupted (Ctrl-C)"},
    signal.SIGTERM: {"exit_code": 143, "exit_reason": "terminated"},
    signal.SIGHUP: {"exit_code": 129, "exit_reason": "hung up (the terminal is gone)"},
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
    with lock.folder_lock(command.cwd / "out", wait_s=0):
        process = command.start(*arguments, "--wait-lock", "5m", "--json")
        until(lambda: catches(process, signal.SIGTERM))
        process.send_signal(sent)
        assert last_object(process).items() >= (TOLD[sent] | FIX).items()
    assert process.returncode == TOLD[sent]["exit_code"]
    assert (command.cwd / "out/ledger.sqlite").read_bytes() == ledger


def test_who_waits_for_the_lock_leaves_the_metrics_to_its_holder(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    metrics = MetricsFile(tmp_path / "m.prom", "p")

    def refused() -> NoReturn:
        os.kill(os.getpid(), signal.SIGTERM)
        raise JobError("another run has it", exit_code=ExitCode.LOCKED)

    async def night() -> None:
        async with (
            Listeners([metrics]),
            cancel_on_signals(enabled=True),
            lock.wait_for_lock(refused, 60.0),
        ):
            pass

    with pytest.raises(JobError, match="terminated") as ended:
        asyncio.run(night())
    assert ended.value.exit_code is ExitCode.TERMINATED
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
    assert last_object(process).items() >= (TOLD[sent] | FIX).items()
    assert process.returncode == TOLD[sent]["exit_code"]
    assert (
        f'imagemill_last_run_exit_code{{job="p"}} {TOLD[sent]["exit_code"]}.0'
        in (command.cwd / "m.prom").read_text()
    )
    assert not (command.cwd / "runs").exists()


def test_a_signal_does_not_wait_for_what_nobody_needs_any_more(command: CommandLine, manifest: str) -> None:
    """The key is never given."""
    key = HeldKey(command.cwd)
    process = command.start("run", manifest, "--base-url", "http://127.0.0.1:9/v1", *key.options, "--json")
    until(lambda: key.is_asked_for())
    process.send_signal(signal.SIGTERM)
    assert last_object(process).items() >= (TOLD[signal.SIGTERM] | FIX).items()
    assert process.returncode == 143
    key.give()


# The event loop itself hangs, as in a disk

HANGS = """
import os, sys
from runner.process.event_loop import run
from runner.process.signals import {block}, taken
from runner.process.streams import install

async def main():
    async with {block}(enabled=True):
        print("ready", flush=True)
        os.read(os.pipe()[0], 1)

install()
with taken(lambda code, text: print(int(code), text, flush=True), leave_s=0.05):
    run(main())
"""


@contextmanager
def hanging(block: str = "cancel_on_signals", *before: str) -> Iterator[subprocess.Popen[str]]:
    """A command whose event loop hangs inside such a block. before: what starts it."""
    command = [*before, sys.executable, "-c", HANGS.format(block=block)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=HANG_S)


@pytest.mark.parametrize("block", ["cancel_on_signals", "until_signalled"])
@pytest.mark.parametrize(
    ("first", "second"), [("SIGINT", "SIGINT"), ("SIGTERM", "SIGINT"), ("SIGHUP", "SIGTERM")]
)
def test_the_second_signal_ends_a_process_that_hangs(block: str, first: str, second: str) -> None:
    with hanging(block) as process:
        process.send_signal(signal.Signals[first])
        time.sleep(0.05)  # the kernel merges equal signals that nobody has taken
        assert process.poll() is None
        process.send_signal(signal.Signals[second])
        output = process.communicate(timeout=HANG_S)[0]
    told = TOLD[signal.Signals[first]]
    assert output == f"{told['exit_code']} {told['exit_reason']}\n"
    assert process.returncode == told["exit_code"]


def test_last_words_that_nobody_reads_do_not_hold_it_up() -> None:
    with hanging() as process:
        assert process.stdout is not None
        size = fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ)
        full = os.open(f"/proc/{process.pid}/fd/1", os.O_WRONLY)
        os.write(full, b"x" * size)
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG_S) == 130
        os.close(full)


# What a signal does, seen from inside


def heard(*sent: signal.Signals, pause_s: float = 0.01) -> list[tuple[signal.Signals, bool]]:
    """What a reaction is told of these signals, which this process sends itself."""
    told: list[tuple[signal.Signals, bool]] = []

    async def main() -> None:
        with taken() as inbox, inbox.reacting(lambda number, repeated: told.append((number, repeated))):
            for number in sent:
                os.kill(os.getpid(), number)
                await asyncio.sleep(pause_s)
            await asyncio.sleep(pause_s)

    asyncio.run(main())
    return told


def test_a_hangup_is_never_the_second_signal() -> None:
    """The shell and the kernel both send it, and whoever stops a service may send it along."""
    assert heard(signal.SIGHUP, signal.SIGHUP, signal.SIGHUP) == [(signal.SIGHUP, False)]
    assert heard(signal.SIGTERM, signal.SIGHUP) == [(signal.SIGTERM, False)]
    assert heard(signal.SIGHUP, signal.SIGINT) == [(signal.SIGHUP, False), (signal.SIGINT, True)]


def test_what_was_ignored_at_the_start_stays_so() -> None:
    """`nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert heard(signal.SIGHUP, signal.SIGTERM) == [(signal.SIGTERM, False)]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in TOLD]
    with taken() as outer:
        assert [signal.getsignal(number) for number in TOLD] != before
        with taken() as inner:
            assert inner is outer
        assert [signal.getsignal(number) for number in TOLD] != before
    assert [signal.getsignal(number) for number in TOLD] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_signal_that_nobody_heard_is_the_next_ones() -> None:
    told: list[signal.Signals] = []

    async def main() -> None:
        with taken() as inbox:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.to_thread(until, lambda: bool(inbox._unheard))
            with inbox.reacting(lambda number, _repeated: told.append(number)):
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    asyncio.run(main())
    assert told == [signal.SIGTERM]


def test_polite_waiting_ends_at_a_signal_without_an_error() -> None:
    async def main() -> str:
        async with until_signalled(enabled=True):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)
        return "goes on"

    assert asyncio.run(main()) == "goes on"


def test_a_cancellation_that_is_no_signals_is_passed_on() -> None:
    async def main() -> None:
        async with until_signalled(enabled=True):
            await asyncio.get_running_loop().create_future()

    async def cancelling() -> None:
        waiting = asyncio.create_task(main())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancelling())
