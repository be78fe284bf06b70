"""Reports as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runner.cli.console import Facts
from runner.cli.diff_lines import change_lines
from runner.text.wording import count_text, duration_text, money_text
from schemas.failures import RowStatus
from schemas.reports import CostRange, Plan, Summary


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _summary_lines(summary: Summary, simulated: bool) -> Iterator[tuple[str, str]]:
    out = Path(summary.out)
    yield "rows", f"{summary.rows:,} ({count_text(summary.images, 'image')} asked for)"
    for status in RowStatus:
        if status is RowStatus.SUCCEEDED or summary.by_status.get(status):
            yield str(status), f"{summary.by_status.get(status, 0):,}"
    if summary.by_error:
        yield "errors", _counted(summary.by_error)
    paid = (
        f", {count_text(summary.maybe_billed, 'request')} maybe billed without an image"
        if summary.maybe_billed
        else ""
    )
    yield "requests", f"{summary.requests_sent:,} sent{paid}"
    yield "cost", _spent_text(summary.cost_usd, simulated)
    yield "time", duration_text(summary.duration_s)
    yield "images", f"{summary.images_saved:,} in {out / 'images'}"
    yield "results", str(out / "results.parquet")
    if summary.removed:
        yield "removed", _removed_text(summary.removed)
    yield "ended", f"{summary.exit_reason} (exit code {summary.exit_code})"
    if summary.next:
        yield "next", summary.next


def _removed_text(count: int) -> str:
    return count_text(
        count,
        "row of earlier manifests is no longer in it; its images are kept",
        "rows of earlier manifests are no longer in it; their images are kept",
    )


def _spent_text(cost_usd: float | None, simulated: bool) -> str:
    if cost_usd is None:
        return "unknown: no price (see --price)"
    return f"nothing (simulated; {money_text(cost_usd)} at list price)" if simulated else money_text(cost_usd)


def summary_facts(summary: Summary, *, simulated: bool) -> Facts:
    """What a run did, or where a job stands. simulated: the service was the simulator, which charges nothing."""
    return list(_summary_lines(summary, simulated))


def _cost_text(cost: CostRange) -> str:
    if cost.low is None or cost.high is None:
        return "unknown: no price (see --price)"
    amount = money_text(cost.high)
    if cost.low != cost.high:
        amount = f"{money_text(cost.low)} to {amount}"
    return f"{amount} ({cost.source})"


def _plan_lines(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "rows", f"{plan.rows:,}"
    if plan.changes is not None:
        yield from change_lines(plan.changes)
    yield "to make", f"{count_text(plan.images, 'image')} in {count_text(plan.requests, 'request')}"
    for label, count in (("done", plan.done), ("invalid", plan.invalid), ("parked", plan.parked)):
        if count:
            yield label, count_text(count, "row")
    yield "cost", _cost_text(plan.cost_usd)
    if plan.requests == 0:
        yield "time", "nothing to send"
    elif plan.duration_s is not None:
        yield "time", f"about {duration_text(plan.duration_s)}, bound by {plan.binding_limit}"
    else:
        yield "time", "unknown: nothing limits it"
    for warning in plan.warnings:
        yield "warning", warning


def plan_facts(plan: Plan) -> Facts:
    """What a run would do."""
    return list(_plan_lines(plan))
