"""Commands whose streams are closed, full or left by their reader: what is done is done, and no word is an error."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commandline import AT_ONCE, COMMAND, CommandLine, Ended

SIMULATED = ("run", "p.csv", "--simulate", *AT_ONCE, "--size", "64x64", "--out", "new")
ALL_CLOSED = "<&- >&- 2>&-"
LEFT = "2>&1 | true"
ANYHOW = (">&-", "2>&-", ALL_CLOSED, "| true", LEFT, ">/dev/full", "2>/dev/full")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a manifest and a finished run of it in `out`."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "p.csv").write_text("id,prompt\n1,a fox\n2,an owl\n")
    assert CommandLine(folder)(*SIMULATED[:-1], "out").code == 0
    yield folder


def under(redirection: str, folder: Path, *arguments: str) -> Ended:
    """The command under a shell's redirection; its own exit code."""
    script = f'{{ "$@"; echo $? >code; }} {redirection}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", COMMAND, *arguments],
        cwd=folder,
        env=CommandLine(folder).environ(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ended(int((folder / "code").read_text()), done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("redirection", "options"),
    [
        *((each, ()) for each in ANYHOW),
        *((each, ("--json", "-q")) for each in (">&-", "2>&-", LEFT, ">/dev/full")),
    ],
)
def test_a_run_is_done_and_says_so_by_its_exit_code(
    finished: Path, tmp_path: Path, redirection: str, options: tuple[str, ...]
) -> None:
    shutil.copy(finished / "p.csv", tmp_path)
    ended = under(redirection, tmp_path, *SIMULATED, *options)
    assert ended.code == 0, ended.err
    assert "error: " not in ended.err + ended.out
    assert len(CommandLine(tmp_path).results("new")) == 2


COMMANDS = {
    "plan": ("plan", "p.csv", "--simulate", "--out", "out"),
    "status": ("status", "out", "--json"),
    "verify": ("verify", "out"),
    "history": ("history", "out"),
    "runs": ("runs", "out"),
    "retry": ("retry", "out"),
    "help": ("help", "resume"),
    "options": ("run", "--help"),
    "schema": ("schema", "job"),
}


@pytest.mark.parametrize("redirection", [ALL_CLOSED, LEFT])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_no_command_needs_somebody_who_reads(
    finished: Path, command: tuple[str, ...], redirection: str
) -> None:
    ended = under(redirection, finished, *command)
    assert (ended.code, "error: " in ended.err + ended.out) == (0, False), ended.err


@pytest.mark.parametrize("name", ["status", "help", "options", "schema"])
def test_results_that_a_full_disk_did_not_take_are_missed(finished: Path, name: str) -> None:
    """They were all that was asked for. A retry, as a run, has done its work."""
    ended = under(">/dev/full", finished, *COMMANDS[name])
    assert ended.code == 9
    assert ended.err.startswith("error: stdout cannot be written: No space left on device\nfix: ")


def test_a_mistake_is_one_all_the_same(finished: Path) -> None:
    for redirection in (ALL_CLOSED, LEFT, ">/dev/full"):
        assert under(redirection, finished, "status", "nowhere").code == 2
        assert under(redirection, finished, "run", "--rpn", "6").code == 2
