"""The budget: what was spent, what may have been and what is set aside never exceed the cap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.cost import Estimate
from runner.limits.budget import Budget
from schemas.job import BudgetTable

ONE = Estimate(1.0, 1.0)


def budget(spent: float = 0.0, requests: int = 0, **caps: object) -> Budget:
    """A budget with these caps."""
    return Budget(BudgetTable.model_validate(caps), spent, requests)


def test_without_caps_everything_may_be_sent() -> None:
    assert budget(spent=1e9, requests=10**9).refusal(Estimate(None, None)) is None


def test_requests_of_earlier_runs_count() -> None:
    money = budget(requests=2, max_requests=3)
    assert money.refusal(ONE) is None
    money.reserve(ONE)
    assert money.refusal(ONE) == "--max-requests 3 reached"


def test_money_of_earlier_runs_counts() -> None:
    assert budget(spent=2.0, max_cost=3.0).refusal(ONE) is None
    refusal = budget(spent=2.5, max_cost=3.0).refusal(ONE)
    assert refusal is not None
    assert refusal.startswith("budget of $3.00 reached (--max-cost): $2.50 spent")


def test_a_cap_that_is_met_exactly_is_not_exceeded() -> None:
    money = budget(max_cost=0.3)
    for _ in range(3):
        tenth = Estimate(0.1, 0.1)
        assert money.refusal(tenth) is None
        money.reserve(tenth)
    assert money.refusal(Estimate(0.1, 0.1)) is not None


@pytest.mark.parametrize(
    ("cost", "maybe", "spent"),
    [
        (0.25, False, 0.25),
        (4.0, False, 4.0),
        (None, False, 0.0),
        (None, True, 1.0),
        (0.5, True, 1.0),
        (4.0, True, 4.0),
    ],
)
def test_settling_replaces_the_reservation(cost: float | None, maybe: bool, spent: float) -> None:
    money = budget()
    reserved = money.reserve(ONE)
    assert money.reserved_usd == reserved == 1.0
    money.settle(reserved, cost_usd=cost, maybe_billed=maybe)
    assert (money.reserved_usd, money.spent_usd) == (0.0, spent)


PRICES = st.floats(0.0, 2.0).map(lambda usd: Estimate(usd / 2, usd))
SETTLING = st.tuples(st.floats(0.0, 1.0), st.booleans())


@given(st.floats(0.0, 10.0), st.lists(st.tuples(PRICES, st.none() | SETTLING), max_size=40))
def test_the_cap_holds_as_long_as_nothing_costs_more_than_estimated(
    cap: float, requests: list[tuple[Estimate, tuple[float, bool] | None]]
) -> None:
    money = budget(max_cost=cap)
    for price, settling in requests:
        if money.refusal(price) is not None:
            continue
        reserved = money.reserve(price)
        if settling is not None and price.high is not None:
            share, maybe = settling
            money.settle(reserved, cost_usd=share * price.high, maybe_billed=maybe)
        assert money.spent_usd + money.reserved_usd <= cap + 1e-6


def test_a_soft_cutoff_sets_the_middle_of_the_range_aside() -> None:
    money = budget(max_cost=1.0, cutoff="soft")
    wide = Estimate(0.0, 1.6)
    assert money.refusal(wide) is None
    money.reserve(wide)
    assert money.reserved_usd == 0.8
    assert money.refusal(wide) is not None


def test_a_request_of_an_earlier_run_is_reserved_instead_of_spent_while_it_is_followed() -> None:
    money = Budget(BudgetTable(max_cost=1.0), spent_usd=0.75, requests=3)
    reserved = money.rejoin(0.5)
    assert (money.spent_usd, money.reserved_usd, money.requests) == (0.25, 0.5, 3)
    money.settle(reserved, cost_usd=0.125, maybe_billed=False)
    assert (money.spent_usd, money.reserved_usd) == (0.375, 0.0)
