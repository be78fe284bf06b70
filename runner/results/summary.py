"""The `Summary` of a run at its end, or of a folder later: from results table, totals and reason."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from jobs import odd_pictures
from jobs.summary import finished_code, next_command
from runner.artifacts.atomic_files import Folder
from runner.ledger.completion_cache import CompletedRows
from runner.ledger.ledger_file import LedgerFile
from runner.ledger.queries import RunRecord
from runner.ledger.reader import LedgerReader
from runner.manifest.records import ManifestError
from runner.planning.prepare import PreparedJob
from runner.planning.recorded_rows import RecordedRows, recorded_rows
from runner.planning.row_stream import RowStream
from runner.process.clock import wall_ms
from runner.process.crash_points import crash_point
from runner.process.version import VERSION
from runner.results import figures
from runner.results.table import ResultsTable
from runner.text.wording import count_text, utc_text
from runner.workspace.folder import Workspace
from runner.workspace.lost_images import lost_images
from schemas.counts import Counts
from schemas.errors import ExitCode, Reason
from schemas.failures import RowStatus
from schemas.job import Job
from schemas.output_folder import SUMMARY_NAME
from schemas.reports import RunWarning, Service
from schemas.summary import State, Summary


class Ended(NamedTuple):
    """A run that has come to its end. reason: why it stopped; None: all was done. notes: what was told while it went on.

    command: `run` or `retry`.
    known: counts to report instead of writing the table, for a run that was cut short; the next command writes it.
    """

    run: int
    reason: Reason | None
    known: Counts | None = None
    notes: tuple[str, ...] = ()
    command: str = "run"


def conclude(ready: PreparedJob, workspace: Workspace, ended: Ended) -> Summary:
    """Record the run's end, write the results table and summary.json. Raises OSError when the disk refuses."""
    run, reason, known, notes, command = ended
    crash_point("concluding")
    ledger = workspace.ledger
    if reason is None or reason.exit_code is ExitCode.LOCAL:
        reason = _lost(ledger, reason) or reason
    code, text = (reason.exit_code, reason.text) if reason else (ExitCode.OK, "")
    _record_end(ledger, run, code, text)
    counts = known or _write_table(ready.row_stream, workspace)
    if reason is None:
        code, text = finished_code(counts.by_status)
        _record_end(ledger, run, code, text)
    told = tuple(RunWarning("note", note) for note in notes)
    summary = _composed(ready.row_stream, ready.job, ledger, workspace.completed, counts, ready.service, told)
    summary = replace(summary, command=command)
    save_summary(workspace.folder, summary)
    return summary


def _write_table(row_stream: RowStream, workspace: Workspace) -> Counts:
    """Write results.parquet of the manifest as the run began with it; where that cannot be read, of what is on record."""
    ledger = workspace.ledger
    table = ResultsTable(row_stream, ledger, known=workspace.still_completed(row_stream.job))
    try:
        counts = table.write(workspace.folder, ledger.record)
    except ManifestError:
        recorded = recorded_rows(workspace.out, row_stream.job, row_stream.defaults)
        return ResultsTable(recorded, ledger).write(workspace.folder, ledger.record)
    with suppress(OSError):
        table.save_completed(workspace.folder, ledger)
    return counts


def _of_manifest(row_stream: RowStream, counts: Counts) -> Iterator[RunWarning]:
    """What became of the manifest, or that there is none."""
    change = row_stream.manifest.changed()
    if isinstance(row_stream, RecordedRows):
        yield RunWarning(
            "manifest_gone", f"{change}: its rows are told as this folder has them on record", counts.rows
        )
    elif change is not None:
        yield RunWarning(
            "manifest_changed",
            f"{change} while the run was on: what was sent, and the results, are of the manifest as it was at the start",
            counts.rows,
        )


def _lost(ledger: LedgerFile, reason: Reason | None) -> Reason | None:
    """What is said instead where recorded images are not there; None where they are. reason: why the run stopped early."""
    lost = lost_images(ledger)
    if lost is None:
        return None
    told = f"{count_text(lost.files, 'image file is', 'image files are')} gone, {lost.first} among them"
    return Reason(ExitCode.DAMAGED, told if reason is None else f"{told}; {reason.text}")


