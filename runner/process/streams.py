"""Standard output and error of a command: always there, and never the reason why it ends.

A daemon starts programs with these streams closed, `| head -1` leaves, a terminal hangs up, the disk behind `> FILE` is
full. What is lost then is text; the run has been paid for, and what it has to say stands in its folder too.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import Any, TextIO

_LEFT = (errno.EPIPE, errno.ECONNRESET)
"""The reader has gone, as `head` does: it has what it wanted."""


class Outlet(io.FileIO):
    """The descriptor below a standard stream. No write to it fails; `problem` is what stood in the way of the first."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.problem: OSError | None = None
        self._is_gone = False

    def write(self, data: Any, /) -> int:
        """All that can be written now; the length of what nobody can be given."""
        while not self._is_gone:
            try:
                written = super().write(data)
            except OSError as error:
                self._is_gone = True
                self.problem = None if error.errno in _LEFT else error
                break
            if written is not None:
                return written
            select.select((), (self,), ())  # somebody who shares it has made it non-blocking
        return len(data)

    def hang_up(self) -> None:
        """Write nothing more where this is a terminal."""
        self._is_gone = self._is_gone or self.isatty()


_outlets: dict[str, Outlet] = {}


def install() -> None:
    """Give this process streams that hold. One that is closed is /dev/null, so that no other file gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it lasts as long as the process
    sys.stdout = _stream("stdout", 1, sys.stdout)
    sys.stderr = _stream("stderr", 2, sys.stderr)


def _stream(name: str, number: int, before: TextIO | None) -> TextIO:
    outlet = _outlets[name] = Outlet(number)
    stream = io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding="utf-8" if before is None else before.encoding,
        errors="backslashreplace",
        line_buffering=name == "stderr",
    )
    if isinstance(before, io.TextIOWrapper):
        stream.reconfigure(line_buffering=before.line_buffering, write_through=before.write_through)
    return stream


def hang_up() -> None:
    """The terminal is gone: nothing is written to it from now on."""
    for outlet in _outlets.values():
        with suppress(OSError):
            outlet.hang_up()


def lost_output() -> OSError | None:
    """Why stdout did not take what was printed; None when it did, when its reader has left, or when that was forgiven."""
    outlet = _outlets.get("stdout")
    return None if outlet is None else outlet.problem


def forgive_lost_output() -> None:
    """What was printed so far can be found elsewhere too, so that its loss is none."""
    sys.stdout.flush()
    if "stdout" in _outlets:
        _outlets["stdout"].problem = None
