"""What a Python program shows of a run by itself: a bar on a terminal, nothing in a pipe, and what it is told to."""

from __future__ import annotations

import os
import pty
import sys

import pytest

from tests.support.commandline import CommandLine

CODE = """
import runner
runner.run(["a fox"], out="o", simulate=True, set={{"simulator.latency": 0}}, {options})
print("over")
"""


def on_a_terminal(command: CommandLine, code: str) -> str:
    """What Python writes to a terminal that is its stdout and its stderr."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(command.cwd)
        os.execve(sys.executable, [sys.executable, "-c", code], command.environ(TERM="xterm", COLUMNS="100"))
    shown = b""
    try:
        while chunk := os.read(descriptor, 65_536):
            shown += chunk
    except OSError:  # it has ended
        pass
    os.close(descriptor)
    os.waitpid(pid, 0)
    return shown.decode()


def test_a_bar_on_a_terminal(command: CommandLine) -> None:
    shown = on_a_terminal(command, CODE.format(options=""))
    assert "1/1 image" in shown and shown.rstrip().endswith("over")


@pytest.mark.parametrize("options", ['progress="none"', "on_progress=lambda look: None"])
def test_none_where_none_is_wanted(command: CommandLine, options: str) -> None:
    assert on_a_terminal(command, CODE.format(options=options)).split() == ["over"]


def test_nothing_in_a_pipe_unless_it_is_asked_for(command: CommandLine) -> None:
    silent = command("-c", CODE.format(options=""), program=sys.executable)
    assert (silent.code, silent.out, silent.err) == (0, "over\n", "")
    told = command("-c", CODE.format(options='progress="plain"'), program=sys.executable)
    assert (told.code, told.out) == (0, "over\n")
    assert "nothing to send: 1/1 image done" in told.err
