"""Prepares a retry, from its request to what the engine is given, and words why nothing is sent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from runner.artifacts.artifact_reader import LocalReader
from runner.config.loader import read_out_job
from runner.ledger.override_texts import TextStore
from runner.ledger.reader import LedgerReader
from runner.planning.plan import Forecast
from runner.planning.preflight import compared
from runner.planning.prepare import PreparedJob, prepare
from runner.results.summary import folder_summary, nothing_sent
from runner.results.table import ResultsTable
from runner.retry.override_rows import RowOverrides
from runner.retry.request import RetryRequest
from runner.retry.survey import Survey, Surveyor
from runner.text.wording import count_text, money_text
from runner.workspace import lock
from runner.workspace.folder import Workspace
from runner.workspace.newest_attempt import check_ledger, newest_trace
from schemas.errors import JobError
from schemas.job import Job
from schemas.output_folder import IMAGES, TEMPORARY
from schemas.reports import Plan, RunWarning
from schemas.summary import Summary

_STORE = "retry-texts.sqlite"


class PreparedRetry(NamedTuple):
    """own: the folder's job, with its manifest and rows. ready: the job with the retry's settings."""

    own: PreparedJob
    ready: PreparedJob
    request: RetryRequest

    @property
    def job(self) -> Job:
        """The folder's own job, which stays in its job.toml."""
        return self.own.job

    @property
    def other_endpoint(self) -> bool:
        """Whether it is sent to another service than the folder's own."""
        return self.request.other_endpoint and not self.job.simulate

    @property
    def command(self) -> str:
        """The call as the ledger records it."""
        return self.request.command(other_endpoint=self.other_endpoint)

    @property
    def sends(self) -> PreparedJob:
        """What the engine works with: the retry's endpoint and limits, the folder's rows."""
        return replace(self.ready, row_stream=self.own.row_stream)

    def surveyor(
        self, ledger: LedgerReader, *, store: TextStore | None = None, live_run: int | None = None
    ) -> Surveyor:
        """A surveyor for this retry."""
        row_overrides = RowOverrides(
            self.request.overrides,
            self.own.row_stream.defaults,
            self.ready.row_stream.defaults,
            self.own.row_stream.manifest.columns,
            store,
        )
        table = ResultsTable(self.own.row_stream, ledger, live_run)
        forecast = Forecast(self.ready, ledger.past_successes())
        return Surveyor(table, ledger, self.request.selection, row_overrides, forecast, self.request.picks)


def prepared(out: Path, request: RetryRequest, *, sends: bool = True) -> PreparedRetry:
    """The folder's job as it stands and as the retry wants it. Raises JobError (exit 2)."""
    selection = request.selection
    if selection.succeeded and not selection.reads_by_name:
        raise JobError(
            "--succeeded sends pictures again that are there, and needs to be told which",
            fix="add --where, --flag, --since, --rows or --picks",
        )
    if selection.missing and not request.yes and next(iter(LocalReader(out).list(IMAGES)), None) is None:
        raise JobError(
            f"{out / IMAGES} holds no image at all: is it on a disk that is not there now?",
            fix="add --yes where all of them are to be paid for again",
        )
    own = prepare(read_out_job(out), sends=False, holds=True, recorded=True)
    job = read_out_job(out, dict(request.settings))
    return PreparedRetry(own, prepare(job, sends=sends, recorded=True), request)


@contextmanager
def text_store(workspace: Workspace, request: RetryRequest) -> Iterator[TextStore | None]:
    """A store for filled templates while the retry runs; None if no template names a column."""
    if not request.overrides.columns:
        yield None
        return
    store = TextStore(workspace.out / TEMPORARY / _STORE)
    try:
        yield store
    finally:
        store.close()


