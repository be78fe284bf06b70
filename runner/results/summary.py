"""The end of a run, and its reading later: results table, totals and reason become one `Summary`."""

from __future__ import annotations

import dataclasses
import json
import time
from contextlib import suppress

from jobs.summary import finished_code, next_command
from runner.artifacts.atomic_files import Folder
from runner.ledger.ledger_file import LedgerFile
from runner.ledger.queries import RunRecord
from runner.ledger.reader import LedgerReader
from runner.ledger.statistics import Totals
from runner.planning.prepare import Prepared
from runner.planning.row_stream import Intake
from runner.process.clock import wall_ms
from runner.process.crash_points import crash_point
from runner.results.table import ResultsTable
from runner.workspace.folder import OpenFolder
from schemas.errors import ExitCode, Reason
from schemas.failures import RowStatus
from schemas.job import Job
from schemas.reports import Counts, Summary

SUMMARY_NAME = "summary.json"


def conclude(
    ready: Prepared,
    place: OpenFolder,
    run: int,
    reason: Reason | None,
    duration_s: float,
    known: Counts | None = None,
) -> Summary:
    """Record the run's end, write the results table and summary.json. Raises OSError when the disk refuses.

    known: counts to report instead of writing the table, for an end that cannot wait; the next command writes it.
    """
    crash_point("concluding")
    ledger = place.ledger
    table = ResultsTable(ready.intake, ledger, known=place.still_completed(ready.intake.job))
    code, text = (reason.exit_code, reason.text) if reason else (ExitCode.OK, "")
    _record_end(ledger, run, code, text)
    counts = known or table.write(place.folder, ledger.record)
    if known is None:
        with suppress(OSError):
            table.map_done(place.folder, ledger)
    if reason is None:
        code, text = finished_code(counts.by_status)
        _record_end(ledger, run, code, text)
    sums = ledger.totals(place.completed)
    summary = summarize(sums, ready.job, str(place.out), ready.run_id, counts, code, text, duration_s)
    save_summary(place.folder, summary)
    return summary


def _record_end(ledger: LedgerFile, run: int, code: ExitCode, text: str) -> None:
    ledger.end_run(run, code, text, finished_ms=wall_ms())


def summarize(
    sums: Totals,
    job: Job,
    out: str,
    run_id: str,
    counts: Counts,
    code: ExitCode,
    text: str,
    duration_s: float,
) -> Summary:
    """A summary of the folder as its totals and the table's counts tell it."""
    order = [status.value for status in RowStatus]
    most = job.budget.max_requests
    cap = "--max-requests" if most is not None and sums.requests >= most else "--max-cost"
    return Summary(
        run_id=run_id,
        out=out,
        rows=counts.rows,
        images=counts.images,
        by_status={name: counts.by_status[name] for name in order if counts.by_status[name]},
        by_error=dict(counts.by_error.most_common()),
        requests_sent=sums.sent,
        images_saved=sums.images,
        maybe_billed=sums.maybe_billed,
        cost_usd=None if sums.cost_usd is None else round(sums.cost_usd, 6),
        duration_s=round(duration_s, 3),
        exit_code=int(code),
        exit_reason=text,
        next=next_command(
            code, counts.by_status, out, simulated=job.simulate, by_error=counts.by_error, cap=cap
        ),
        removed=counts.removed,
    )


def save_summary(folder: Folder, summary: Summary) -> None:
    """Replace OUT/summary.json."""
    text = json.dumps(dataclasses.asdict(summary), ensure_ascii=False, indent=2)
    folder.save(SUMMARY_NAME, (text.encode("utf-8", "backslashreplace") + b"\n",), replace=True)


def look(intake: Intake, job: Job, ledger: LedgerReader, *, live: bool) -> Summary:
    """The summary of a folder as it stands, without writing anything. live: a run is going on."""
    last = ledger.last_run() or RunRecord(0, "", 0, 0, None, None)
    completed = ledger.completed_rows(job)
    counts = ResultsTable(intake, ledger, last.run if live else None, completed).count()
    if live:
        text, duration_s = "running", time.time() - last.started_ms / 1000
    elif last.exit_code is None or last.finished_ms is None:
        text, duration_s = "the last run was killed; run again to resume", 0.0
    else:
        text, duration_s = str(last.reason), (last.finished_ms - last.started_ms) / 1000
    code = last.exit_code if last.exit_code is not None else ExitCode.OK if live else ExitCode.INTERNAL
    sums = ledger.totals(completed)
    out = str(ledger.out)
    summary = summarize(sums, job, out, last.run_id, counts, ExitCode(code), text, duration_s)
    left = 0 if live else ledger.undecided(completed)
    return dataclasses.replace(summary, maybe_billed=summary.maybe_billed + left)
