"""What else befalls a run before it is killed: a hang-up, a stop of the whole process, an image folder that is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.attacks.crash.forkserver import Child
from tests.attacks.crash.jobs import HANG_S, Job

_HERE = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE


def hang_up(job: Job, child: Child, chance: Random) -> None:
    """SIGHUP, which drains."""
    child.signal(signal.SIGHUP)
    time.sleep(chance.uniform(0.0, 0.3))


def stop(job: Job, child: Child, chance: Random) -> None:
    """The process stands still for longer than an answer takes, and goes on."""
    child.freeze()
    time.sleep(chance.uniform(0.05, 0.5))
    child.signal(signal.SIGCONT)
    time.sleep(chance.uniform(0.0, 0.3))


def take_images(job: Job, child: Child, chance: Random) -> None:
    """A file stands where the image folder was, until the process is dead."""
    with _taken(job.out / "images"):
        time.sleep(chance.uniform(0.02, 0.4))
        child.signal(signal.SIGKILL)
        child.wait(HANG_S)


TROUBLES: dict[str, Callable[[Job, Child, Random], None]] = {
    "hung up, then killed": hang_up,
    "stopped for a while, then killed": stop,
    "without its image folder, then killed": take_images,
}


@contextmanager
def _taken(folder: Path) -> Iterator[None]:
    if not folder.is_dir():
        yield
        return
    other = folder.parent.parent / "taken"
    other.touch()
    _exchange(folder, other)
    try:
        yield
    finally:
        _exchange(folder, other)
        other.unlink()


def _exchange(one: Path, other: Path) -> None:
    """At once, so that nothing can be made in the place between."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(one))
