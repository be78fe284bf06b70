"""`imagemill plan`: every row validated, counted and priced; nothing written, nothing sent."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from jobs.cost import Estimate, estimate
from runner.prepared import Prepared
from runner.store import ledger, views
from schemas.exit_codes import JobError
from schemas.failures import RowStatus
from schemas.job import Job
from schemas.row import Row, RowProblem
from schemas.summary import CostRange, Plan

_TYPICAL_LATENCY_S = 60.0
_SIMULATED_LATENCY_S = 0.2
_SHOWN_PROBLEMS = 5


@dataclass
class _Work:
    """What is still to send."""

    rows: int = 0
    done: int = 0
    parked: int = 0
    failed: int = 0
    invalid: int = 0
    requests: int = 0
    images: int = 0
    low: float = 0.0
    high: float = 0.0
    unpriced: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: dict[str, int] = field(default_factory=dict)


def plan(ready: Prepared) -> Plan:
    """Count and price what a run of this job would send now. Raises JobError for a damaged ledger."""
    connection = _ledger(ready)
    work = _Work()
    try:
        index = views.ItemIndex(connection) if connection is not None else None
        for batch in ready.intake.batches():
            items = index.items(batch.rows) if index is not None else [views.ABSENT] * len(batch.rows)
            statuses = index.statuses(items) if index is not None else [RowStatus.PENDING] * len(batch.rows)
            for row, status in zip(batch.rows, statuses, strict=True):
                _add(work, row, status, ready)
    finally:
        if connection is not None:
            connection.close()
    return _plan(work, ready)


def _ledger(ready: Prepared) -> sqlite3.Connection | None:
    if not (ready.out / ledger.LEDGER_NAME).exists():
        return None
    connection = ledger.open_reader(ready.out)
    if (ledger.read_meta(connection, "simulated") == "1") != ready.job.simulate:
        connection.close()
        made = "real" if ready.job.simulate else "simulated"
        raise JobError(f"{ready.out} was made by a {made} run", fix="choose another --out")
    return connection


def _add(work: _Work, row: Row | RowProblem, status: RowStatus, ready: Prepared) -> None:
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
    price = estimate(row.request, ready.prices)
    work.requests += 1
    work.images += row.request.n
    _add_price(work, price)


def _add_price(work: _Work, price: Estimate) -> None:
    if price.low is None or price.high is None:
        work.unpriced += 1
    else:
        work.low += price.low
        work.high += price.high


def _plan(work: _Work, ready: Prepared) -> Plan:
    duration, binding = _time(work, ready.job)
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
        warnings=tuple(_warnings(work, ready)),
    )


def _cost(work: _Work, ready: Prepared) -> CostRange:
    if ready.job.simulate:
        source = f"nothing is charged by the simulator; for the real service: {ready.prices.source}"
    else:
        source = ready.prices.source
        if ready.job.budget.price is None and ready.endpoint.profile.name == "dieyuyun":
            source += " (dieyuyun publishes none: set --price for yours)"
    if work.unpriced:
        return CostRange(None, None, source)
    return CostRange(round(work.low, 4), round(work.high, 4), source)


def _time(work: _Work, job: Job) -> tuple[float | None, str]:
    """(seconds, the limit that binds). Without any told limit the time is a guess from a typical latency."""
    if not work.requests:
        return 0.0, "nothing to send"
    limits = job.limits
    bounds = {
        name: amount / rate * limits.window_s
        for name, amount, rate in (("rpm", work.requests, limits.rpm), ("ipm", work.images, limits.ipm))
        if rate is not None
    }
    latency = _SIMULATED_LATENCY_S if job.simulate else _TYPICAL_LATENCY_S
    if limits.concurrency is not None:
        bounds["concurrency"] = work.requests * latency / limits.concurrency
    if not bounds:
        return None, "none told: the service's own pace decides"
    binding = max(bounds, key=lambda name: bounds[name])
    return round(bounds[binding] + latency, 1), binding


def _warnings(work: _Work, ready: Prepared) -> list[str]:
    warnings = [f"{text} ({times:,} rows)" for text, times in work.warnings.items()]
    if work.failed:
        warnings.append(f"{work.failed:,} rows failed for good earlier and are not sent again by run")
    if work.invalid:
        warnings += work.problems
        if work.invalid > len(work.problems):
            warnings.append(f"… and {work.invalid - len(work.problems):,} more invalid rows")
    if not ready.job.simulate and work.low and work.high / work.low > 2:
        warnings.append("quality is auto or not set: the service chooses, and high costs up to 35 times low")
    return warnings
