"""Opens an output folder for writing: lock, ledger, recovery of what a killed run left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from runner.artifacts.atomic_files import Folder
from runner.config.toml_writer import job_toml, may_hold_secrets
from runner.ledger.completion_cache import NOTHING_COMPLETED, CompletedRows
from runner.ledger.ledger_file import LedgerFile
from runner.process.clock import wall_ms
from runner.process.crash_points import crash_point
from runner.process.disk_errors import explained, explaining
from runner.workspace import lock, place_trial
from runner.workspace.newest_attempt import check_ledger, newest_trace
from runner.workspace.recovery import recover_images
from schemas.errors import ExitCode, JobError
from schemas.job import Job
from schemas.output_folder import JOB_NAME


class Workspace(NamedTuple):
    """A folder whose lock is held. settled: attempts of dead runs that were parked on opening.

    completed: rows of this job's manifest that need not be read, from the cache.
    """

    out: Path
    folder: Folder
    ledger: LedgerFile
    settled: int
    completed: CompletedRows = NOTHING_COMPLETED

    def still_completed(self, job: Job) -> CompletedRows:
        """The completed rows; none where the manifest has been written to since the folder was opened."""
        return self.completed if self.completed.matches(job) else NOTHING_COMPLETED

    def keep_job(self, job: Job) -> None:
        """Write OUT/job.toml. Raises JobError (exit 2 or 9)."""
        with explaining(self.out / JOB_NAME):
            private = may_hold_secrets(job)
            self.folder.save(JOB_NAME, (job_toml(job).encode(),), private=private, replace=True)

    def try_places(self) -> None:
        """See that images, bodies and the table can be written. Raises JobError (exit 2 or 9); see `place_trial`."""
        place_trial.try_places(self.folder, self.ledger.next_attempt())


@contextmanager
def open_workspace(
    out: Path, job: Job, *, keeps_job: bool = True, wait_s: float | None = None, repairs: bool = False
) -> Iterator[Workspace]:
    """Create or open OUT for one run. Raises JobError (exit 2, 6, 7 or 9) before anything was sent.

    keeps_job: write OUT/job.toml at once; otherwise `Workspace.keep_job` does, when the job may run.
    wait_s: seconds to wait for the lock; None: as the job says. repairs: also where the ledger is gone, or knows less than
    the files beside it.
    """
    try:
        folder = Folder(out)
    except OSError as error:
        raise _unwritable(out, error) from error
    place_trial.check_names(out)
    with (
        lock.folder_lock(out, wait_s=job.run.wait_lock if wait_s is None else wait_s),
        LedgerFile.create_or_open(out, simulated=job.simulate, anew=repairs) as ledger,
    ):
        if not repairs:
            check_ledger(ledger, newest_trace(out))
        with explaining(out):
            workspace = _settled(out, folder, ledger, job)
        if keeps_job:
            workspace.keep_job(job)
        yield workspace


def _settled(out: Path, folder: Folder, ledger: LedgerFile, job: Job) -> Workspace:
    """The folder, with what dead runs left adopted, parked or removed. Raises OSError."""
    crash_point("clearing, before")
    folder.clear_temporary()
    place_trial.remove_trials(folder, ledger.next_attempt())
    crash_point("clearing, after")
    now_ms = wall_ms()
    completed = ledger.completed_rows(job)
    since = completed.attempts
    crash_point("adopting, before")
    recover_images(ledger, folder, check=job.output.image_check, now_ms=now_ms, since=since)
    crash_point("adopting, after")
    crash_point("settling, before")
    settled = ledger.park_dead_attempts(now_ms=now_ms, since=since)
    crash_point("settling, after")
    return Workspace(out, folder, ledger, settled, completed)


def _unwritable(out: Path, error: OSError) -> JobError:
    """Nothing of the folder is there yet, or nothing can be put into it: another one is what helps."""
    name = error.filename
    inside = name if isinstance(name, str) and Path(name) != out and not Path(name).is_absolute() else ""
    told = explained(error, f"the output folder {out / inside}")
    return JobError(
        told.message, fix="choose another --out, or change its permissions", exit_code=ExitCode.USAGE
    )
