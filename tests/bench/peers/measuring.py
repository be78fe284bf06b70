"""A process measured from outside: CPU and memory as the system counts them."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOOK_EVERY_S = 0.01
LIMIT_S = 600.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A measured process ended badly, or not in time; ready to show."""


@dataclass(frozen=True, slots=True)
class Looks:
    """A finished process. Times are on the monotonic clock.

    spent: (time, CPU seconds so far), many times a second. peak_mb: most resident memory. resident_mb: beside `spent`.
    All are of the process and those that it started, added up.
    """

    began_s: float
    ended_s: float
    cpu_s: float
    peak_mb: float
    spent: list[tuple[float, float]]
    resident_mb: list[float]
    code: int
    out: str

    def cpu_after(self, moment_s: float) -> float:
        """CPU seconds spent after a moment."""
        at = bisect_right(self.spent, (moment_s, float("inf")))
        before = self.spent[at - 1][1] if at else 0.0
        return self.cpu_s - before

    def most_mb(self, after_s: float, until_s: float) -> float:
        """Most resident memory seen between two moments; 0 where nothing was seen."""
        seen = zip(self.spent, self.resident_mb, strict=True)
        return max((mb for (at, _cpu), mb in seen if after_s <= at < until_s), default=0.0)


def _family(pid: int) -> list[int]:
    """The process and those that its main thread started; not one that is about to be another program, and has as yet
    the memory of this one."""
    own = Path(f"/proc/{pid}/cmdline").read_bytes()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(each) for each in children if Path(f"/proc/{each}/cmdline").read_bytes() != own)]


def _spent_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory now, and the most so far; (0, 0) for a process that has ended."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    found = {line[0]: int(line[1]) / 1024 for line in lines if line[0] in ("VmRSS:", "VmHWM:")}
    return found.get("VmRSS:", 0.0), found.get("VmHWM:", 0.0)


def watched(
    command: Sequence[str | Path],
    environ: Mapping[str, str],
    *,
    enough: Callable[[], bool] = lambda: False,
    limit_s: float = LIMIT_S,
) -> Looks:
    """Run a command to its end and look at it meanwhile; it is killed once there is `enough`.

    Raises Failed when it takes longer than the limit.
    """
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        process = subprocess.Popen(
            [str(part) for part in command], stdout=out, stderr=subprocess.STDOUT, env=dict(environ)
        )
        spent, resident, peak = [(began, 0.0)], [0.0], 0.0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            now = time.monotonic()
            try:
                family = _family(process.pid)
                memory = [_memory_mb(pid) for pid in family]
                spent.append((now, sum(map(_spent_s, family))))
                resident.append(sum(mb for mb, _most in memory))
                peak = max(peak, sum(most for _mb, most in memory))
            except OSError:  # it ended just now
                pass
            if now - began > limit_s or enough():
                os.kill(process.pid, signal.SIGKILL)
            time.sleep(LOOK_EVERY_S)
        ended = time.monotonic()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
    if ended - began > limit_s:
        raise Failed(f"{Path(command[0]).name} did not end within {limit_s:.0f} s")
    return Looks(
        began, ended, usage.ru_utime + usage.ru_stime, peak, spent, resident, process.returncode, text
    )
