"""Opening an output folder: what must be in order before a run may write to it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from runner.artifacts.atomic_files import Folder
from runner.config.toml_writer import job_toml
from runner.ledger import completion_cache, schema, writer
from runner.ledger.completion_cache import DoneMap
from runner.workspace import lock
from runner.workspace.recovery import adopt
from schemas.errors import ExitCode, JobError
from schemas.job import Job


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
        connection = writer.create_or_open(out, simulated=job.simulate)
        try:
            folder.clear_temporary()
            now_ms = int(time.time() * 1000)
            done = completion_cache.load(out, connection, job)
            since = 0 if done is None else done.attempts
            adopt(out, connection, max_pixels=job.output.max_pixels, now_ms=now_ms, since=since)
            settled = writer.settle_dead(connection, now_ms=now_ms, since=since)
            place = OpenFolder(out, folder, connection, settled, done)
            if keeps_job:
                place.keep_job(job)
            yield place
        except sqlite3.DatabaseError as error:
            raise schema.unusable(out, error) from error
        finally:
            connection.close()


def _unwritable(out: Path, error: OSError) -> JobError:
    return JobError(
        f"the output folder {out} cannot be written: {error.strerror or error}",
        fix="choose another --out, or change its permissions",
        exit_code=ExitCode.USAGE,
    )
