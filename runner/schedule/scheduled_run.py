"""One start of a scheduled job: takes its lock, finishes what earlier nights left, runs tonight's rows, notifies listeners.

Tonight's own run is always started, even when an earlier folder's run was stopped. It sends nothing then, but its folder
exists with every row pending, so that the next night finds it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from jobs.addresses import is_url
from runner.app.listeners import Listeners
from runner.app.use_cases import run_job_async
from runner.engine.deadline import Deadline, command_deadline
from runner.engine.ports import RunListener
from runner.process.clock import wall_ms
from runner.process.event_loop import run as run_loop
from runner.process.signals import cancel_on_signals
from runner.process.state_folder import state_folder
from runner.schedule.backlog import JobOfDay, has_daily_folder, unfinished_folders
from runner.telemetry.notify import job_label, listeners_of
from runner.workspace import lock
from schemas.errors import ExitCode, JobError, Reason
from schemas.job import Job
from schemas.reports import RunPlan, Service
from schemas.summary import Summary

_LOG = logging.getLogger(__name__)
_SIGNALLED = frozenset({ExitCode.HUNG_UP, ExitCode.INTERRUPTED, ExitCode.TERMINATED})
_IN_THE_WAY = _SIGNALLED | {
    ExitCode.INTERNAL,
    ExitCode.ACCOUNT,
    ExitCode.SERVICE_DOWN,
    ExitCode.LOCAL,
    ExitCode.MAX_DURATION,
}
"""Ends of an earlier night's folder after which the other ones are left for the next night."""


def run_scheduled(
    job: Job,
    source: str | None,
    job_of: JobOfDay,
    *,
    manifest: object | None = None,
    listeners: Sequence[RunListener] = (),
    signals: bool = False,
    say: Callable[[Service], None] | None = None,
) -> Summary:
    """As `run_scheduled_async`, to its end."""
    return run_loop(
        run_scheduled_async(
            job, source, job_of, manifest=manifest, listeners=listeners, signals=signals, say=say
        )
    )


async def run_scheduled_async(
    job: Job,
    source: str | None,
    job_of: JobOfDay,
    *,
    manifest: object | None = None,
    listeners: Sequence[RunListener] = (),
    signals: bool = False,
    say: Callable[[Service], None] | None = None,
) -> Summary:
    """Run a job as a command does. source: the manifest or job file that it came from. job_of: the job of another day.

    manifest, signals: as `run_job_async` has them. listeners: who hears of it beside those that the job names.
    say: is told where requests go, before the first of them.

    Returns the summary of tonight's own run; when it finished, but an earlier night's folder was stopped, with that
    one's exit code and reason. Raises JobError when tonight's run cannot start.
    """
    deadline = command_deadline(job.run)
    label = job_label(job, source)
    plan = RunPlan(label, wall_ms() / 1000)
    told = Listeners([*listeners, *listeners_of(job, label)], signals=signals, say=say)
    async with told as heard, AsyncExitStack() as stack:
        async with cancel_on_signals(enabled=signals):
            one = lock.wait_for_lock(lambda: _job_lock(job, source), job.run.wait_lock)
            await stack.enter_async_context(one)
        return await heard.follow(plan, _night(job, job_of, deadline, manifest, heard, signals))


async def _night(
    job: Job,
    job_of: JobOfDay,
    deadline: Deadline,
    manifest: object | None,
    listeners: Listeners,
    signals: bool,
) -> Summary:
    stopped, deadline = await _finish_earlier(job, job_of, deadline, listeners, signals)
    summary = await run_job_async(
        job, manifest=manifest, listeners=listeners, signals=signals, deadline=deadline
    )
    if stopped is not None and summary.exit_code in (ExitCode.OK, ExitCode.SOME_FAILED):
        return replace(summary, exit_code=int(stopped.exit_code), exit_reason=stopped.text)
    return summary


@contextmanager
def _job_lock(job: Job, source: str | None) -> Iterator[None]:
    named = source is not None and source.lower().endswith(".toml") and not is_url(source)
    if source is None or not named or not has_daily_folder(job):
        yield
        return
    with lock.job_lock(state_folder() / "jobs", Path(source), wait_s=0):
        yield


async def _finish_earlier(
    job: Job, job_of: JobOfDay, deadline: Deadline, listeners: Listeners, signals: bool
) -> tuple[Reason | None, Deadline]:
    """Go on with what earlier nights left. Returns what stopped that, and the end that tonight's own run has."""
    async with cancel_on_signals(enabled=signals):
        earlier = await asyncio.to_thread(lambda: list(unfinished_folders(job, job_of)))
    for left in earlier:
        if deadline.reason is not None:
            return None, deadline
        _LOG.info("first what an earlier day left in %s (%s)", left.out, left.ended)
        try:
            summary = await run_job_async(left.job, listeners=listeners, signals=signals, deadline=deadline)
        except JobError as error:
            if error.exit_code in _SIGNALLED:
                return _stopped(deadline, left.out, error.exit_code, error.message)
            _LOG.warning("%s is left as it is: %s", left.out, error.message)
            continue
        _LOG.info("%s: exit code %d, %s", left.out, summary.exit_code, summary.exit_reason)
        if summary.exit_code in _IN_THE_WAY:
            return _stopped(deadline, left.out, ExitCode(summary.exit_code), summary.exit_reason)
    return None, deadline


def _stopped(deadline: Deadline, out: Path, code: ExitCode, text: str) -> tuple[Reason, Deadline]:
    """How the work on an earlier night's folder ended; a signal is also the end of tonight's own run."""
    stopped = Reason(code, f"{out}: {text}")
    return stopped, replace(deadline, stopped=stopped) if code in _SIGNALLED else deadline
