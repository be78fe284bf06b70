"""Opening an output folder: what must be in order before a run may write to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from runner.artifacts.atomic_files import Folder
from runner.config.toml_writer import job_toml
from runner.ledger.completion_cache import NOTHING_COMPLETED, CompletedRows
from runner.ledger.ledger_file import LedgerFile
from runner.process.clock import wall_ms
from runner.process.crash_points import crash_point
from runner.workspace import lock
from runner.workspace.recovery import adopt
from schemas.errors import ExitCode, JobError
from schemas.job import Job


class OpenFolder(NamedTuple):
    """A folder whose lock is held. settled: attempts of dead runs that were parked on opening.

    completed: rows of this job's manifest that need not be looked at.
    """

    out: Path
    folder: Folder
    ledger: LedgerFile
    settled: int
    completed: CompletedRows = NOTHING_COMPLETED

    def still_completed(self, job: Job) -> CompletedRows:
        """The completed rows; none where the manifest has been written to since the folder was opened."""
        return self.completed if self.completed.is_of(job) else NOTHING_COMPLETED

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
    with (
        lock.held(out, wait_s=job.run.wait_lock if wait_s is None else wait_s),
        LedgerFile.create_or_open(out, simulated=job.simulate) as ledger,
    ):
        crash_point("clearing, before")
        folder.clear_temporary()
        crash_point("clearing, after")
        now_ms = wall_ms()
        completed = ledger.completed_rows(job)
        since = completed.attempts
        crash_point("adopting, before")
        adopt(ledger, max_pixels=job.output.max_pixels, now_ms=now_ms, since=since)
        crash_point("adopting, after")
        crash_point("settling, before")
        settled = ledger.settle_dead(now_ms=now_ms, since=since)
        crash_point("settling, after")
        place = OpenFolder(out, folder, ledger, settled, completed)
        if keeps_job:
            place.keep_job(job)
        yield place


def _unwritable(out: Path, error: OSError) -> JobError:
    return JobError(
        f"the output folder {out} cannot be written: {error.strerror or error}",
        fix="choose another --out, or change its permissions",
        exit_code=ExitCode.USAGE,
    )
