"""What a run says, as log lines."""

from __future__ import annotations

import json
import logging

import pytest

from runner.telemetry.log_lines import LogLines
from tests.support.commandline import AT_ONCE, CommandLine


def test_whole_lines_are_logged_and_blank_ones_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stream = LogLines()
    for text in ("start: ", "m.csv\n\n", "note: 100% done\nnote", ": more\n", "no end"):
        stream.write(text)
    assert [record.getMessage() for record in caplog.records] == [
        "start: m.csv",
        "note: 100% done",
        "note: more",
    ]


@pytest.mark.parametrize("progress", ["auto", "rich", "none"])
def test_all_that_a_run_says_on_stderr_is_json(command: CommandLine, progress: str) -> None:
    (command.cwd / "m.csv").write_text("prompt\na fox\n")
    ended = command(
        "run", "m.csv", "--out", "a", "--simulate", *AT_ONCE, "--log-format", "json", "--progress", progress
    )
    assert ended.code == 0
    said = [json.loads(line)["event"] for line in ended.err.splitlines()]
    assert any(line.startswith("done: 1/1") for line in said) == (progress != "none")
    assert all("\x1b" not in line for line in said)
