"""The use cases behind the commands and the Python API: run a job, plan it, retry rows, verify and report a folder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

from runner.app.folder_run import FolderRun, RunCommand
from runner.app.listeners import Listeners
from runner.app.simulated_service import simulator
from runner.config.loader import read_out_job
from runner.engine.deadline import Deadline
from runner.engine.deadline import command_deadline as run_deadline
from runner.engine.ports import RunListener
from runner.ledger.attempts import reachable_tasks
from runner.ledger.reader import LedgerReader
from runner.maintenance.adoption import take_in
from runner.maintenance.verify import Verification, verify
from runner.manifest.records import ManifestError
from runner.planning.endpoint_drift import refuse_other_endpoint
from runner.planning.plan import plan
from runner.planning.preflight import run_preflight
from runner.planning.prepare import prepare, refuse_changed, refuse_defaults, refuse_empty
from runner.planning.python_rows import keep_file, keep_rows
from runner.planning.recorded_rows import recorded_rows
from runner.planning.source import PendingRowSource
from runner.process.clock import wall_ms
from runner.process.event_loop import in_thread
from runner.process.event_loop import run as run_loop
from runner.process.signals import cancel_on_signals
from runner.results.summary import folder_summary
from runner.retry import prepare as retrying
from runner.retry.request import RetryRequest
from runner.retry.survey import Survey
from runner.workspace import lock
from runner.workspace.folder import open_workspace
from schemas.errors import JobError
from schemas.job import Job
from schemas.reports import Plan, RunPlan
from schemas.summary import Summary

RUN_COMMAND = '{"command": "run"}'
"""What the ledger keeps of how `run` was called."""


def run_job(
    job: Job,
    *,
    manifest: object | None = None,
    signals: bool = False,
) -> Summary:
    """Run a job to its end; see `run_job_async`."""
    return run_loop(run_job_async(job, manifest=manifest, signals=signals))


async def run_job_async(
    job: Job,
    *,
    manifest: object | None = None,
    listeners: Listeners | None = None,
    signals: bool = False,
    deadline: Deadline | None = None,
) -> Summary:
    """Send what is still to send, and leave images, ledger, results table and summary in the job's folder.

    manifest: rows of a Python program, or a file that will not last, instead of `job.manifest`; kept in the folder.
    listeners: of the command's run.
    signals: take over SIGINT, SIGTERM and SIGHUP (command line only). deadline: of the whole command.
    Raises JobError when the run cannot start.
    """
    deadline = deadline or run_deadline(job.run)
    listeners = listeners or Listeners()
    async with cancel_on_signals(enabled=signals), AsyncExitStack() as stack:
        if manifest is not None:
            keep = keep_file if isinstance(manifest, Path) else keep_rows
            job = await asyncio.to_thread(keep, job, manifest)  # type: ignore[arg-type]
        ready = await asyncio.to_thread(partial(prepare, job, holds=True))
        await asyncio.to_thread(refuse_empty, ready.row_stream)
        refuse_defaults(ready.row_stream)
        base_url = ready.endpoint.base_url
        workspace = await stack.enter_async_context(
            lock.wait_for_lock(
                lambda: open_workspace(ready.out, job, keeps_job=False, wait_s=0), job.run.wait_lock
            )
        )
        index = await in_thread(workspace.ledger.item_index, workspace.completed)
        await in_thread(refuse_changed, ready.row_stream)
        await in_thread(refuse_other_endpoint, ready, workspace.ledger)
        preflight = await in_thread(run_preflight, ready.row_stream, workspace.ledger, index)
        workspace.keep_job(job)
        known = await in_thread(workspace.ledger.open_tasks)
        tasks, unreachable = reachable_tasks(known, base_url, other_endpoint=False)
        source = PendingRowSource(ready.row_stream, index, tasks, preflight.pins, unreachable=unreachable)
        source.warnings.update(dict.fromkeys(preflight.warnings))
        if job.simulate and await source.has_next():
            base_url = await stack.enter_async_context(simulator(job))
        if source.problem is not None and not source.tally.rows:
            raise source.problem
        if await source.has_next():
            listeners.goes_to(ready.service)
        command = RunCommand(RUN_COMMAND, deadline, listeners, signals)
        return await FolderRun(ready, workspace, source, base_url, command).run()


def plan_job(job: Job, *, every: bool = False) -> Plan:
    """What a run would send now, and cost. every: list all invalid rows. Raises JobError when the job cannot be read."""
    ready = prepare(job, sends=False)
    refuse_empty(ready.row_stream)
    refuse_defaults(ready.row_stream)
    return plan(ready, every=every)


def retry_folder(
    out: Path, request: RetryRequest, *, listeners: Sequence[RunListener] = (), signals: bool = False
) -> Summary:
    """Send rows of a folder again, by its own job with the overrides of `request`.

    With nothing to send, the summary says why, and its exit code is 0. Raises JobError, before anything is sent, when it is
    no imagemill folder, a row cannot be sent like this, or a success would be paid for again without `request.yes`.
    """
    return run_loop(retry_folder_async(out, request, listeners=listeners, signals=signals))


async def retry_folder_async(
    out: Path, request: RetryRequest, *, listeners: Sequence[RunListener] = (), signals: bool = False
) -> Summary:
    """The same in a running event loop."""
    plan = RunPlan(str(out), wall_ms() / 1000)
    async with Listeners(listeners, signals=signals) as heard:
        return await heard.follow(plan, _retry(out, request, heard, signals))


async def _retry(out: Path, request: RetryRequest, listeners: Listeners, signals: bool) -> Summary:
    started = time.monotonic()
    async with cancel_on_signals(enabled=signals), AsyncExitStack() as stack:
        retry = await asyncio.to_thread(retrying.prepared, out, request)
        retrying.check_kind(retry)
        ready = retry.sends
        workspace = await stack.enter_async_context(
            lock.wait_for_lock(
                lambda: open_workspace(ready.out, retry.job, wait_s=0), ready.job.run.wait_lock
            )
        )
        store = stack.enter_context(retrying.text_store(workspace, retry.request))
        index = await in_thread(workspace.ledger.item_index, workspace.completed)
        preflight = await in_thread(run_preflight, retry.own.row_stream, workspace.ledger, index)
        surveyor = retry.surveyor(workspace.ledger, store=store)
        found = await in_thread(surveyor.survey, workspace.completed)
        retrying.refuse(found, retry.request)
        known = await in_thread(workspace.ledger.open_tasks)
        going_on = [task for task in known if task.item not in found.picks.abandoned]
        base_url = ready.endpoint.base_url
        tasks, unreachable = reachable_tasks(going_on, base_url, other_endpoint=retry.other_endpoint)
        if not len(found.picks) and not tasks:
            return await in_thread(retrying.idle, retry, workspace, found, started)
        if found.picks.successes and index.completed.rows:
            index = await in_thread(workspace.ledger.item_index)
        source = PendingRowSource(
            ready.row_stream,
            index,
            tasks=tasks,
            pins=preflight.pins,
            chooser=found.picks,
            unreachable=unreachable,
        )
        source.warnings.update(dict.fromkeys(found.notes))
        if ready.job.simulate:
            base_url = await stack.enter_async_context(simulator(ready.job))
        command = RunCommand(retry.command, run_deadline(ready.job.run), listeners, signals)
        return await FolderRun(ready, workspace, source, base_url, command).run()


def retry_plan(out: Path, request: RetryRequest) -> tuple[Plan, Survey]:
    """What a retry would send and cost. Raises JobError as the retry would, except for successes sent again."""
    return retrying.forecast(out, request)


def verify_folder(out: Path, *, repair: bool = False, decode: bool = False) -> Verification:
    """Compare the folder's images and tables with its ledger, also without its manifest; see `runner.maintenance.verify`."""
    job = read_out_job(out)
    ready = None
    with suppress(JobError):
        ready = prepare(job, sends=False)
    stream = None if ready is None else ready.row_stream
    if not repair:
        return verify(out, stream, live=lock.is_held(out), decode=decode)
    with open_workspace(out, job, repairs=ready is not None) as workspace:
        adopted = [] if ready is None else take_in(workspace, ready.row_stream, ready.prices)
        found = verify(out, stream, repair_in=workspace.folder, decode=decode)
        found.problems[:0] = adopted
        return found


def status(out: Path) -> Summary:
    """The folder as it stands, also while a run is going on, and without its manifest.

    Raises JobError when it is not an imagemill folder.
    """
    with LedgerReader.open(out) as ledger:
        job = read_out_job(out)
        ready = prepare(job, sends=False, recorded=True)
        row_stream = ready.row_stream
        with ledger.snapshot():
            try:
                return folder_summary(row_stream, job, ledger, ready.service, held=lock.is_held(out))
            except ManifestError:  # it cannot be read to its end
                row_stream = recorded_rows(out, job, row_stream.defaults)
                return folder_summary(row_stream, job, ledger, ready.service, held=lock.is_held(out))


def is_simulated(out: Path) -> bool:
    """Whether the folder's runs were simulated ones. Raises JobError when it is not an imagemill folder."""
    return read_out_job(out).simulate
