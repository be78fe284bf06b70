"""`imagemill status`: a folder with a run that goes on, was killed, never began; `--watch` until it is over."""

from __future__ import annotations

import re
import signal

import pytest

from tests.support.canary import WITH_CANARY
from tests.support.commandline import AT_ONCE, CommandLine, on_a_terminal
from tests.support.servedjob import HANG_S, served_job


def test_a_run_that_goes_on_has_no_exit_code_and_its_own_figures(command: CommandLine) -> None:
    with served_job(command, "--latency", "0", rows=2, stuck=2) as job:
        going = job.start("--concurrency", "2", "--drain", "0", "--price", "0.5")
        job.reach(2)
        told = command("status", "out", "--json").json
        going.send_signal(signal.SIGKILL)
        going.communicate(timeout=HANG_S)
        dead = command("status", "out", "--json").json
    assert (told["state"], told["exit_code"], told["finished"]) == ("running", None, None)
    assert told["next"] == "imagemill status out --watch"
    assert told["maybe_billed"] == 0
    assert (dead["state"], dead["exit_code"], dead["eta_s"]) == ("killed", None, None)
    assert dead["next"] == "imagemill run out/job.toml"
    assert (dead["maybe_billed"], dead["maybe_usd"]) == (2, 1.0)


def test_a_folder_that_was_never_run(command: CommandLine) -> None:
    (command.cwd / "rows.csv").write_text("prompt\na fox\n")
    assert command(
        "run", "rows.csv", "--out", "o", "--base-url", "http://127.0.0.1:9/v1", environ=WITH_CANARY
    ).code
    told = command("status", "o", "--json").json
    assert (told["state"], told["requests_sent"], told["cost_usd"]) == ("stopped", 0, 0)


def test_watching_ends_with_the_run(command: CommandLine) -> None:
    (command.cwd / "rows.csv").write_text("prompt\na fox\na hare\n")
    options = ("--simulate", "--set", "simulator.latency=2", "--concurrency", "1", "--out", "o", "-q")
    going = command.start("run", "rows.csv", *options)
    while not (command.cwd / "o/ledger.sqlite").exists():
        assert going.poll() is None
    watched = command("status", "o", "--watch", "--json")
    going.communicate(timeout=HANG_S)
    assert (watched.json["state"], watched.json["by_status"]) == ("finished", {"succeeded": 2})
    assert " of 2 images" in watched.err


@pytest.mark.parametrize("columns", [60, 100, 140])
def test_no_line_is_wider_than_the_terminal(command: CommandLine, columns: int) -> None:
    (command.cwd / "rows.csv").write_text("prompt\na fox\n[[refuse]] a hare\n")
    call = ("run", "rows.csv", "--simulate", "--out", "o", "-q", *AT_ONCE)
    assert command(*call).code == command(*call).code == 3
    for arguments in (("status", "o"), ("runs", "o"), ("history", "o"), ("ls",)):
        shown = on_a_terminal(*arguments, cwd=command.cwd, columns=columns)
        lines = re.sub("\x1b\\[[0-9;]*m", "", shown).splitlines()
        assert [line for line in lines if len(line) > columns] == []
        words = {word for line in lines for word in line.split()}
        assert "$0.0530" in words, shown  # money is not broken
