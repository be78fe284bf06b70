"""One run over an opened output folder: the engine, what happens beside it, and the results at its end."""

from __future__ import annotations

import asyncio
import gc
import json
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from runner.app.composition import compose_engine
from runner.app.listeners import Listeners
from runner.app.logged_run import end_facts, run_log
from runner.app.looks import Looks, RunFacts
from runner.app.monitor import Monitor
from runner.app.row_count import RowCount
from runner.engine.deadline import Deadline
from runner.engine.shutdown import Shutdown, interrupted_drain_s
from runner.ledger.reader import LedgerReader
from runner.ledger.writer import Writer
from runner.manifest.records import ManifestError
from runner.planning.prepare import PreparedJob
from runner.planning.source import PendingRowSource
from runner.process.clock import wall_ms
from runner.process.event_loop import in_thread, outlast
from runner.process.file_limits import raise_file_limit
from runner.process.memory import trim_heap
from runner.process.version import VERSION
from runner.results.summary import Ended, conclude
from runner.results.table import ResultsTable
from runner.workspace.folder import Workspace
from schemas.reports import SIMULATED
from schemas.summary import Summary

HURRIED_ROWS = 20_000
"""With more rows read than this, a run that is cut short leaves its results table to the next command."""


@dataclass(frozen=True, slots=True)
class RunCommand:
    """The command that a run is part of.

    text: how it was called, for the ledger. signals: take over those of this process (command line only).
    """

    text: str
    deadline: Deadline
    listeners: Listeners
    signals: bool

    @property
    def name(self) -> str:
        """`run` or `retry`."""
        return str(json.loads(self.text)["command"])


@dataclass(frozen=True, slots=True)
class FolderRun:
    """A run that can start: its folder is locked and its rows are known."""

    ready: PreparedJob
    workspace: Workspace
    source: PendingRowSource
    base_url: str
    command: RunCommand

    async def run(self) -> Summary:
        """Run to the end. Being cancelled first has the answers saved and the results written; see `Shutdown.interrupt`."""
        if await self.source.has_next():
            await in_thread(self.workspace.try_places)
        shutdown, drain_s = Shutdown(), interrupted_drain_s(self.ready.job.run)
        running = asyncio.create_task(self._run_to_end(shutdown))
        cancellation = await outlast(running, lambda times: shutdown.interrupt(times, drain_s))
        if cancellation is not None:
            running.exception()  # or asyncio would log it
            raise cancellation
        return running.result()

    async def _run_to_end(self, shutdown: Shutdown) -> Summary:
        ready, workspace, source, command = self.ready, self.workspace, self.source, self.command
        started = asyncio.get_running_loop().time()
        run = workspace.ledger.start_run(
            ready.run_id,
            started_ms=wall_ms(),
            version=VERSION,
            endpoint=SIMULATED if ready.job.simulate else self.base_url,
            command=workspace.completed.command(command.text),
        )
        with ExitStack() as handlers:
            log = handlers.enter_context(run_log(ready, workspace, self.base_url, command.text))
            composed = compose_engine(ready, workspace, source, self.base_url, run, shutdown, log.note)
            async with composed as (engine, writer):
                count = RowCount(source.rows, ready.prices)
                looks = Looks(self._facts(), engine, source, count, shutdown, started)
                monitor = Monitor(looks, ready.job.run.drain)
                if command.signals:
                    _tune_process()
                    handlers.enter_context(monitor.handle_signals())
                helpers = self._helpers(monitor, run, writer)
                if (over := command.deadline.reason) is None:
                    helpers.append(asyncio.create_task(monitor.enforce_deadline(command.deadline)))
                elif await source.has_next():
                    shutdown.stop(over.exit_code, over.text)
                try:
                    await engine.run()
                finally:
                    problem = await _end(helpers)
            trim_heap()
            hurried = shutdown.forced.is_set() and looks.tally.rows > HURRIED_ROWS
            known = monitor.counts() if hurried else None
            reason = shutdown.reason or source.cut_short(engine.counters.sent)
            ended = Ended(run, reason, known, tuple(source.warnings), command.name)
            summary = await asyncio.to_thread(conclude, ready, workspace, ended)
            log.end(end_facts(summary))
        if problem is not None:
            raise problem
        if source.problem is not None and not engine.counters.sent:
            raise source.problem
        return summary

    def _facts(self) -> RunFacts:
        return RunFacts(
            self.ready.row_stream.manifest.label, str(self.workspace.out), self.ready.job.simulate
        )

    def _helpers(self, monitor: Monitor, run: int, writer: Writer) -> list[asyncio.Task[None]]:
        def write_table() -> None:
            try:
                with LedgerReader.open(self.workspace.out) as ledger, ledger.snapshot():
                    known = self.workspace.still_completed(self.ready.row_stream.job)
                    with suppress(ManifestError):  # at the end the ledger tells of what was sent
                        table = ResultsTable(self.ready.row_stream, ledger, run, known)
                        table.write(self.workspace.folder, writer.record_from_thread)
            finally:
                trim_heap()

        beside = (
            monitor.drain(),
            monitor.refresh_table(write_table),
            monitor.observe(self.command.listeners),
            monitor.count_rows(),
        )
        return [asyncio.create_task(each) for each in beside]


def _tune_process() -> None:
    """Tune a process that is ours alone: as many open files as the system allows, and no garbage collection of modules."""
    raise_file_limit()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


async def _end(tasks: list[asyncio.Task[None]]) -> Exception | None:
    """End what runs beside the engine; what went wrong there, to raise once the run is recorded."""
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return next((result for result in results if isinstance(result, Exception)), None)
