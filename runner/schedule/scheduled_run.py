"""One start of a job that runs again and again: its lock, what earlier nights left, tonight's own rows, and who is told.

Tonight's own run is always started, also when what went before was stopped: then it sends nothing, but its folder is
there with every row pending, so that the next night finds it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.addresses import is_url
from runner.app.use_cases import run_job_async
from runner.engine.deadline import Until, until
from runner.process.signals import ending_early
from runner.process.state_folder import state_folder
from runner.schedule.backlog import OnDay, changes_with_the_day, left_over
from runner.telemetry.notify import Teller
from runner.telemetry.observer import Observer
from runner.workspace import lock
from schemas.errors import ExitCode, JobError, Reason
from schemas.job import Job
from schemas.reports import Summary

if TYPE_CHECKING:
    import pandas as pd

_LOG = logging.getLogger(__name__)
_SIGNALLED = frozenset({ExitCode.INTERRUPTED, ExitCode.TERMINATED})
_IN_THE_WAY = _SIGNALLED | {
    ExitCode.INTERNAL,
    ExitCode.ACCOUNT,
    ExitCode.SERVICE_DOWN,
    ExitCode.LOCAL,
    ExitCode.MAX_DURATION,
}
"""Ends of an earlier night's folder after which the other ones are left for the next night."""


def run_nightly(
    job: Job, source: str | None, on: OnDay, *, observer: Observer | None = None, signals: bool = False
) -> Summary:
    """As `run_nightly_async`, to its end."""
    return asyncio.run(run_nightly_async(job, source, on, observer=observer, signals=signals))


async def run_nightly_async(
    job: Job,
    source: str | None,
    on: OnDay,
    *,
    manifest: pd.DataFrame | None = None,
    observer: Observer | None = None,
    signals: bool = False,
) -> Summary:
    """Run a job as a command does. source: the manifest or job file that it came from. on: the job of another day.

    manifest, observer, signals: as `run_job_async` has them.

    Returns the summary of tonight's own run; when it finished, but an earlier night's folder was stopped, with that
    one's exit code and reason. Raises JobError when tonight's run cannot start.
    """
    end = until(job.run)
    teller = Teller.of(job, source)
    summary: Summary | None = None
    try:
        async with AsyncExitStack() as stack:
            async with ending_early(wanted=signals):
                one = lock.waited_for(lambda: _job_lock(job, source), job.run.wait_lock)
                await stack.enter_async_context(one)
            try:
                await teller.begin()
                seen = teller.observing(observer)
                stopped, end = await _finish_earlier(job, on, end, seen, signals)
                summary = await run_job_async(
                    job, manifest=manifest, observer=seen, signals=signals, until=end
                )
                if stopped is not None and summary.exit_code in (ExitCode.OK, ExitCode.SOME_FAILED):
                    summary = replace(summary, exit_code=int(stopped.exit_code), exit_reason=stopped.text)
                return summary
            finally:
                await teller.record(summary, sys.exception())
    finally:
        await teller.end(summary, sys.exception())


@contextmanager
def _job_lock(job: Job, source: str | None) -> Iterator[None]:
    named = source is not None and source.lower().endswith(".toml") and not is_url(source)
    if source is None or not named or not changes_with_the_day(job):
        yield
        return
    with lock.job_held(state_folder() / "jobs", Path(source), wait_s=0):
        yield


async def _finish_earlier(
    job: Job, on: OnDay, end: Until, observer: Observer | None, signals: bool
) -> tuple[Reason | None, Until]:
    """Go on with what earlier nights left. Returns what stopped that, and the end that tonight's own run has."""
    async with ending_early(wanted=signals):
        earlier = await asyncio.to_thread(lambda: list(left_over(job, on)))
    for left in earlier:
        if end.reason is not None:
            return None, end
        _LOG.info("first what an earlier day left in %s (%s)", left.out, left.ended)
        try:
            summary = await run_job_async(left.job, observer=observer, signals=signals, until=end)
        except JobError as error:
            if error.exit_code in _SIGNALLED:
                return _stopped(end, left.out, error.exit_code, error.message)
            _LOG.warning("%s is left as it is: %s", left.out, error.message)
            continue
        _LOG.info("%s: exit code %d, %s", left.out, summary.exit_code, summary.exit_reason)
        if summary.exit_code in _IN_THE_WAY:
            return _stopped(end, left.out, ExitCode(summary.exit_code), summary.exit_reason)
    return None, end


def _stopped(end: Until, out: Path, code: ExitCode, text: str) -> tuple[Reason, Until]:
    """How the work on an earlier night's folder ended; a signal is also the end of tonight's own run."""
    stopped = Reason(code, f"{out}: {text}")
    return stopped, replace(end, stopped=stopped) if code in _SIGNALLED else end
