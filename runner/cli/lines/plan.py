"""A `Plan` and a `Verification` as lines for people."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runner.cli.console import Facts
from runner.cli.lines.changes import change_lines
from runner.text.wording import count_text, duration_text, money_text
from schemas.reports import BudgetCover, CostRange, Plan

if TYPE_CHECKING:
    from runner.maintenance.verify import Verification
    from runner.retry.request import RetryRequest
    from runner.retry.survey import Survey

SHOWN_PROBLEMS = 5
"""Invalid rows that a plan shows one by one."""
SHOWN_FILES = 100
"""Problems, and notes, that a verification shows one by one."""


def _cost_text(cost: CostRange) -> str:
    if cost.low is None or cost.high is None:
        return "unknown: no price (see --price)"
    amount = money_text(cost.high)
    if (least := money_text(cost.low)) != amount:
        amount = f"{least} to {amount}"
    return f"{amount} ({cost.source})"


def _budget_text(budget: BudgetCover, images: int) -> str:
    caps = [
        *([] if budget.max_cost is None else [money_text(budget.max_cost)]),
        *([] if budget.max_requests is None else [count_text(budget.max_requests, "request")]),
    ]
    covered = budget.covers_images
    if covered is None:
        return f"{' and '.join(caps)}: no price, so nobody can tell how far it goes"
    whole = "all" if covered >= images else f"about {covered:,} of"
    return f"{' and '.join(caps)}: enough for {whole} {count_text(images, 'image')}"


def _plan_lines(plan: Plan, *, every: bool) -> Iterator[tuple[str, str]]:
    if plan.service is not None:
        yield "service", str(plan.service)
    yield "rows", f"{plan.rows:,}"
    if plan.changes is not None:
        yield from change_lines(plan.changes)
    yield "to make", f"{count_text(plan.images, 'image')} in {count_text(plan.requests, 'request')}"
    for label, count in (("done", plan.done), ("invalid", plan.invalid), ("parked", plan.parked)):
        if count:
            yield label, count_text(count, "row")
    yield "cost", _cost_text(plan.cost_usd) if plan.requests else "nothing to send"
    if plan.budget is not None and plan.requests:
        yield "budget", _budget_text(plan.budget, plan.images)
    if plan.requests == 0:
        yield "time", "nothing to send"
    elif plan.duration_s is not None:
        yield "time", f"about {duration_text(plan.duration_s)}, bound by {plan.binding_limit}"
    else:
        yield "time", "no estimate: set --rpm or --concurrency"
    for warning in plan.warnings:
        rows = f" ({count_text(warning.rows, 'row')})" if warning.kind == "row" else ""
        yield "warning", f"{warning.message}{rows}"
    shown = plan.invalid_rows if every else plan.invalid_rows[:SHOWN_PROBLEMS]
    for row in shown:
        yield "invalid", row.message
    if plan.invalid > len(shown) and plan.invalid_rows:
        yield "invalid", f"… and {count_text(plan.invalid - len(shown), 'more row')}: plan --all shows them"


def plan_facts(plan: Plan, *, every: bool = False) -> Facts:
    """What a run would do. every: show all invalid rows that it lists."""
    return list(_plan_lines(plan, every=every))


def retry_plan_facts(plan: Plan, found: Survey, request: RetryRequest) -> Facts:
    """What a retry would do: what it changes, and a row as it would be sent."""
    facts = list(plan_facts(plan))
    changed = [*request.overrides.fields, *request.overrides.params]
    if changed:
        facts.append(("changed", ", ".join(name for name, _ in changed)))
    if found.example is not None:
        facts.append(("example", f"row {found.example[0]}: {found.example[1]}"))
    return facts


def verification_facts(found: Verification, folder: str) -> list[tuple[str, str]]:
    """What was found, the worst first, and what to type."""
    out = shlex.quote(folder)
    facts = [("checked", count_text(found.checked, "file or table", "files and tables"))]
    for problem in found.problems[:SHOWN_FILES]:
        facts.append(("repaired" if problem.repaired else "problem", f"{problem.path}: {problem.problem}"))
    if len(found.problems) > SHOWN_FILES:
        facts.append(("…", f"{len(found.problems) - SHOWN_FILES:,} more; --json lists all"))
    facts += [
        ("repaired" if note.repaired else "note", f"{note.path}: {note.problem}")
        for note in found.notes[:SHOWN_FILES]
    ]
    if len(found.notes) > SHOWN_FILES:
        facts.append(("…", f"{len(found.notes) - SHOWN_FILES:,} more notes; --json lists all"))
    facts.append(("verdict", verdict(found)))
    if not found.damaged and not found.tidy:
        facts.append(("next", f"imagemill run {shlex.quote(folder + '/job.toml')}"))
    if found.gone:
        facts.append(("next", f"imagemill retry {out} --missing --dry-run"))
    return facts


def verdict(found: Verification) -> str:
    """All of it in a sentence."""
    if not found.damaged and not found.tidy:
        left = count_text(sum(not note.repaired for note in found.notes), "leftover", "leftovers")
        return f"nothing is damaged; {left} of a killed run, which the next run, or --repair, puts in order"
    if not found.problems:
        return "everything is as the ledger says"
    if found.damaged:
        return f"{count_text(sum(not problem.repaired for problem in found.problems), 'problem')} left"
    return "all problems repaired"
