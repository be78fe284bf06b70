"""`imagemill plan`: every row validated, counted and priced; nothing written, nothing sent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from jobs.cost import Estimate, Prices, estimate
from jobs.invalid_rows import invalid_row
from jobs.rows import partial_row
from runner.ledger.reader import LedgerReader
from runner.ledger.schema import refuse_new_ledger
from runner.ledger.statistics import PastSuccesses
from runner.planning.duration import SendTimeline, configured_limits, plan_time
from runner.planning.endpoint_drift import other_endpoint, told
from runner.planning.manifest_diff import ManifestDiff
from runner.planning.preflight import change_warnings
from runner.planning.prepare import PreparedJob
from runner.planning.renamed_rows import RenamedRows, renamed_rows
from runner.planning.settings_drift import settings_warnings
from runner.text.wording import count_text
from runner.workspace.newest_attempt import check_ledger, newest_trace
from schemas.errors import JobError
from schemas.failures import RowStatus
from schemas.job import Job
from schemas.manifest_diff import ManifestChanges
from schemas.output_folder import LEDGER_NAME
from schemas.reports import BudgetCover, CostRange, Plan, RunWarning
from schemas.row import Row, RowProblem

LISTED_PROBLEMS = 1_000
"""Invalid rows that are listed where not all are asked for."""
_ENOUGH_PAST = 20
_HALF_A_CENT = 0.005 / 100


@dataclass
class _Cover:
    """Counts the images that a budget pays for, in order. left_usd, left_requests: what is left of it; None: no bound."""

    left_usd: float | None
    left_requests: int | None
    images: int | None = 0

    def add(self, images: int, price: Estimate) -> None:
        """Another request."""
        if self.left_usd is not None:
            if price.high is None:
                self.images = None
                return
            self.left_usd -= price.high
            if self.left_usd < -_HALF_A_CENT:
                self.left_requests = 0
        if self.left_requests is not None:
            if self.left_requests <= 0:
                return
            self.left_requests -= 1
        if self.images is not None:
            self.images += images


@dataclass
class _Work:
    """Counts and sums of what is still to send."""

    rows: int = 0
    done: int = 0
    parked: int = 0
    failed: int = 0
    polled: int = 0
    invalid: int = 0
    requests: int = 0
    images: int = 0
    low: float = 0.0
    high: float = 0.0
    unpriced: int = 0
    past: PastSuccesses | None = None
    timeline: SendTimeline = field(default_factory=lambda: SendTimeline({}))
    problems: list[RowProblem] = field(default_factory=list)
    most_problems: float = LISTED_PROBLEMS
    cover: _Cover = field(default_factory=lambda: _Cover(None, None))
    warnings: dict[str, int] = field(default_factory=dict)
    changes: ManifestChanges | None = None
    changed: list[str] = field(default_factory=list)
    spooled: int = 0


def plan(ready: PreparedJob, *, every: bool = False) -> Plan:
    """Count and price what a run of this job would send now. every: list all invalid rows, however many.

    Raises JobError for a damaged ledger.
    """
    with _known(ready) as (past, diff):
        work = _new_work(ready, past, diff, every=every)
        if diff is None:
            for row in (row for batch in ready.row_stream.batches() for row in batch.rows):
                _add(work, row, RowStatus.PENDING, ready.prices)
            return _plan(work, ready)
        _count(work, ready, diff)
        renamed = RenamedRows() if diff.empty else renamed_rows(diff)
        if renamed.rows and ready.job.run.on_change == "keep":
            work = _new_work(ready, past, diff, every=every)
            diff.index.alias([(found.row.fingerprint, found.item) for found in renamed.rows])
            _count(work, ready, diff := ManifestDiff(ready.row_stream, diff.ledger, diff.index))
        _compare(work, ready, diff, renamed)
        return _plan(work, ready)


def _new_work(
    ready: PreparedJob, past: PastSuccesses | None, diff: ManifestDiff | None, *, every: bool
) -> _Work:
    budget = ready.job.budget
    sums = None if diff is None else diff.ledger.totals()
    usd, requests = (0.0, 0) if sums is None else (sums.spent_usd, sums.requests)
    return _Work(
        timeline=SendTimeline(configured_limits(ready.job)),
        past=past,
        most_problems=math.inf if every else LISTED_PROBLEMS,
        cover=_Cover(
            None if budget.max_cost is None else budget.max_cost - usd,
            None if budget.max_requests is None else budget.max_requests - requests,
        ),
    )


def _compare(work: _Work, ready: PreparedJob, diff: ManifestDiff, renamed: RenamedRows) -> None:
    """What is said of the difference between the manifest and what was sent. renamed: those over which a run would stop."""
    if diff.empty:
        return
    work.changes = diff.changes()
    if ready.job.run.on_change != "stop":
        renamed = RenamedRows()
    work.changed = [
        *change_warnings(work.changes, renamed, refused=diff.refused, whole=diff.whole),
        *settings_warnings(ready.row_stream, diff.ledger, diff.present),
    ]
    if (last := other_endpoint(ready, diff.ledger)) is not None:
        work.changed.append(f"{told(last, ready)}: run sends nothing without --new-endpoint")


def _count(work: _Work, ready: PreparedJob, diff: ManifestDiff) -> None:
    """Count what is to send of a manifest of whose rows some were sent."""
    index = diff.index
    work.rows = work.done = index.completed.rows
    for batch in ready.row_stream.incomplete_batches(index):
        rows, items, _ = diff.add(batch.rows, index.items(batch.rows))
        for row, item, status in zip(rows, items, index.statuses(items), strict=True):
            if item in index.polled:
                work.rows += 1
                work.polled += 1
                continue
            indexes = index.to_send(row, item, status) if isinstance(row, Row) else None
            if indexes and isinstance(row, Row):
                row, status = partial_row(row, indexes), RowStatus.PENDING
            _add(work, row, status, ready.prices)
    work.spooled = len(diff.ledger.spooled_attempts())


@contextmanager
def _known(ready: PreparedJob) -> Iterator[tuple[PastSuccesses | None, ManifestDiff | None]]:
    if not (ready.out / LEDGER_NAME).exists():
        refuse_new_ledger(ready.out)
        yield None, None
        return
    trace = newest_trace(ready.out)
    with LedgerReader.open(ready.out) as ledger, ledger.snapshot():
        check_ledger(ledger, trace)
        if ledger.is_simulated() != ready.job.simulate:
            made = "real" if ready.job.simulate else "simulated"
            raise JobError(f"{ready.out} was made by a {made} run", fix="choose another --out")
        index = ledger.item_index(ledger.completed_rows(ready.job))
        yield ledger.past_successes(), ManifestDiff(ready.row_stream, ledger, index)


def _add(work: _Work, row: Row | RowProblem, status: RowStatus, prices: Prices) -> None:
    work.rows += 1
    if isinstance(row, RowProblem):
        work.invalid += 1
        if len(work.problems) < work.most_problems:
            work.problems.append(row)
        return
    if status is not RowStatus.PENDING:
        work.done += status is RowStatus.SUCCEEDED
        work.parked += status is RowStatus.PARKED
        work.failed += status is RowStatus.FAILED
        return
    for warning in row.warnings:
        work.warnings[warning] = work.warnings.get(warning, 0) + 1
    price = estimate(row.request, prices)
    work.requests += 1
    images = row.request.n
    work.images += images
    work.timeline.add(images)
    work.cover.add(images, price)
    _add_price(work, price)


def _add_price(work: _Work, price: Estimate) -> None:
    if price.low is None or price.high is None:
        work.unpriced += 1
    else:
        work.low += price.low
        work.high += price.high


def _plan(work: _Work, ready: PreparedJob) -> Plan:
    duration, binding = plan_time(work.requests, work.images, work.timeline, ready.job, work.past)
    return Plan(
        rows=work.rows,
        images=work.images,
        requests=work.requests,
        done=work.done,
        invalid=work.invalid,
        parked=work.parked,
        cost_usd=_cost(work, ready),
        duration_s=duration,
        binding_limit=binding,
        warnings=(*(RunWarning("changed", text) for text in work.changed), *_warnings(work, ready)),
        changes=work.changes,
        service=ready.service,
        budget=_budget(work, ready.job),
        invalid_rows=tuple(invalid_row(each, ready.row_stream.manifest.columns) for each in work.problems),
    )


def _budget(work: _Work, job: Job) -> BudgetCover | None:
    budget = job.budget
    if budget.max_cost is None and budget.max_requests is None:
        return None
    return BudgetCover(budget.max_cost, budget.max_requests, work.cover.images)


def _cost(work: _Work, ready: PreparedJob) -> CostRange:
    if ready.job.simulate:
        source = f"nothing is charged by the simulator; for the real service: {ready.prices.source}"
    else:
        source = ready.prices.source
        own = ready.job.budget.price is not None or ready.job.endpoint.prices is not None
        profile = ready.endpoint.profile
        if not own and not profile.publishes_prices:
            source += f" ({profile.name} publishes none: set --price for yours)"
    past = work.past
    if (
        past is not None
        and past.image_usd is not None
        and past.count >= _ENOUGH_PAST
        and not ready.job.simulate
    ):
        mean, error = past.image_usd * work.images, 2 * past.spread_usd * work.images / past.count**0.5
        return CostRange(
            round(max(0.0, mean - error), 4),
            round(mean + error, 4),
            f"the last {past.count:,} images of this job",
        )
    if work.unpriced:
        return CostRange(None, None, source)
    return CostRange(round(work.low, 4), round(work.high, 4), source)


def _warnings(work: _Work, ready: PreparedJob) -> Iterator[RunWarning]:
    for text, times in work.warnings.items():
        yield RunWarning("row", text, times)
    if work.polled:
        waiting = count_text(work.polled, "row waits", "rows wait")
        told = f"{waiting} for a task or an image that the service has made: run asks for it and sends nothing again"
        yield RunWarning("waiting", told, work.polled)
    if work.spooled:
        kept = count_text(work.spooled, "parked row has", "parked rows have")
        told = f"{kept} a paid answer in a spool file: run puts it in its place and sends nothing for it"
        yield RunWarning("spooled", told, work.spooled)
    if work.failed:
        failed = count_text(
            work.failed, "row failed for good earlier and is", "rows failed for good earlier and are"
        )
        yield RunWarning("failed", f"{failed} not sent again by run", work.failed)
    if not ready.job.simulate and work.low and work.high / work.low > 2:
        told = "quality is auto or not set: the service chooses, and high costs up to 35 times low"
        yield RunWarning("price_range", told)


class Forecast:
    """Forecasts cost and time of rows that are added one by one, in the order in which they will be sent."""

    def __init__(self, ready: PreparedJob, past: PastSuccesses | None) -> None:
        """past: what the folder's successes were like."""
        self._ready, self._prices = ready, ready.prices
        self._work = _Work(timeline=SendTimeline(configured_limits(ready.job)), past=past)

    def add(self, row: Row) -> None:
        """Another row."""
        _add(self._work, row, RowStatus.PENDING, self._prices)

    def plan(self, *, rows: int, done: int, parked: int, invalid: int) -> Plan:
        """The whole; the counts are of the folder's rows."""
        self._work.rows, self._work.done, self._work.parked = rows, done, parked
        return replace(_plan(self._work, self._ready), invalid=invalid)
