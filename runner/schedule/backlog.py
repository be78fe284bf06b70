"""The folders that a job with `{date}` in its `out` made on other days, and how the last run of each ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

from jobs.addresses import has_date
from jobs.dates import days_before
from runner.config.loader import read_out_job
from runner.config.out_folder import out_folder
from runner.ledger.reader import LedgerReader
from runner.workspace import lock
from schemas.errors import ExitCode, JobError
from schemas.job import Job
from schemas.output_folder import LEDGER_NAME

JobOfDay = Callable[[date], Job]
"""The same job with another day for its `{date}`."""

UNFINISHED = frozenset(
    {
        *(ExitCode.INTERNAL, ExitCode.ACCOUNT, ExitCode.SERVICE_DOWN, ExitCode.BUDGET, ExitCode.LOCAL),
        *(ExitCode.MAX_DURATION, ExitCode.HUNG_UP, ExitCode.INTERRUPTED, ExitCode.TERMINATED),
    }
)
"""How a run ends that has left work to the next one. A run that was killed has no exit code."""
_LOG = logging.getLogger(__name__)
_TASKS = "tasks to poll"
_TASKS_ONLY_S = 60.0


class UnfinishedFolder(NamedTuple):
    """A folder whose last run did not finish, or left tasks. ended: its exit code, `killed` or another word for people."""

    job: Job
    out: Path
    ended: str


def has_daily_folder(job: Job) -> bool:
    """Whether the job has another folder each day."""
    return has_date(job.out) or "{run_id}" in job.out


def unfinished_folders(job: Job, job_of: JobOfDay) -> Iterator[UnfinishedFolder]:
    """What earlier days of this job left unfinished, newest first, at most `run.carry_over` days back.

    Each job makes what its own folder's job.toml says (manifest, columns, rows, request) in the way that tonight's says
    (endpoint, limits, budget, retries, times). Folders with `{run_id}` in their name are never resumed.
    """
    if not has_date(job.out) or "{run_id}" in job.out or job.date is None:
        return
    today = date.fromisoformat(job.date)
    seen = {out_folder(job, today=today, run_id="")}
    for day in days_before(today, job.run.carry_over):
        then = job_of(day)
        out = out_folder(then, today=day, run_id="")
        if out in seen or not (out / LEDGER_NAME).is_file():
            continue
        seen.add(out)
        ended = _ended(out)
        if ended is None:
            continue
        try:
            made = read_out_job(out) if (out / "job.toml").is_file() else then
        except JobError as error:
            _LOG.warning("%s is left as it is: %s", out, error.message)
            continue
        if made.simulate == job.simulate:
            resumed = _resumed(then, made, out)
            yield UnfinishedFolder(_polling_briefly(resumed) if ended == _TASKS else resumed, out, ended)


def _ended(out: Path) -> str | None:
    """How the folder's last run ended, if it left work; None for one that is finished, or at work now."""
    if lock.is_held(out):
        return None
    try:
        with LedgerReader.open(out) as ledger:
            last = ledger.last_run()
            has_tasks = bool(ledger.open_tasks())
    except JobError:
        return "unreadable"
    if last is None or last.exit_code is None:
        return "killed"
    if last.exit_code in UNFINISHED:
        return f"exit code {last.exit_code}"
    return _TASKS if has_tasks else None


def _resumed(then: Job, made: Job, out: Path) -> Job:
    kept = {name: getattr(made, name) for name in ("manifest", "columns", "input", "request")}
    return then.model_copy(update={**kept, "out": str(out)})


def _polling_briefly(job: Job) -> Job:
    """The same for a folder with nothing left but tasks that took too long: tonight's rows do not wait an hour for them."""
    timeout_s = min(job.endpoint.task_timeout, _TASKS_ONLY_S)
    return job.model_copy(update={"endpoint": job.endpoint.model_copy(update={"task_timeout": timeout_s})})
