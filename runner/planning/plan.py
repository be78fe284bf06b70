"""`imagemill plan`: every row validated, counted and priced; nothing written, nothing sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from jobs.cost import Estimate, Prices, estimate
from jobs.sliding_window import WindowLog, margin_s
from runner.ledger import completion_cache, item_index, schema
from runner.ledger.completion_cache import DoneMap
from runner.ledger.reader import reading
from runner.planning.manifest_diff import Census, change_warnings
from runner.planning.prepare import Prepared
from runner.planning.settings_drift import settings_warnings
from runner.text.wording import count_text
from schemas.errors import JobError
from schemas.failures import RowStatus
from schemas.job import Job
from schemas.manifest_diff import Changes
from schemas.outcome import ABSENT
from schemas.output_folder import LEDGER_NAME
from schemas.reports import CostRange, Plan
from schemas.row import Row, RowProblem

_TYPICAL_LATENCY_S = 60.0
_SIMULATED_LATENCY_S = 0.2
_SIMULATED_MEAN = 1.17
"""Mean of the simulator's latencies, of their median."""
_SHOWN_PROBLEMS = 5
_ENOUGH_PAST = 20


class Paced:
    """The requests sent as early as the told limits let them, in order. last_s: when the last one leaves.

    limits: limit and window (seconds) by the limit's name. held_by: the limit that last made a request wait.
    """

    def __init__(self, limits: Mapping[str, tuple[float, float]]) -> None:
        self._logs = {name: WindowLog(*limit, margin_s(limit[1], limit[0])) for name, limit in limits.items()}
        self.last_s = 0.0
        self.held_by = ""

    def add(self, images: int) -> None:
        """Another request."""
        if not self._logs:
            return
        weights = {name: float(images if name == "ipm" else 1) for name in self._logs}
        for name, log in self._logs.items():
            ready = log.ready_at(self.last_s, weights[name])
            if ready > self.last_s:
                self.last_s, self.held_by = ready, name
        for name, log in self._logs.items():
            log.add(self.last_s, weights[name])


def _told(job: Job) -> dict[str, tuple[float, float]]:
    limits = {"rpm": job.limits.rpm, "ipm": job.limits.ipm}
    return {name: (rate, job.limits.window_s) for name, rate in limits.items() if rate is not None}


@dataclass
class _Work:
    """What is still to send."""

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
    past: item_index.Past | None = None
    paced: Paced = field(default_factory=lambda: Paced({}))
    problems: list[str] = field(default_factory=list)
    warnings: dict[str, int] = field(default_factory=dict)
    changes: Changes | None = None
    changed: list[str] = field(default_factory=list)


def plan(ready: Prepared) -> Plan:
    """Count and price what a run of this job would send now. Raises JobError for a damaged ledger."""
    work, prices = _Work(paced=Paced(_told(ready.job))), ready.prices
    with _known(ready) as (index, work.past, done, census):
        if done is not None:
            work.rows = work.done = done.rows
        for batch in ready.intake.batches(done):
            rows: Sequence[Row | RowProblem] = batch.rows
            items = [ABSENT] * len(rows)
            if index is not None and census is not None:
                rows, items, _ = census.look(rows, index.items(rows))
            statuses = index.statuses(items) if index is not None else [RowStatus.PENDING] * len(rows)
            polled = index.polled if index is not None else frozenset()
            for row, item, status in zip(rows, items, statuses, strict=True):
                if item in polled:
                    work.rows += 1
                    work.polled += 1
                else:
                    _add(work, row, status, prices)
        if census is not None and not census.empty:
            work.changes = census.changes()
            work.changed = [
                *change_warnings(work.changes, refused=census.refused, whole=census.whole),
                *settings_warnings(ready.intake, census.connection, ready.out, census.present),
            ]
    return _plan(work, ready)


@contextmanager
def _known(
    ready: Prepared,
) -> Iterator[tuple[item_index.ItemIndex | None, item_index.Past | None, DoneMap | None, Census | None]]:
    if not (ready.out / LEDGER_NAME).exists():
        yield None, None, None, None
        return
    with reading(ready.out) as connection, item_index.one_view(connection):
        if schema.was_simulated(connection) != ready.job.simulate:
            made = "real" if ready.job.simulate else "simulated"
            raise JobError(f"{ready.out} was made by a {made} run", fix="choose another --out")
        done = completion_cache.load(ready.out, connection, ready.job)
        index = item_index.ItemIndex(connection, done)
        yield index, item_index.past(connection), done, Census(ready.intake, connection, index, done)


