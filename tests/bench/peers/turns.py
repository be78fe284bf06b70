"""Programs that each do one thing again and again, in turns: while one goes on, the others stand still.

What a shared machine is like in one second and what in the next is then the same for all of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import IO

from tests.bench.peers.measuring import Failed

_LONG_TURN_S, _SHORT_TURN_S = 1.0, 0.25


class Player:
    """One of the programs. Its output: a JSON document a repetition and line, with when that `began` and `ended`.

    turns: when it went on, from and to. Times are on the monotonic clock.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], out: IO[bytes]) -> None:
        self._command, self._environ, self._out = command, environ, out
        self._process: subprocess.Popen[bytes] | None = None
        self.turns: list[tuple[float, float]] = []

    def go_on(self, seconds: float) -> None:
        """Have a turn. Raises Failed where it has ended."""
        began = time.monotonic()
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, env=dict(self._environ), stdout=self._out, stderr=subprocess.STDOUT
            )
        else:
            self._process.send_signal(signal.SIGCONT)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGSTOP)
        self.turns.append((began, time.monotonic()))
        if self._process.poll() is not None:
            raise Failed(f"{' '.join(self._command)} ended: {self._printed()[-400:].decode()}")

    def _printed(self) -> bytes:
        """What it has printed. Read by position: the process shares the file's own, and goes on writing there."""
        out = self._out.fileno()
        return os.pread(out, os.fstat(out).st_size, 0)

    @property
    def spent_s(self) -> float:
        """Seconds of its turns."""
        return sum(ended - began for began, ended in self.turns)

    @property
    def has_done_one(self) -> bool:
        """Whether a repetition has finished."""
        return b"\n" in self._printed()

    def repetitions_s(self) -> list[float]:
        """Seconds of its turns that each finished repetition took."""
        told = [
            json.loads(line) for line in self._printed().splitlines(keepends=True) if line.endswith(b"\n")
        ]
        return [
            sum(max(0.0, min(end, one["ended"]) - max(start, one["began"])) for start, end in self.turns)
            for one in told
        ]

    def end(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def repetitions(
    commands: Sequence[Sequence[str]], environ: Mapping[str, str], least_s: float, limit_s: float
) -> list[list[float]]:
    """Seconds of each command's repetitions, one at least. The last command, whose take longest, has its turns for so many
    seconds.

    Raises Failed for a command that ends by itself, and when all of it takes longer than the limit.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        players = []
        for command in commands:
            player = Player(command, environ, stack.enter_context(tempfile.TemporaryFile()))
            stack.callback(player.end)
            players.append(player)
        *short, longest = players
        while longest.spent_s < least_s or not all(player.has_done_one for player in players):
            if time.monotonic() - began > limit_s:
                raise Failed(f"nothing of {' '.join(commands[-1])} ended within {limit_s:.0f} s")
            for player in short:
                player.go_on(_SHORT_TURN_S)
            longest.go_on(_LONG_TURN_S)
        return [player.repetitions_s() for player in players]