def _record_end(ledger: LedgerFile, run: int, code: ExitCode, text: str) -> None:
    ledger.end_run(run, code, text, finished_ms=wall_ms())


def _composed(
    row_stream: RowStream,
    job: Job,
    ledger: LedgerReader,
    completed: CompletedRows,
    counts: Counts,
    service: Service,
    told: tuple[RunWarning, ...] = (),
    *,
    held: bool = False,
) -> Summary:
    """The folder as it stands, with its newest run. held: some process works on it now."""
    last = ledger.last_run()
    live = goes_on(last, held=held)
    state, text = state_of(last, live=live)
    code = None if last is None or live else last.exit_code
    out = str(ledger.out)
    order = [status.value for status in RowStatus]
    folder = figures.folder_figures(ledger, completed, last, live=live)
    return Summary(
        imagemill=VERSION,
        command="status",
        out=out,
        simulated=job.simulate,
        state=state,
        exit_code=code,
        exit_reason=text,
        next=_next(job, ledger, code, counts, state),
        rows=counts.rows,
        images=counts.images,
        by_status={name: counts.by_status[name] for name in order if counts.by_status[name]},
        by_error=dict(counts.by_error.most_common()),
        removed=counts.removed,
        folder=folder,
        service=service if last is None or job.simulate else replace(service, endpoint=last.endpoint),
        failures=counts.failures(),
        warnings=(
            *odd_pictures.warnings(counts.repeated, counts.blank),
            *told,
            *_of_manifest(row_stream, counts),
        ),
        **({} if last is None else figures.run_figures(ledger, last, counts, live=live)),
    )


def goes_on(last: RunRecord | None, *, held: bool) -> bool:
    """Whether a folder's newest run goes on. held: some process works on the folder now; it need not be that run."""
    return held and last is not None and last.exit_code is None


def state_of(last: RunRecord | None, *, live: bool) -> tuple[State, str]:
    """Of a folder by its newest run, and the reason that is told."""
    if live:
        return State.RUNNING, "running"
    if last is None:
        return State.STOPPED, "no run has started yet"
    if last.exit_code is None:
        return State.KILLED, "the last run was killed; run again to resume"
    done = last.exit_code in (ExitCode.OK, ExitCode.SOME_FAILED)
    return State.FINISHED if done else State.STOPPED, str(last.reason)


def _next(job: Job, ledger: LedgerReader, code: int | None, counts: Counts, state: State) -> str:
    out = str(ledger.out)
    if state is State.RUNNING:
        return f"imagemill status {shlex.quote(out)} --watch"
    exit_code = ExitCode.INTERNAL if code is None else ExitCode(code)
    return next_command(exit_code, counts.by_status, out, simulated=job.simulate, by_kind=counts.by_kind)


def save_summary(folder: Folder, summary: Summary) -> None:
    """Replace OUT/summary.json."""
    text = json.dumps(summary.to_dict(), ensure_ascii=False, indent=2)
    folder.save(SUMMARY_NAME, (text.encode("utf-8", "backslashreplace") + b"\n",), replace=True)


def folder_summary(
    row_stream: RowStream, job: Job, ledger: LedgerReader, service: Service, *, held: bool
) -> Summary:
    """The summary of a folder as it stands, without writing anything.

    service: where its next requests would go. held: some process works on it now.
    """
    last = ledger.last_run()
    live_run = last.run if last is not None and goes_on(last, held=held) else None
    completed = ledger.completed_rows(job)
    counts = ResultsTable(row_stream, ledger, live_run, completed).count()
    return _composed(row_stream, job, ledger, completed, counts, service, held=held)


def nothing_sent(summary: Summary, command: str, reason: str, duration_s: float) -> Summary:
    """The summary of a command that had nothing to send: the folder's, with nothing done by this one."""
    now = utc_text(wall_ms())
    return replace(
        summary,
        command=command,
        state=State.FINISHED,
        exit_code=int(ExitCode.OK),
        exit_reason=reason,
        run_id="",
        started=now,
        finished=now,
        duration_s=round(duration_s, 3),
        rows_sent=0,
        rows_skipped=min(summary.rows, summary.rows_skipped + summary.rows_sent),
        requests_sent=0,
        images_saved=0,
        maybe_billed=0,
        cost_usd=0.0,
        maybe_usd=0.0,
    )
