"""The end of a run, and its reading later: results table, totals and reason become one `Summary`."""

from __future__ import annotations

import dataclasses
import json
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from jobs.summary import finished_code, next_command
from runner.artifacts.atomic_files import Folder
from runner.ledger import completion_cache
from runner.ledger.queries import Connection
from runner.ledger.result_query import LastRun, LedgerError, ResultQuery, record_end
from runner.ledger.totals import Totals, undecided
from runner.ledger.writer import record_now
from runner.planning.prepare import Prepared
from runner.planning.row_stream import Intake
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
    table = ResultsTable(ready.intake, place.connection, known=place.known(ready.intake.job))
    code, text = (reason.exit_code, reason.text) if reason else (ExitCode.OK, "")
    record_end(place.connection, run, code, text)
    counts = known or table.write(place.folder, partial(record_now, place.connection))
    if known is None:
        with suppress(OSError, LedgerError):
            table.map_done(place.folder)
    if reason is None:
        code, text = finished_code(counts.by_status)
        record_end(place.connection, run, code, text)
    sums = completion_cache.sums(place.connection, place.done)
    summary = summarize(sums, ready.job, str(place.out), ready.run_id, counts, code, text, duration_s)
    save_summary(place.folder, summary)
    return summary


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


def look(intake: Intake, job: Job, out: str, connection: Connection, *, live: bool) -> Summary:
    """The summary of a folder as it stands, without writing anything. live: a run is going on."""
    last = ResultQuery(connection).last_run()
    done = completion_cache.load(Path(out), connection, job)
    live_run = last.run if live and last is not None else None
    counts = ResultsTable(intake, connection, live_run, done).count()
    code, text, duration_s = _ended(last, live=live)
    sums = completion_cache.sums(connection, done)
    run_id = "" if last is None else last.run_id
    summary = summarize(sums, job, out, run_id, counts, code, text, duration_s)
    left = 0 if live else undecided(connection, 0 if done is None else done.attempts)
    return dataclasses.replace(summary, maybe_billed=summary.maybe_billed + left)


def _ended(last: LastRun | None, *, live: bool) -> tuple[ExitCode, str, float]:
    """Exit code, reason and seconds of the newest run, as far as there are any yet."""
    if last is not None and last.end is not None and not live:
        end = last.end
        return ExitCode(end.exit_code), end.reason, (end.finished_ms - last.started_ms) / 1000
    if live:
        code = ExitCode.OK if last is None or last.end is None else ExitCode(last.end.exit_code)
        return code, "running", time.time() - (0 if last is None else last.started_ms) / 1000
    return ExitCode.INTERNAL, "the last run was killed; run again to resume", 0.0