def refuse(found: Survey, request: RetryRequest) -> None:
    """Raises JobError (exit 2) when a row cannot be sent as asked, or a success would be paid for again unasked."""
    if found.wrong:
        more = (
            [f"… and {found.wrong - len(found.problems):,} more"] if found.wrong > len(found.problems) else []
        )
        total = found.wrong + len(found.picks)
        raise JobError(
            "\n  ".join(
                [
                    f"{found.wrong:,} of {count_text(total, 'row')} cannot be sent like this",
                    *found.problems,
                    *more,
                ]
            ),
            fix="change what is overridden, or leave these rows out (--where); nothing was sent",
        )
    if found.already_made and not request.pays_again:
        cost = found.forecast.plan(rows=0, done=0, parked=0, invalid=0).cost_usd.high
        price = "" if cost is None else f" (at most {money_text(cost)} with the others)"
        there = count_text(found.already_made, "existing image", "existing images")
        raise JobError(
            f"{there} would be made again and charged{price}; nothing was sent",
            fix="add --yes to send them, or --dry-run to look first"
            if request.picks is None
            else 'say which with --where "rating <= 2", or add --yes for all picks; --dry-run looks first',
        )


def idle(retry: PreparedRetry, workspace: Workspace, found: Survey, started: float) -> Summary:
    """The summary of a retry with nothing to send; it says why. Writes the results table, in case a killed run did not.

    started: of the command, on the monotonic clock.
    """
    table = ResultsTable(retry.own.row_stream, workspace.ledger)
    table.write(workspace.folder, workspace.ledger.record)
    summary = folder_summary(
        retry.own.row_stream, retry.job, workspace.ledger, retry.ready.service, held=False
    )
    reason = f"nothing to send: {why_nothing(found)}"
    return nothing_sent(summary, "retry", reason, time.monotonic() - started)


_LEFT = {
    "parked": (
        "parked row matches, which may have been paid for already; add --parked",
        "parked rows match, which may have been paid for already; add --parked",
    ),
    "succeeded": (
        "row that succeeded matches; add --succeeded --yes to pay for it again",
        "rows that succeeded match; add --succeeded --yes to pay for them again",
    ),
    "polled": (
        "row waits for a task or an image that is made; run asks for it and sends nothing again",
        "rows wait for tasks or images that are made; run asks for them and sends nothing again",
    ),
    "edited": (
        "row was edited since and keeps its earlier image (run.on_change = keep)",
        "rows were edited since and keep their earlier image (run.on_change = keep)",
    ),
    "invalid": (
        "row is invalid; mend the manifest and run it",
        "rows are invalid; mend the manifest and run it",
    ),
}
"""State of rows that are left out -> the message for one of them, and for several."""


def why_nothing(found: Survey) -> str:
    """Why no row is sent."""
    reasons = [count_text(found.left[state], *texts) for state, texts in _LEFT.items() if found.left[state]]
    return "; ".join((*reasons, *found.notes)) or "no row matches these selections"


def forecast(out: Path, request: RetryRequest) -> tuple[Plan, Survey]:
    """What a retry would send and cost; nothing is written or sent. Raises JobError as the retry would."""
    retry = prepared(out, request, sends=False)
    check_kind(retry)
    trace = newest_trace(out)
    with LedgerReader.open(out) as ledger, ledger.snapshot():
        check_ledger(ledger, trace)
        compared(retry.own.row_stream, ledger, ledger.item_index())
        last = ledger.last_run() if lock.is_held(out) else None
        found = retry.surveyor(ledger, live_run=None if last is None else last.run).survey()
    refuse(found, replace(request, yes=True))
    rows = found.rows
    plan = found.forecast.plan(
        rows=rows["rows"], done=rows["succeeded"], parked=rows["parked"], invalid=rows["invalid"]
    )
    notes = []
    if found.already_made:
        there = count_text(found.already_made, "of the images is", "of the images are")
        needs = "" if request.pays_again and not request.yes else ": needs --yes"
        notes.append(f"{there} there already and would be paid for again{needs}")
    if not len(found.picks) or found.left["parked"]:
        notes.append(f"not sent: {why_nothing(found)}")
    notes += found.notes
    return replace(plan, warnings=(*plan.warnings, *(RunWarning("retry", note) for note in notes))), found


def check_kind(retry: PreparedRetry) -> None:
    """Raises JobError (exit 2) where a simulated folder would be sent to a service, or the other way round."""
    if retry.ready.job.simulate != retry.job.simulate:
        made = "simulated" if retry.job.simulate else "real"
        raise JobError(f"{retry.own.out} was made by a {made} run, and stays so", fix="leave --simulate out")
