"""One writer a folder. The kernel releases the lock when its holder dies, however it dies."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from filelock import BaseFileLock, FileLock, Timeout

from runner.process.disk_errors import explaining
from runner.process.umask import umask
from schemas.errors import ExitCode, JobError

T = TypeVar("T")

LOCK_NAME = ".lock"
_CHECK_S = 0.3
"""`is_held` takes a shared lock for an instant; within this time a run does not take that for another run."""
_PAUSE_S = 0.1
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP})


@contextmanager
def folder_lock(out: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the folder's lock. Raises JobError (exit 6) when another run still holds it after `wait_s` seconds."""
    refusal = JobError(
        f"another run is working on {out}",
        fix="wait for it to end (--wait-lock 10m waits by itself), or choose another --out",
        exit_code=ExitCode.LOCKED,
    )
    with explaining(out / LOCK_NAME, "cannot be locked"):
        taken = _acquired(out / LOCK_NAME, wait_s, refusal, 0o666 & ~umask())
    with taken:
        yield


@contextmanager
def job_lock(locks: Path, job_file: Path, *, wait_s: float) -> Iterator[None]:
    """Hold the lock of a job whose output folder changes from night to night.

    locks: folder for it, made if need be. job_file: its real path names the lock. Raises JobError: exit 6 as above,
    exit 9 when the lock cannot be made.
    """
    name = blake2b(os.fsencode(job_file.resolve()), digest_size=12).hexdigest()
    refusal = JobError(
        f"another run of {job_file} is going on",
        fix="wait for it to end (--wait-lock 10m waits by itself); --date makes up for a day that was missed",
        exit_code=ExitCode.LOCKED,
    )
    try:
        locks.mkdir(parents=True, exist_ok=True, mode=0o700)
        taken = _acquired(locks / f"{name}.lock", wait_s, refusal, 0o600)
    except OSError as error:
        raise _no_lock(locks, error) from error
    with taken:
        yield


@asynccontextmanager
async def wait_for_lock(take: Callable[[], AbstractContextManager[T]], wait_s: float) -> AsyncIterator[T]:
    """Enter the context that `take` gives; retries while another run has its lock. Ctrl-C ends the wait.

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


def _acquired(path: Path, wait_s: float, refusal: JobError, mode: int) -> AbstractContextManager[object]:
    """The lock, taken; to be released at the end of its block. Raises `refusal`, or OSError."""
    lock = FileLock(path, timeout=max(wait_s, _CHECK_S), mode=mode)
    try:
        lock.acquire()
    except Timeout:
        raise refusal from None
    return _releasing(lock)


@contextmanager
def _releasing(lock: BaseFileLock) -> Iterator[None]:
    try:
        yield
    finally:
        lock.release()


def is_held(out: Path) -> bool:
    """Whether some process works on the folder now. Never creates or changes anything.

    Raises JobError (exit 2 or 9) where that cannot be told.
    """
    path = out / LOCK_NAME
    with explaining(path, "cannot be read"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return _holder_lives(os.read(descriptor, 100))
        finally:
            os.close(descriptor)
    return False


def _holder_lives(content: bytes) -> bool:
    """Whether the process lives that filelock has written into a lock file, where the file system has no locks."""
    number = content.partition(b"\n")[0]
    if not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