def _add(work: _Work, row: Row | RowProblem, status: RowStatus, prices: Prices) -> None:
    work.rows += 1
    if isinstance(row, RowProblem):
        work.invalid += 1
        if len(work.problems) < _SHOWN_PROBLEMS:
            work.problems.append(row.message)
        return
    for warning in row.warnings:
        work.warnings[warning] = work.warnings.get(warning, 0) + 1
    if status is not RowStatus.PENDING:
        work.done += status is RowStatus.SUCCEEDED
        work.parked += status is RowStatus.PARKED
        work.failed += status is RowStatus.FAILED
        return
    price = estimate(row.request, prices)
    work.requests += 1
    images = row.request.n
    work.images += images
    work.paced.add(images)
    _add_price(work, price)


def _add_price(work: _Work, price: Estimate) -> None:
    if price.low is None or price.high is None:
        work.unpriced += 1
    else:
        work.low += price.low
        work.high += price.high


def _plan(work: _Work, ready: Prepared) -> Plan:
    duration, binding = plan_time(work.requests, work.images, work.paced, ready.job, work.past)
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
        warnings=(*work.changed, *_warnings(work, ready)),
        changes=work.changes,
    )


def _cost(work: _Work, ready: Prepared) -> CostRange:
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


def plan_time(
    requests: int, images: int, paced: Paced, job: Job, past: item_index.Past | None
) -> tuple[float | None, str]:
    """(seconds, the limit that binds). None where nothing is told: the service's own pace decides.

    Told limits take as long as their rate does, and at least as long as windows that mixed weights do not fill.
    past: how long this job's answers took so far; without it a typical latency stands in.
    """
    if not requests:
        return 0.0, "nothing to send"
    limits = job.limits
    latency = past.latency_s if past is not None else _typical_s(job)
    bounds = {
        name: max(0.0, amount - 1) / rate * limits.window_s * 1.005
        for name, amount, rate in (("rpm", requests, limits.rpm), ("ipm", images, limits.ipm))
        if rate is not None
    }
    if paced.held_by:
        bounds[paced.held_by] = max(bounds[paced.held_by], paced.last_s)
    if limits.concurrency is not None:
        bounds["concurrency"] = max(0.0, requests / limits.concurrency - 1) * latency
    if not bounds:
        return None, "none told: the service's own pace decides"
    binding = max(bounds, key=lambda name: bounds[name])
    return round(bounds[binding] + latency, 1), binding


def _typical_s(job: Job) -> float:
    if not job.simulate:
        return _TYPICAL_LATENCY_S
    median = _SIMULATED_LATENCY_S if job.simulator.latency is None else job.simulator.latency
    return median * _SIMULATED_MEAN


def _warnings(work: _Work, ready: Prepared) -> list[str]:
    warnings = [f"{text} ({count_text(times, 'row')})" for text, times in work.warnings.items()]
    if work.polled:
        tasks = count_text(work.polled, "row is a task", "rows are tasks")
        them = "it" if work.polled == 1 else "them"
        warnings.append(
            f"{tasks} that the service has not ended: run asks for {them} and sends nothing again"
        )
    if work.failed:
        failed = count_text(
            work.failed, "row failed for good earlier and is", "rows failed for good earlier and are"
        )
        warnings.append(f"{failed} not sent again by run")
    if work.invalid:
        warnings += work.problems
        if work.invalid > len(work.problems):
            warnings.append(f"… and {count_text(work.invalid - len(work.problems), 'more invalid row')}")
    if not ready.job.simulate and work.low and work.high / work.low > 2:
        warnings.append("quality is auto or not set: the service chooses, and high costs up to 35 times low")
    return warnings


class Forecast:
    """What sending these rows takes: told of them one by one, in the order in which they are sent."""

    def __init__(self, ready: Prepared, past: item_index.Past | None) -> None:
        """past: what the folder's successes were like."""
        self._ready, self._prices = ready, ready.prices
        self._work = _Work(paced=Paced(_told(ready.job)), past=past)

    def add(self, row: Row) -> None:
        """Another row."""
        _add(self._work, row, RowStatus.PENDING, self._prices)

    def plan(self, *, rows: int, done: int, parked: int, invalid: int) -> Plan:
        """The whole; the counts are of the folder's rows."""
        self._work.rows, self._work.done, self._work.parked = rows, done, parked
        return replace(_plan(self._work, self._ready), invalid=invalid)
