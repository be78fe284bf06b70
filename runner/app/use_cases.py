"""What the commands and the Python calls call: run a job, plan it, look at its folder."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from runner.app.composition import assembled
from runner.app.monitor import Watch
from runner.app.simulated_service import simulator
from runner.config.loader import read_out_job
from runner.engine.deadline import Until
from runner.engine.deadline import until as run_until
from runner.engine.shutdown import Ending
from runner.ledger.attempts import within_reach
from runner.ledger.reader import LedgerReader
from runner.ledger.writer import Writer
from runner.maintenance.verify import Verification, verify
from runner.planning.plan import plan
from runner.planning.preflight import examine
from runner.planning.prepare import Prepared, keep_frame, prepare
from runner.planning.source import Source
from runner.process.clock import wall_ms
from runner.process.file_limits import allow_all
from runner.process.memory import give_back
from runner.process.signals import ending_early, in_thread
from runner.process.version import VERSION
from runner.results.summary import conclude, look
from runner.results.table import ResultsTable
from runner.retry import prepare as retrying
from runner.retry.request import Asked
from runner.retry.survey import Survey
from runner.telemetry.observer import Observer
from runner.workspace import lock
from runner.workspace.folder import OpenFolder, opened
from schemas.errors import JobError
from schemas.job import Job
from schemas.reports import Plan, Summary

if TYPE_CHECKING:
    import pandas as pd


RUN_COMMAND = '{"command": "run"}'
"""What the ledger keeps of how `run` was called."""

HURRIED_ROWS = 20_000
"""With more rows read than this, a run that is cut short leaves its results table to the next command."""


def run_job(
    job: Job,
    *,
    manifest: pd.DataFrame | None = None,
    observer: Observer | None = None,
    signals: bool = False,
) -> Summary:
    """Run a job to its end; see `run_job_async`."""
    return asyncio.run(run_job_async(job, manifest=manifest, observer=observer, signals=signals))


async def run_job_async(
    job: Job,
    *,
    manifest: pd.DataFrame | None = None,
    observer: Observer | None = None,
    signals: bool = False,
    until: Until | None = None,
) -> Summary:
    """Send what is still to send, and leave images, ledger, results table and summary in the job's folder.

    manifest: rows to use instead of `job.manifest`; kept in the folder. observer: called a few times a second.
    signals: take over SIGINT and SIGTERM (command line only). until: when the command that this run is a part of must end.
    Raises JobError when the run cannot start.
    """
    until = until or run_until(job.run)
    async with ending_early(wanted=signals), AsyncExitStack() as stack:
        if manifest is not None:
            job = await asyncio.to_thread(keep_frame, job, manifest)
        ready = await asyncio.to_thread(prepare, job)
        base_url = ready.endpoint.base_url
        place = await stack.enter_async_context(
            lock.waited_for(lambda: opened(ready.out, job, keeps_job=False, wait_s=0), job.run.wait_lock)
        )
        index = await in_thread(place.ledger.item_index, place.completed)
        examined = await in_thread(examine, ready.intake, place.ledger, index)
        place.keep_job(job)
        known = await in_thread(place.ledger.open_tasks)
        tasks, held = within_reach(known, base_url, elsewhere=False)
        source = Source(ready.intake, index, tasks, examined.standing, held=held)
        source.warnings.update(dict.fromkeys(examined.warnings))
        if job.simulate and await source.anything():
            base_url = await stack.enter_async_context(simulator(job))
        return await _run(ready, place, source, base_url, observer, signals, until)


async def _run(
    ready: Prepared,
    place: OpenFolder,
    source: Source,
    base_url: str,
    observer: Observer | None,
    signals: bool,
    until: Until,
    command: str = RUN_COMMAND,
) -> Summary:
    started = asyncio.get_running_loop().time()
    run = place.ledger.start_run(
        ready.run_id,
        started_ms=wall_ms(),
        version=VERSION,
        endpoint=base_url,
        command=place.completed.command(command),
    )
    ending = Ending()
    with ExitStack() as handlers:
        async with assembled(ready, place, source, base_url, run, ending) as (engine, writer):
            watch = Watch(engine, source, ending, started, ready.job.run.drain)
            if signals:
                _take_the_process()
                handlers.enter_context(watch.signals())
            helpers = _helpers(ready, place, watch, observer, run, writer)
            if (over := until.reason) is None:
                helpers.append(asyncio.create_task(watch.limit(until)))
            elif await source.anything():
                ending.stop(over.exit_code, over.text)
            try:
                await engine.run()
            finally:
                problem = await _end(helpers)
        watch.concluding = True
        give_back()
        duration = asyncio.get_running_loop().time() - started
        hurried = ending.hard.is_set() and source.tally.rows > HURRIED_ROWS
        known = watch.counts() if hurried else None
        summary = await asyncio.to_thread(conclude, ready, place, run, ending.reason, duration, known)
    if problem is not None:
        raise problem
    return summary


def _take_the_process() -> None:
    """In a process of our own: connections as many as the system allows, and no garbage looked for in what is loaded."""
    allow_all()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _helpers(
    ready: Prepared,
    place: OpenFolder,
    watch: Watch,
    observer: Observer | None,
    run: int,
    writer: Writer,
) -> list[asyncio.Task[None]]:
    def table() -> None:
        try:
            with LedgerReader.open(place.out) as ledger, ledger.one_view():
                known = place.still_completed(ready.intake.job)
                ResultsTable(ready.intake, ledger, run, known).write(place.folder, writer.record_from_thread)
        finally:
            give_back()

    beside = [watch.drain(), watch.refresh(table)]
    if observer is not None:
        beside.append(watch.observe(observer))
    return [asyncio.create_task(each) for each in beside]


async def _end(tasks: list[asyncio.Task[None]]) -> Exception | None:
    """End what runs beside the engine; what went wrong there (an observer's error), to raise once the run is recorded."""
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return next((result for result in results if isinstance(result, Exception)), None)


def plan_job(job: Job) -> Plan:
    """What a run would send now, and cost. Raises JobError when the job cannot be read."""
    return plan(prepare(job, sends=False))


def retry_folder(
    out: Path, asked: Asked, *, observer: Observer | None = None, signals: bool = False
) -> Summary:
    """Send rows of a folder again, as its own job says but for what `asked` overrides.

    With nothing to send, the summary tells why, and its exit code is 0. Raises JobError, before anything is sent, when
    it is no such folder, a row cannot be sent like this, or a success would be paid for again without `asked.yes`.
    """
    return asyncio.run(_retry(out, asked, observer, signals))


async def _retry(out: Path, asked: Asked, observer: Observer | None, signals: bool) -> Summary:
    async with ending_early(wanted=signals), AsyncExitStack() as stack:
        retry = await asyncio.to_thread(retrying.prepared, out, asked)
        retrying.check_kind(retry)
        ready = retry.sends
        place = await stack.enter_async_context(
            lock.waited_for(lambda: opened(ready.out, retry.job, wait_s=0), ready.job.run.wait_lock)
        )
        store = stack.enter_context(retrying.text_store(place, retry.asked))
        index = await in_thread(place.ledger.item_index, place.completed)
        examined = await in_thread(examine, retry.own.intake, place.ledger, index)
        surveyor = retry.surveyor(place.ledger, store=store)
        found = await in_thread(surveyor.survey, place.completed)
        retrying.refuse(found, retry.asked)
        known = await in_thread(place.ledger.open_tasks)
        going_on = [task for task in known if task.item not in found.picks.abandoned]
        base_url = ready.endpoint.base_url
        tasks, held = within_reach(going_on, base_url, elsewhere=retry.elsewhere)
        if not len(found.picks) and not tasks:
            return await in_thread(retrying.idle, retry, place, found)
        if found.picks.successes and index.completed.rows:
            index = await in_thread(place.ledger.item_index)
        source = Source(
            ready.intake,
            index,
            tasks=tasks,
            standing=examined.standing,
            again=found.picks,
            held=held,
        )
        if ready.job.simulate:
            base_url = await stack.enter_async_context(simulator(ready.job))
        until = run_until(ready.job.run)
        return await _run(ready, place, source, base_url, observer, signals, until, retry.command)


def retry_plan(out: Path, asked: Asked) -> tuple[Plan, Survey]:
    """What a retry would send and cost. Raises JobError as the retry would, but for successes sent again."""
    return retrying.forecast(out, asked)


def verify_folder(out: Path, *, repair: bool = False) -> Verification:
    """Compare the folder's images and tables with its ledger, also without its manifest; see `runner.maintenance.verify`."""
    job = read_out_job(out)
    try:
        intake = prepare(job, sends=False).intake
    except JobError:
        intake = None
    if not repair:
        return verify(out, intake, live=lock.is_held(out))
    with opened(out, job) as place:
        return verify(out, intake, repair_in=place.folder)


def status(out: Path) -> Summary:
    """The folder as it stands, also while a run is going on. Raises JobError when it is not an imagemill folder."""
    with LedgerReader.open(out) as ledger:
        job = read_out_job(out)
        ready = prepare(job, sends=False)
        with ledger.one_view():
            return look(ready.intake, job, ledger, live=lock.is_held(out))


def is_simulated(out: Path) -> bool:
    """Whether the folder's runs were simulated ones. Raises JobError when it is not an imagemill folder."""
    return read_out_job(out).simulate
