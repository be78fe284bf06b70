"""The Python calls that send requests, and `plan`, which does not: options as a job, progress shown, warnings told."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from runner.api.notebook import NotebookBar, in_notebook
from runner.api.options import AnyPath
from runner.api.reports import PlanReport
from runner.api.retry_request import retry_request
from runner.api.summary import RunSummary
from runner.api.tables import folder_of
from runner.app import use_cases
from runner.cli.lines.plan import plan_facts, retry_plan_facts
from runner.config.keywords import overrides_of
from runner.config.loader import load_job
from runner.engine.ports import RunListener
from runner.manifest.formats.python_values import values_table
from runner.planning.prepare import new_run
from runner.process.event_loop import Post, run_in_thread, run_in_thread_async
from runner.process.redaction import REDACTOR
from runner.schedule.scheduled_run import run_scheduled_async
from runner.telemetry.callback import Callback
from runner.telemetry.progress import Mode, progress_listeners
from schemas.errors import ExitCode, JobError, JobWarning
from schemas.job import Job
from schemas.reports import Progress, RunWarning
from schemas.summary import Summary

OnProgress = Callable[[Progress], object]
"""Called with each look; what it returns is awaited where it can be."""

_PACKAGE = str(Path(__file__).resolve().parents[1])


@dataclass
class _Audience:
    """Who sees a run of a Python program. in_loop: the caller has an event loop, which goes on meanwhile."""

    on_progress: OnProgress | None
    post: Post
    in_loop: bool
    _called: Callback | None = field(default=None, init=False)

    def listeners(self, mode: Mode) -> list[RunListener]:
        """`auto`: a bar on a terminal or in a notebook, nothing elsewhere, or where the program looks for itself."""
        heard: list[RunListener] = []
        if self.on_progress is not None:
            self._called = Callback(self.on_progress, self.post, in_loop=self.in_loop)
            heard.append(self._called)
        if mode == "none" or (mode == "auto" and self.on_progress is not None):
            return heard
        if mode != "plain" and in_notebook():
            bar = NotebookBar()
            return [*heard, Callback(bar.look, self.post, bar.end)]
        if mode == "auto" and not (sys.stderr is not None and sys.stderr.isatty()):
            return heard
        return [*heard, *progress_listeners(mode, sys.stderr)]

    def told(self, summary: Summary) -> Summary:
        """The summary with what became of `on_progress`. Raises what is no error but an end of the program."""
        error = None if self._called is None else self._called.error
        if error is None:
            return summary
        if not isinstance(error, Exception):
            raise error
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = "" if at is None else f" ({Path(at.tb_frame.f_code.co_filename).name}, line {at.tb_lineno})"
        text = f"on_progress raised {type(error).__name__}: {error}{place}; it was not called again, and the run went on"
        return replace(summary, warnings=(*summary.warnings, RunWarning("on_progress", REDACTOR.text(text))))


def run(manifest: Any, on_progress: OnProgress | None, options: Mapping[str, Any]) -> RunSummary:
    """See `runner.run`."""
    start = _Start(manifest, options)
    return _ended(run_in_thread(lambda post: start.run(_Audience(on_progress, post, in_loop=False))))


async def run_async(manifest: Any, on_progress: OnProgress | None, options: Mapping[str, Any]) -> RunSummary:
    """See `runner.run_async`."""
    start = _Start(manifest, options)
    return _ended(
        await run_in_thread_async(lambda post: start.run(_Audience(on_progress, post, in_loop=True)))
    )


def retry(
    out: AnyPath, on_progress: OnProgress | None, options: Mapping[str, Any], *, dry_run: bool
) -> RunSummary | PlanReport:
    """See `runner.retry`."""
    folder = folder_of(out)
    request = retry_request(options)
    if dry_run:
        plan, found = use_cases.retry_plan(folder, request)
        facts = retry_plan_facts(plan, found, request)
        return PlanReport.of(plan, "retry", str(folder), facts, simulated=use_cases.is_simulated(folder))

    async def main(post: Post) -> Summary:
        audience = _Audience(on_progress, post, in_loop=False)
        mode = options.get("progress", "auto")
        listeners = audience.listeners(mode)
        return audience.told(await use_cases.retry_folder_async(folder, request, listeners=listeners))

    return _ended(run_in_thread(main))


def plan(manifest: Any, options: Mapping[str, Any], *, every: bool) -> PlanReport:
    """See `runner.plan`."""
    start = _Start(manifest, options)
    job = start.job()
    with start.rows_file() as file:
        if file is None:
            out, planned = str(new_run(job)[1]), job
        else:  # rows without a folder are planned as for a new one
            out = str(new_run(job)[1]) if "out" in job.model_fields_set else ""
            planned = job.model_copy(update={"manifest": str(file), "out": out or str(file.parent / "out")})
        found = use_cases.plan_job(planned, every=every)
    return PlanReport.of(found, "plan", out, plan_facts(found, every=every), simulated=job.simulate)


class _Start:
    """What a call was given: a source that the command takes too, or rows."""

    def __init__(self, manifest: Any, options: Mapping[str, Any]) -> None:
        if manifest is None:
            values_table(manifest)  # says what is taken
        self._overrides = overrides_of(options)
        self._cwd = Path.cwd()
        self._source = os.fspath(manifest) if isinstance(manifest, str | os.PathLike) else None
        self._rows = None if self._source is not None else manifest

    def job(self, day: date | None = None) -> Job:
        """The job, today's or that of another day."""
        dated = self._overrides if day is None else self._overrides | {"date": day.isoformat()}
        return load_job(self._source, dated, environ=os.environ, cwd=self._cwd)

    async def run(self, audience: _Audience) -> Summary:
        """To its end."""
        job = self.job()
        if self._rows is not None and "out" not in job.model_fields_set:
            raise JobError(
                "rows from Python need a folder of their own", fix='name it: runner.run(rows, out="runs/…")'
            )
        listeners = audience.listeners(job.output.progress)
        summary = await run_scheduled_async(
            job, self._source, self.job, manifest=self._rows, listeners=listeners
        )
        return audience.told(summary)

    def rows_file(self) -> AbstractContextManager[Path | None]:
        """A file of the rows for as long as the block lasts; None where the job names its manifest."""
        return nullcontext() if self._rows is None else _RowsFile(self._rows, self.job())


class _RowsFile:
    """Rows from Python as a Parquet file."""

    def __init__(self, rows: Any, job: Job) -> None:
        self._table = values_table(rows, prompt_col=job.columns.prompt, id_col=job.columns.id)
        self._folder = tempfile.TemporaryDirectory(prefix="imagemill-")

    def __enter__(self) -> Path:
        import pyarrow.parquet as pq

        file = Path(self._folder.name) / "rows.parquet"
        pq.write_table(self._table, file)
        return file

    def __exit__(self, *_error: object) -> None:
        self._folder.cleanup()


def _ended(summary: Summary) -> RunSummary:
    """The summary, its warnings told."""
    warn = partial(warnings.warn, category=JobWarning, stacklevel=_caller_level())
    for warning in summary.warnings:
        warn(REDACTOR.text(warning.message))
    if summary.exit_code not in (None, ExitCode.OK):
        told = f"{summary.out}: {summary.exit_reason} (exit code {summary.exit_code})"
        warn(f"{REDACTOR.text(told)}; runner.failures({summary.out!r}) lists what is not fine")
    return RunSummary.of(summary)


def _caller_level() -> int:
    """How far above the caller of this function's caller the program stands that called `runner`."""
    level, frame = 1, sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level + 1
