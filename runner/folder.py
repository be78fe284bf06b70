"""Opening an output folder: what must be in order before a run may write to it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from runner.descriptors import Spare
from runner.job_text import job_toml
from runner.store import donemap, layout, ledger, lock
from runner.store.adopt import adopt
from runner.store.donemap import DoneMap
from runner.store.durable import TEMPORARY, Folder
from schemas.exit_codes import ExitCode, JobError
from schemas.job import Job

_LEAST_FREE_BYTES = 8 * 2**20
_FIRST_IMAGE_BYTES = 4 * 2**20
_BALLAST_BYTES = 32 * 2**20


class OpenFolder(NamedTuple):
    """A folder whose lock is held. settled: attempts of dead runs that were parked on opening.

    done: rows of this job's manifest that need not be looked at; None where that is not known.
    """

    out: Path
    folder: Folder
    connection: sqlite3.Connection
    settled: int
    done: DoneMap | None = None

    def known(self, job: Job) -> DoneMap | None:
        """The map again, where the manifest has not been written to since the folder was opened."""
        return self.done if self.done is not None and self.done.is_of(job) else None

    def keep_job(self, job: Job) -> None:
        """Write OUT/job.toml. Raises OSError."""
        self.folder.save("job.toml", (job_toml(job).encode(),), replace=True)


@contextmanager
def opened(
    out: Path, job: Job, *, keeps_job: bool = True, wait_s: float | None = None
) -> Iterator[OpenFolder]:
    """Create or open OUT for one run. Raises JobError (exit 2, 6, 7 or 9) before anything was sent.

    keeps_job: write OUT/job.toml at once; otherwise `OpenFolder.keep_job` does, when the job may run.
    wait_s: seconds to wait for the lock; None: as the job says.
    """
    try:
        folder = Folder(out)
    except OSError as error:
        raise _unwritable(out, error) from error
    with lock.held(out, wait_s=job.run.wait_lock if wait_s is None else wait_s):
        connection = ledger.create_or_open(out, simulated=job.simulate)
        try:
            folder.clear_temporary()
            now_ms = int(time.time() * 1000)
            done = donemap.load(out, connection, job)
            since = 0 if done is None else done.attempts
            adopt(out, connection, max_pixels=job.output.max_pixels, now_ms=now_ms, since=since)
            settled = ledger.settle_dead(connection, now_ms=now_ms, since=since)
            place = OpenFolder(out, folder, connection, settled, done)
            if keeps_job:
                place.keep_job(job)
            yield place
        except sqlite3.DatabaseError as error:
            raise layout.unusable(out, error) from error
        finally:
            connection.close()


def _unwritable(out: Path, error: OSError) -> JobError:
    return JobError(
        f"the output folder {out} cannot be written: {error.strerror or error}",
        fix="choose another --out, or change its permissions",
        exit_code=ExitCode.USAGE,
    )


class Ballast:
    """Disk space and descriptors set aside at the start, so that what is in flight can still land when they run out."""

    def __init__(self, folder: Folder) -> None:
        """Takes the space if there is plenty of it; does without otherwise. Raises JobError without descriptors."""
        self._spare = Spare()
        self._path = folder.root / TEMPORARY / "ballast"
        stat = os.statvfs(folder.root)
        if stat.f_bavail * stat.f_frsize < 20 * _BALLAST_BYTES:
            return
        with suppress(OSError), self._path.open("xb") as file:
            os.posix_fallocate(file.fileno(), 0, _BALLAST_BYTES)

    def __enter__(self) -> Ballast:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def drop(self) -> None:
        """Give it all back."""
        self._spare.drop()
        self._path.unlink(missing_ok=True)


@dataclass
class Headroom:
    """Whether the disk can take what is in flight and one more. Looks at most once a second.

    largest: bytes of the largest answer's images so far; what comes is taken to be up to twice that.
    """

    out: Path
    largest: int = 0
    _checked: float = 0.0

    def saw(self, size: int) -> None:
        """An answer landed, its images taking so many bytes."""
        self.largest = max(self.largest, size)

    def problem(self, in_flight: int) -> str | None:
        """Why nothing more should be sent; None when there is room."""
        now = time.monotonic()
        if now - self._checked < 1.0:
            return None
        self._checked = now
        stat = os.statvfs(self.out)
        free = stat.f_bavail * stat.f_frsize
        each = 2 * self.largest if self.largest else _FIRST_IMAGE_BYTES
        needed = _LEAST_FREE_BYTES + (in_flight + 1) * each
        if free >= needed:
            return None
        return f"the disk is nearly full: {free / 2**20:,.0f} MiB free where {needed / 2**20:,.0f} are needed"
