"""The table of failures is total, and what its lines say about money and resending agrees with itself."""

from __future__ import annotations

import pytest

from schemas.failures import RULES, Billed, Failure, FailureKind, Resend, RowStatus


def test_the_table_is_total() -> None:
    assert set(RULES) == set(FailureKind)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_kind_that_may_have_been_paid_is_never_sent_again_unasked(kind: FailureKind) -> None:
    rule = RULES[kind]
    if rule.billed is not Billed.NO:
        assert rule.resend in (Resend.NEVER, Resend.IF_ALLOWED)


@pytest.mark.parametrize("kind", FailureKind)
def test_what_may_pay_twice_rests_parked(kind: FailureKind) -> None:
    rule = RULES[kind]
    if rule.resend is Resend.IF_ALLOWED:
        assert (rule.rest, rule.billed is Billed.NO) == (RowStatus.PARKED, False)


@pytest.mark.parametrize("kind", FailureKind)
def test_what_halts_the_run_leaves_its_row_pending_and_unpaid(kind: FailureKind) -> None:
    rule = RULES[kind]
    if rule.halts:
        assert (rule.rest, rule.billed, rule.resend) == (RowStatus.PENDING, Billed.NO, Resend.NEVER)


@pytest.mark.parametrize("kind", FailureKind)
def test_what_makes_everybody_wait_goes_on(kind: FailureKind) -> None:
    rule = RULES[kind]
    if rule.slows:
        assert (rule.resend is not Resend.NEVER, rule.halts) == (True, False)


AMBIGUOUS = {kind for kind, rule in RULES.items() if rule.resend is Resend.IF_ALLOWED}


def test_ambiguity_slows_all_senders_but_for_that_of_the_users_own_making() -> None:
    slowing = {kind for kind in AMBIGUOUS if RULES[kind].slows}
    assert slowing == AMBIGUOUS - {FailureKind.INTERRUPTED}


def test_a_web_page_leaves_its_row_pending_and_unpaid() -> None:
    rule = RULES[FailureKind.NOT_AN_API]
    assert (rule.rest, rule.billed, rule.who) == (RowStatus.PENDING, Billed.NO, "you")


@pytest.mark.parametrize("kind", FailureKind)
def test_each_line_says_who_can_mend_it_and_what_it_means(kind: FailureKind) -> None:
    assert RULES[kind].who in ("you", "service", "network")
    assert RULES[kind].meaning


@pytest.mark.parametrize(
    ("kind", "billed", "expected"),
    [
        (FailureKind.SERVER_ERROR, None, False),
        (FailureKind.SERVER_ERROR, Billed.MAYBE, True),
        (FailureKind.TIMEOUT, None, True),
        (FailureKind.TIMEOUT, Billed.NO, False),
        (FailureKind.BAD_CONTENT, None, True),
        (FailureKind.RATE_LIMITED, None, False),
    ],
)
def test_the_endpoints_knowledge_of_payment_overrides_the_rule(
    kind: FailureKind, billed: Billed | None, expected: bool
) -> None:
    assert Failure(kind, "x", billed=billed).maybe_billed is expected
