"""What every `Budget` does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobs.cost import Estimate
from runner.engine import ports
from runner.limits.budget import Budget
from schemas.job import BudgetTable
from tests.support.fakes import FakeBudget

DOLLAR = Estimate(1.0, 1.0)
Made = Callable[[int], ports.Budget]


@pytest.fixture(params=[lambda n: FakeBudget([], n), lambda n: Budget(BudgetTable(max_requests=n), 0.0, 0)])
def made(request: pytest.FixtureRequest) -> Made:
    """A budget for so many requests."""
    return request.param  # type: ignore[no-any-return]


def test_what_was_reserved_counts_until_the_budget_is_used_up(made: Made) -> None:
    budget = made(2)
    for _ in range(2):
        assert budget.refusal(DOLLAR) is None
        assert budget.reserve(DOLLAR) == 1.0
    assert budget.refusal(DOLLAR)


@pytest.mark.parametrize(
    ("cost_usd", "maybe_billed", "spent_usd"), [(0.25, False, 0.25), (None, True, 1.0), (None, False, 0.0)]
)
def test_an_outcome_replaces_what_was_reserved(
    made: Made, cost_usd: float | None, maybe_billed: bool, spent_usd: float
) -> None:
    budget = made(5)
    reserved_usd = budget.reserve(DOLLAR)
    budget.settle(reserved_usd, cost_usd=cost_usd, maybe_billed=maybe_billed)
    assert (budget.reserved_usd, budget.spent_usd) == (0.0, spent_usd)  # type: ignore[attr-defined]
