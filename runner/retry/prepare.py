"""A retry from its request to what the engine is given, and what is said when there is nothing to send."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from runner.config.loader import read_out_job
from runner.ledger import item_index, writer
from runner.ledger.override_texts import TextStore
from runner.ledger.queries import Connection, newest_run
from runner.ledger.reader import reading
from runner.planning.manifest_diff import census
from runner.planning.plan import Forecast
from runner.planning.prepare import Prepared, prepare
from runner.results.summary import look
from runner.results.table import ResultsTable
from runner.retry.override_rows import Remaker
from runner.retry.request import Asked
from runner.retry.survey import Survey, Surveyor
from runner.text.wording import count_text, money_text
from runner.workspace import lock
from runner.workspace.folder import OpenFolder
from schemas.errors import JobError
from schemas.job import Job
from schemas.output_folder import TEMPORARY
from schemas.reports import Plan, Summary

_STORE = "retry-texts.sqlite"


class Retry(NamedTuple):
    """own: the folder's job, whose manifest and rows these are. ready: the same rows, sent as the retry says."""

    own: Prepared
    ready: Prepared
    asked: Asked

    @property
    def job(self) -> Job:
        """The folder's own job, which stays in its job.toml."""
        return self.own.job

    @property
    def elsewhere(self) -> bool:
        """Whether it goes to another service than the folder's own."""
        return self.asked.elsewhere and not self.job.simulate

    @property
    def command(self) -> str:
        """What the ledger keeps of the call."""
        return self.asked.command(elsewhere=self.elsewhere)

    @property
    def sends(self) -> Prepared:
        """What the engine works with: the retry's endpoint and limits, the folder's rows."""
        return replace(self.ready, intake=self.own.intake)

    def surveyor(
        self, connection: Connection, *, store: TextStore | None = None, live_run: int | None = None
    ) -> Surveyor:
        """Looks at every row; see `Surveyor`."""
        remaker = Remaker(
            self.asked.changes,
            self.own.intake.defaults,
            self.ready.intake.defaults,
            self.own.intake.manifest.columns,
            store,
        )
        table = ResultsTable(self.own.intake, connection, live_run)
        forecast = Forecast(self.ready, item_index.past(connection))
        return Surveyor(table, connection, self.asked.wanted, remaker, forecast)


def prepared(out: Path, asked: Asked, *, sends: bool = True) -> Retry:
    """The folder's job as it stands and as the retry wants it. Raises JobError (exit 2)."""
    wanted = asked.wanted
    if wanted.succeeded and not wanted.reads_by_name:
        raise JobError(
            "--succeeded sends pictures again that are there, and needs to be told which",
            fix="add --where, --flag, --since or --rows",
        )
    own = prepare(read_out_job(out), sends=False)
    job = read_out_job(out, dict(asked.settings))
    return Retry(own, prepare(job, sends=sends), asked)


@contextmanager
def text_store(place: OpenFolder, asked: Asked) -> Iterator[TextStore | None]:
    """Where filled templates are kept while the retry goes on; None where there is no template to fill."""
    if not asked.changes.columns:
        yield None
        return
    store = TextStore(place.out / TEMPORARY / _STORE)
    try:
        yield store
    finally:
        store.close()


def refuse(found: Survey, asked: Asked) -> None:
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
    if found.again and not asked.yes:
        cost = found.forecast.plan(rows=0, done=0, parked=0, invalid=0).cost_usd.high
        price = "" if cost is None else f" (with the others at most {money_text(cost)})"
        there = count_text(found.again, "image that is there", "images that are there")
        raise JobError(
            f"{there} would be made and paid for again{price}; nothing was sent",
            fix="add --yes to send them, or --dry-run to look first",
        )


def idle(retry: Retry, place: OpenFolder, found: Survey) -> Summary:
    """The summary of a retry with nothing to send: says why. The table is what a killed run would have left."""
    table = ResultsTable(retry.own.intake, place.connection)
    table.write(place.folder, partial(writer.record_now, place.connection))
    summary = look(retry.own.intake, retry.job, str(place.out), place.connection, live=False)
    return replace(summary, exit_code=0, exit_reason=f"nothing to send: {why_nothing(found)}")


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
        "row is a task that is being made; run asks for it",
        "rows are tasks that are being made; run asks for them",
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
"""State of rows that are left -> what is said of one of them, and of more."""


def why_nothing(found: Survey) -> str:
    """Why no row is sent."""
    told = [count_text(found.left[state], *texts) for state, texts in _LEFT.items() if found.left[state]]
    return "; ".join(told) or "no row is as asked for"


def forecast(out: Path, asked: Asked) -> tuple[Plan, Survey]:
    """What a retry would send and cost; nothing is written or sent. Raises JobError as the retry would."""
    retry = prepared(out, asked, sends=False)
    check_kind(retry)
    with reading(out) as connection, item_index.one_view(connection):
        census(retry.own.intake, connection, item_index.ItemIndex(connection)).refuse(out)
        live = newest_run(connection) if lock.is_held(out) else None
        found = retry.surveyor(connection, live_run=live).survey()
    refuse(found, replace(asked, yes=True))
    rows = found.rows
    plan = found.forecast.plan(
        rows=rows["rows"], done=rows["succeeded"], parked=rows["parked"], invalid=rows["invalid"]
    )
    notes = []
    if found.again:
        there = count_text(found.again, "of the images is", "of the images are")
        notes.append(f"{there} there already and would be paid for again: needs --yes")
    if not len(found.picks) or found.left["parked"]:
        notes.append(f"not sent: {why_nothing(found)}")
    return replace(plan, warnings=(*plan.warnings, *notes)), found


def check_kind(retry: Retry) -> None:
    """Raises JobError (exit 2) where a simulated folder would be sent to a service, or the other way round."""
    if retry.ready.job.simulate != retry.job.simulate:
        made = "simulated" if retry.job.simulate else "real"
        raise JobError(f"{retry.own.out} was made by a {made} run, and stays so", fix="leave --simulate out")
