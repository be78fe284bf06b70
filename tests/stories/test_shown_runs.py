"""What a user sees of whole runs: what is made, how far it is, why it waits, how it is stopped, and which money is real."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import runner
from schemas.reports import Progress
from tests.support.canary import WITH_CANARY
from tests.support.commandline import AT_ONCE, CommandLine, Service
from tests.support.servedjob import served_job

ROWS = 3_000


def manifest(command: CommandLine, rows: int = ROWS) -> Path:
    path = command.cwd / "m.csv"
    path.write_text("id,prompt\n" + "".join(f"r{row},picture {row}\n" for row in range(rows)))
    return path


def line_with(process: subprocess.Popen[str], text: str) -> str:
    """The next line of its output that holds this text."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line.rstrip()
    pytest.fail(f"it ended without {text!r}")


def test_ctrl_c_says_what_is_awaited_and_a_second_one_what_was_given_up(command: CommandLine) -> None:
    with served_job(command, "--latency", "0", rows=9, stuck=3) as job:
        arguments = (each for each in job.arguments("--concurrency", "3") if each not in ("-q", "--json"))
        process = command.start(*arguments, environ=WITH_CANARY)
        job.reach(3)
        line_with(process, "start: ")
        process.send_signal(signal.SIGINT)
        assert line_with(process, "stopping") == (
            "stopping (Ctrl-C): waiting up to 2 min for 3 answers in flight; "
            "Ctrl-C again gives them up (they may be paid for)"
        )
        process.send_signal(signal.SIGINT)
        closing = line_with(process, "stopped: ")
        assert re.fullmatch(
            r"stopped: 3/9 images in [\d.]+ s  3 parked  3 of these given up in flight( .*)?", closing
        )
        process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_budget_that_is_reached_says_what_is_still_awaited(command: CommandLine) -> None:
    with served_job(command, "--latency", "3", rows=9) as job:
        options = ("--concurrency", "3", "--price", "0.1", "--max-requests", "3")
        arguments = (each for each in job.arguments(*options) if each not in ("-q", "--json"))
        ended = command(*arguments, environ=WITH_CANARY)
    assert ended.code == 8
    assert "stopped: 3/9 images" in ended.err


def test_a_host_that_is_not_there_is_named_with_its_cause_at_once(command: CommandLine) -> None:
    manifest(command, 3)
    options = ("--base-url", "http://127.0.0.1:9/v1", "--set", "run.first_contact=12s", "--out", "out")
    ended = command("run", "m.csv", *options, environ=WITH_CANARY)
    assert ended.code == 5
    waits = [line for line in ended.err.splitlines() if "cannot connect" in line and "running" in line]
    assert re.search(r"cannot connect \(Connection refused\); next try in \d s", waits[0])
    assert "the service says" not in "".join(waits)


def test_a_busy_service_is_told_as_such(command: CommandLine) -> None:
    (command.cwd / "m.csv").write_text("prompt\nfox\nowl\n")
    (command.cwd / "busy.toml").write_text(
        '[[fault]]\nkind = "rate_limit"\nretry_after = 3\nmatch = "fox"\ntimes = 1\n'
    )
    with Service(command, "--scenario", "busy.toml", "--latency", "0") as service:
        ended = command("run", "m.csv", "--base-url", service.base_url, environ=WITH_CANARY)
    assert ended.code == 0
    assert re.search(r"service busy \(429\); next try in [23]", ended.err)


def test_a_log_begins_with_what_is_made_from_where_to_where_and_a_resume_with_what_is_there(
    command: CommandLine,
) -> None:
    manifest(command, 12)
    run = ("run", "m.csv", "--simulate", *AT_ONCE, "--out", "out")
    first = command(*run, "--max-requests", "5").err.splitlines()
    assert first[0].startswith("service  simulated (in place of dieyuyun), model ")
    assert first[1] == "start: m.csv -> out: 12 images to make"
    assert re.fullmatch(r"stopped: 5/12 images in [\d.]+ m?s?  ~\$[\d.]+ simulated", first[-1])
    again = command(*run).err.splitlines()
    assert again[1] == "start: m.csv -> out: 7 of 12 images to make (5 done earlier)"
    assert again[-1].startswith("done: 12/12 images in ")
    assert command(*run).err.splitlines()[-1] == "nothing to send: 12/12 images done"


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({}, ROWS),
        ({"limit": 2_000}, 2_000),
        ({"sample": 1_000}, 1_000),
        ({"n": 2}, 2 * ROWS),
    ],
)
def test_the_total_is_known_before_a_tenth_is_done(
    command: CommandLine, options: Mapping[str, Any], total: int
) -> None:
    path = manifest(command)
    looks: list[Progress] = []
    runner.run(
        str(path),
        out=str(command.cwd / "out"),
        simulate=True,
        size="64x64",
        max_requests=100,
        on_progress=looks.append,
        set={"simulator.latency": 0.5},
        **options,
    )
    first = next(look for look in looks if look.total_known)
    assert (first.total_images, first.simulated) == (total, True)
    assert first.settled_images < total / 10
    assert looks[-1].total_images == total
    assert (first.projected_usd is not None and first.eta_s is None) or first.eta_s != 0
    last = looks[-1]
    assert last.run_done_images == last.done_images and last.cost_usd == last.folder_cost_usd


def test_figures_of_this_run_and_of_the_folder_are_told_apart(command: CommandLine) -> None:
    path = manifest(command, 20)
    looks: list[Progress] = []
    for most in (8, 20):
        looks.clear()
        runner.run(
            str(path),
            out=str(command.cwd / "out"),
            simulate=True,
            price=0.1,
            max_requests=most,
            on_progress=looks.append,
            set={"simulator.latency": 0},
        )
    last = looks[-1]
    assert (last.done_images, last.run_done_images, last.requests_sent) == (20, 12, 12)
    assert last.cost_usd == pytest.approx(1.2)
    assert last.folder_cost_usd == pytest.approx(2.0)
    assert last.percent == 100


def test_how_one_command_showed_itself_is_not_how_the_next_one_does(command: CommandLine) -> None:
    manifest(command, 2)
    options = ("--progress", "none", "--log-format", "json", "--wait-lock", "1m")
    more = ("--deadline", "23:59", "--max-duration", "5h", "--drain", "7s")
    first = command("run", "m.csv", "--simulate", *AT_ONCE, "--out", "out", *options, *more)
    assert (first.code, first.err) == (0, "")
    kept = (command.cwd / "out" / "job.toml").read_text()
    assert "drain = 7" in kept
    for word in ("progress", "log_format", "wait_lock", "deadline", "max_duration"):
        assert word not in kept
    assert "nothing to send: 2/2 images done" in command("run", "out/job.toml").err
