"""Other processes, as the kernel tells of them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def _fields(process: int) -> list[str]:
    """State, parent, … of a process (proc_pid_stat(5), from the third field on)."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def children(parent: int) -> list[int]:
    """Processes that a process has started and that have not ended, or whose end it has not taken note of."""
    found = []
    for entry in os.listdir("/proc"):
        with suppress(OSError):
            if entry.isdigit() and int(_fields(int(entry))[1]) == parent:
                found.append(int(entry))
    return found


def busy_s(process: int) -> float:
    """CPU that a process has had."""
    return int(_fields(process)[11]) / os.sysconf("SC_CLK_TCK")
