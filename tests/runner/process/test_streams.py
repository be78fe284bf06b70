"""Standard streams that hold: closed ones, readers that leave, full disks, terminals that hang up."""

from __future__ import annotations

import errno
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runner.process.streams import Outlet
from tests.support.waiting import until


def program(text: str) -> list[str]:
    """Python that installs our streams first."""
    return [
        sys.executable,
        "-c",
        f"import sys\nfrom runner.process.streams import install\ninstall()\n{text}",
    ]


def shell(redirections: str, text: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run such a program under redirections of the shell."""
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirections}', "sh", *program(text)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SPEAKS = """
print("results", flush=True)
print("progress", file=sys.stderr, flush=True)
from runner.process.streams import lost_output
import os
os.write(9, repr(lost_output()).encode())
"""


@pytest.mark.parametrize(
    ("redirections", "lost"),
    [
        (">&- 2>&-", "None"),
        ("<&- >&- 2>&-", "None"),
        (">/dev/full 2>/dev/full", "OSError(28, 'No space left on device')"),
        ("2>&1 | true", "None"),
        ("", "None"),
    ],
)
def test_no_write_fails_and_only_what_somebody_wanted_is_lost(
    tmp_path: Path, redirections: str, lost: str
) -> None:
    ended = shell(f"9>lost {redirections}", SPEAKS, tmp_path)
    assert ended.returncode == 0, ended.stderr
    until(lambda: (tmp_path / "lost").stat().st_size > 0)
    assert (tmp_path / "lost").read_text() == lost
    assert (ended.stdout, ended.stderr) == (("results\n", "progress\n") if not redirections else ("", ""))


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """What a library prints to number 1 would go into it."""
    opens = (
        "import os\nos.write(os.open('ledger', os.O_CREAT | os.O_WRONLY), b'rows')\nos.write(1, b'print')\n"
    )
    assert shell("<&- >&- 2>&-", opens, tmp_path).returncode == 0
    assert (tmp_path / "ledger").read_bytes() == b"rows"


def test_a_stream_keeps_its_encoding_and_what_it_cannot_say_is_escaped(tmp_path: Path) -> None:
    done = subprocess.run(
        program("print('fox \\udc80 ü', flush=True)\nprint(sys.stdout.encoding, sys.stdin.encoding)"),
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == b"fox \\udc80 \xfc\niso8859-1 iso8859-1\n"


def test_a_stream_that_another_program_has_made_non_blocking_waits_for_its_reader() -> None:
    taking, giving = os.pipe()
    os.set_blocking(giving, False)
    text, got = b"x" * 300_000, bytearray()

    def read() -> None:
        while piece := os.read(taking, 4096):
            got.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    outlet = Outlet(giving)
    left = memoryview(text)
    while left:
        left = left[outlet.write(left) :]
    os.close(giving)
    reader.join()
    os.close(taking)
    assert got == text


def test_nothing_is_written_to_a_terminal_that_hung_up_but_a_file_gets_it_all() -> None:
    ours, theirs = pty.openpty()
    terminal = Outlet(theirs)
    assert terminal.write(b"a") == 1
    assert os.read(ours, 10) == b"a"
    terminal.hang_up()
    assert terminal.write(b"b") == 1
    os.set_blocking(ours, False)
    with pytest.raises(BlockingIOError):
        os.read(ours, 10)
    os.close(ours)
    os.close(theirs)
    taking, giving = os.pipe()
    pipe = Outlet(giving)
    pipe.hang_up()
    assert pipe.write(b"c") == 1
    assert os.read(taking, 10) == b"c"
    os.close(taking)
    os.close(giving)


def test_a_dead_terminal_is_the_same_as_none() -> None:
    ours, theirs = pty.openpty()
    os.close(ours)
    terminal = Outlet(theirs)
    assert terminal.write(b"abc") == 3
    assert terminal.problem is not None
    assert terminal.problem.errno == errno.EIO
    terminal.hang_up()
    os.close(theirs)
