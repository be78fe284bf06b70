"""One writer a folder. The kernel releases the lock when its holder dies, however it dies."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from schemas.errors import ExitCode, JobError

T = TypeVar("T")

LOCK_NAME = ".lock"
_LOOK_S = 0.3
"""Whoever asks `is_held` has a share of the lock for an instant; a runner does not take that for another runner."""
_PAUSE_S = 0.1


@contextmanager
def held(out: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the folder's lock. Raises JobError (exit 6) when another run still holds it after `wait_s` seconds."""
    refusal = JobError(
        f"another run is working on {out}",
        fix="wait for it to end (--wait-lock 10m waits by itself), or choose another --out",
        exit_code=ExitCode.LOCKED,
    )
    with _taken(out / LOCK_NAME, wait_s, refusal):
        yield


@contextmanager
def job_held(locks: Path, job_file: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the lock of a job whose output folder changes from night to night.

    locks: folder for it, made if need be. job_file: its real path names the lock. Raises JobError: exit 6 as above,
    exit 9 when the lock cannot be made.
    """
    name = blake2b(os.fsencode(job_file.resolve()), digest_size=12).hexdigest()
    try:
        locks.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _no_lock(locks, error) from error
    refusal = JobError(
        f"another run of {job_file} is going on",
        fix="wait for it to end (--wait-lock 10m waits by itself); --date makes up for a day that was missed",
        exit_code=ExitCode.LOCKED,
    )
    with _taken(locks / f"{name}.lock", wait_s, refusal):
        yield


@asynccontextmanager
async def waited_for(take: Callable[[], AbstractContextManager[T]], wait_s: float) -> AsyncIterator[T]:
    """Enter what `take` gives, for so long as another run has its lock again and again; Ctrl-C ends the wait.

    take: to be entered without a wait of its own. Raises JobError (exit 6) after `wait_s` seconds, any other at once;
    that error is also the cause of a cancellation that ends the wait.
    """
    clock = asyncio.get_running_loop()
    until = clock.time() + wait_s
    with ExitStack() as stack:
        while True:
            try:
                taken = stack.enter_context(take())
                break
            except JobError as error:
                if error.exit_code is not ExitCode.LOCKED or clock.time() >= until:
                    raise
                locked = error
            try:
                await asyncio.sleep(_PAUSE_S)
            except asyncio.CancelledError as cancelled:
                raise cancelled from locked
        yield taken


def _no_lock(locks: Path, error: OSError) -> JobError:
    return JobError(
        f"the lock of the job cannot be made in {locks}: {error.strerror or error}",
        fix="let XDG_STATE_HOME name a folder that can be written",
        exit_code=ExitCode.LOCAL,
    )


@contextmanager
def _taken(path: Path, wait_s: float, refusal: JobError) -> Iterator[None]:
    lock = FileLock(path, timeout=max(wait_s, _LOOK_S), mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise refusal from None
    except PermissionError as error:
        raise _no_lock(path.parent, error) from error
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
