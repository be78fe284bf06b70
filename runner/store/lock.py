"""One writer a folder. The kernel releases the lock when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from schemas.exit_codes import ExitCode, JobError

LOCK_NAME = ".lock"
_LOOK_S = 0.3
"""Whoever asks `is_held` has a share of the lock for an instant; a runner does not take that for another runner."""


@contextmanager
def held(out: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the folder's lock. Raises JobError (exit 6) when another run still holds it after `wait_s` seconds."""
    lock = FileLock(out / LOCK_NAME, timeout=max(wait_s, _LOOK_S), mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise JobError(
            f"another run is working on {out}",
            fix="wait for it to end (--wait-lock 10m waits by itself), or choose another --out",
            exit_code=ExitCode.LOCKED,
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_held(out: Path) -> bool:
    """Whether some process works on the folder now. Never creates or changes anything."""
    try:
        descriptor = os.open(out / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
