"""The process's umask."""

from __future__ import annotations

import os
from pathlib import Path


def umask() -> int:
    """Read without changing it, where the system can tell: a change would be the whole process's for an instant."""
    try:
        lines = Path("/proc/self/status").read_text("ascii", "replace").splitlines()
        return next(int(line.split()[1], 8) for line in lines if line.startswith("Umask:"))
    except (OSError, StopIteration, ValueError, IndexError):
        before = os.umask(0o077)
        os.umask(before)
        return before
