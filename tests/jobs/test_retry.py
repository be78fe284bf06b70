"""Decisions after failures: total over kinds, never a second payment unasked, never a time in the past."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.brake import ACCOUNT_KINDS
from jobs.retry import (
    BACKOFF_CAP_S,
    NOT_FOUND_ATTEMPTS,
    PROBE_S,
    QUOTA_CAP,
    QUOTA_SHARE,
    QUOTA_START,
    Decision,
    GiveUp,
    Halt,
    History,
    Park,
    Retry,
    RetryPolicy,
    RetryQuota,
    decide,
    gate_s,
)
from schemas.failures import RULES, Billed, Failure, FailureKind, Resend, RowStatus

KIND = FailureKind
SECONDS = st.floats(0, 1e9)
FAILURES = st.builds(
    Failure,
    kind=st.sampled_from(FailureKind),
    message=st.just("x"),
    retry_after_s=st.none() | st.floats(0, 1e12),
    billed=st.none() | st.sampled_from(Billed),
)
HISTORIES = st.builds(
    History,
    counted=st.integers(0, 200),
    patient=st.integers(0, 2000),
    ambiguous_left=st.integers(0, 5),
    moderated=st.integers(0, 5),
    refusals=st.integers(0, 5),
    works=st.booleans(),
)
POLICIES = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 100),
    on_ambiguous=st.sampled_from(["park", "retry"]),
    give_up_s=st.floats(0.1, 1e5),
    moderation=st.integers(0, 3),
)
DRAWS = st.floats(0, 1, exclude_max=True)

AMBIGUOUS = [kind for kind in FailureKind if RULES[kind].resend is Resend.IF_ALLOWED]
PATIENT = [KIND.RATE_LIMITED, KIND.OVERLOADED]
COUNTED = [KIND.SERVER_ERROR, KIND.CONNECT]


def decision(
    kind: FailureKind, *, wait: float | None = None, policy: RetryPolicy | None = None, **told: Any
) -> Decision:
    """The decision at time 1000 with the middle draw."""
    history = History(**told)
    return decide(
        Failure(kind, "x", retry_after_s=wait), history, policy or RetryPolicy(), now=1000.0, draw=0.5
    )


@given(FAILURES, HISTORIES, POLICIES, SECONDS, DRAWS)
def test_every_failure_has_a_decision_and_no_retry_is_in_the_past(
    failure: Failure, history: History, policy: RetryPolicy, now: float, draw: float
) -> None:
    found = decide(failure, history, policy, now=now, draw=draw)
    assert isinstance(found, Retry | GiveUp | Park | Halt)
    if isinstance(found, Retry):
        assert now <= found.not_before <= now + policy.give_up_s + BACKOFF_CAP_S


@given(FAILURES, HISTORIES, POLICIES, SECONDS, DRAWS)
def test_what_may_have_been_paid_is_sent_again_only_within_a_declared_budget(
    failure: Failure, history: History, policy: RetryPolicy, now: float, draw: float
) -> None:
    found = decide(failure, history, policy, now=now, draw=draw)
    if isinstance(found, Retry) and failure.kind is KIND.MODERATION:
        assert 0 < history.moderated <= policy.moderation
    elif isinstance(found, Retry) and failure.rule.billed is not Billed.NO:
        assert policy.on_ambiguous == "retry"
        assert history.ambiguous_left > 0


@given(FAILURES, HISTORIES, POLICIES, SECONDS, DRAWS)
def test_safe_failures_are_sent_again_fewer_times_than_attempts(
    failure: Failure, history: History, policy: RetryPolicy, now: float, draw: float
) -> None:
    found = decide(failure, history, policy, now=now, draw=draw)
    if isinstance(found, Retry) and failure.rule.resend is Resend.COUNTED:
        everybody = failure.kind in ACCOUNT_KINDS and history.refusals >= history.counted
        assert history.counted < policy.attempts or everybody


@given(FAILURES, HISTORIES, POLICIES, SECONDS, DRAWS)
def test_a_row_that_may_have_been_paid_is_never_left_pending(
    failure: Failure, history: History, policy: RetryPolicy, now: float, draw: float
) -> None:
    found = decide(failure, history, policy, now=now, draw=draw)
    if isinstance(found, Halt) and found.row is RowStatus.PENDING:
        assert failure.rule.billed is Billed.NO


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if RULES[kind].halts])
def test_kinds_that_halt_the_run(kind: FailureKind) -> None:
    assert decision(kind) == Halt(RowStatus.PENDING)


@pytest.mark.parametrize("kind", [KIND.MODERATION, KIND.INVALID_REQUEST, KIND.BAD_CONTENT, KIND.DOWNLOAD])
def test_kinds_that_fail_the_row(kind: FailureKind) -> None:
    assert decision(kind) == GiveUp()


@pytest.mark.parametrize("kind", [KIND.TASK_LOST, KIND.TASK_TIMEOUT])
def test_tasks_that_may_live_are_parked(kind: FailureKind) -> None:
    assert decision(kind) == Park()


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_ambiguity_parks_unless_a_budget_was_declared(kind: FailureKind) -> None:
    retrying = RetryPolicy(on_ambiguous="retry")
    assert decision(kind, ambiguous_left=9) == Park()
    assert decision(kind, policy=retrying, ambiguous_left=0) == Park()
    assert decision(kind, policy=retrying, ambiguous_left=1) == Retry(1000.25)


@pytest.mark.parametrize("kind", COUNTED)
def test_attempts_are_sends_in_all(kind: FailureKind) -> None:
    policy = RetryPolicy(attempts=3)
    sends = 1
    while isinstance(decision(kind, policy=policy, counted=sends), Retry):
        sends += 1
    assert sends == 3


def test_a_service_that_cannot_be_reached_ends_the_run_and_its_row_stays_pending() -> None:
    assert decision(KIND.CONNECT, counted=5) == Halt(RowStatus.PENDING)
    assert decision(KIND.SERVER_ERROR, counted=5) == GiveUp()


@pytest.mark.parametrize("kind", PATIENT)
def test_refusals_for_speed_do_not_count_as_attempts(kind: FailureKind) -> None:
    assert isinstance(decision(kind, counted=99, patient=500), Retry)


@pytest.mark.parametrize("kind", PATIENT)
def test_the_services_hint_is_obeyed_and_jitter_only_adds_to_it(kind: FailureKind) -> None:
    found = decision(kind, wait=42.0)
    assert isinstance(found, Retry)
    assert 1042.0 <= found.not_before <= 1043.0


@pytest.mark.parametrize("kind", PATIENT)
def test_a_longer_hint_than_give_up_ends_the_run(kind: FailureKind) -> None:
    assert decision(kind, wait=600.0) != Halt(RowStatus.PENDING)
    assert decision(kind, wait=600.1) == Halt(RowStatus.PENDING)


def test_a_server_errors_hint_is_a_floor() -> None:
    assert decision(KIND.SERVER_ERROR, wait=42.0, counted=1) == Retry(1042.0)
    assert decision(KIND.SERVER_ERROR, wait=1e9, counted=1) == Retry(1600.0)


def test_backoff_doubles_up_to_its_cap() -> None:
    waits = [decision(KIND.SERVER_ERROR, counted=i, policy=RetryPolicy(attempts=100)) for i in range(1, 12)]
    doubled = [min(BACKOFF_CAP_S, 0.5 * 2**i) / 2 for i in range(11)]
    assert waits == [Retry(1000.0 + wait) for wait in doubled]


def test_a_row_whose_model_is_not_found_is_sent_a_few_times_only() -> None:
    """Its run may end for it meanwhile: see `jobs.brake`."""
    often = RetryPolicy(attempts=100)
    assert isinstance(decision(KIND.NOT_FOUND, policy=often, counted=NOT_FOUND_ATTEMPTS - 1), Retry)
    assert decision(KIND.NOT_FOUND, policy=often, counted=NOT_FOUND_ATTEMPTS) == GiveUp()
    assert decision(KIND.NOT_FOUND, policy=RetryPolicy(attempts=1), counted=1) == GiveUp()


def test_a_refused_row_is_sent_again_only_as_often_as_the_user_says() -> None:
    once = RetryPolicy(moderation=1)
    assert decision(KIND.MODERATION, moderated=1) == GiveUp()
    assert decision(KIND.MODERATION, policy=once, moderated=1) == Retry(1000.25)
    assert decision(KIND.MODERATION, policy=once, moderated=2) == GiveUp()


@given(FAILURES, st.integers(1, 10_000), POLICIES)
def test_the_gate_closes_for_refusals_only_and_never_for_longer_than_give_up(
    failure: Failure, running: int, policy: RetryPolicy
) -> None:
    seconds = gate_s(failure, running, policy)
    assert 0.0 <= seconds <= max(policy.give_up_s, BACKOFF_CAP_S)
    assert seconds == 0 or failure.rule.slows or failure.kind is KIND.SERVER_ERROR


def test_an_outage_of_errors_closes_the_gate_and_single_ones_do_not() -> None:
    failure, policy = Failure(KIND.SERVER_ERROR, "x"), RetryPolicy()
    assert gate_s(failure, 1, policy) == 0.0
    assert gate_s(failure, 1, policy, outage=True) == 0.5


def test_a_service_that_is_down_costs_little_more_than_one_request_a_row() -> None:
    quota = RetryQuota()
    resent = 0
    for _ in range(1000):
        quota.first_sent()
        while quota.opens_at(50.0) <= 50.0:
            quota.resent(50.0)
            resent += 1
    assert resent <= QUOTA_START + QUOTA_SHARE * 1000 + 1


def test_without_quota_a_probe_goes_out_at_times() -> None:
    quota = RetryQuota(tokens=0.5)
    assert quota.opens_at(7.0) == 7.0
    quota.resent(7.0)
    assert (quota.opens_at(8.0), quota.opens_at(20.0)) == (7.0 + PROBE_S, 20.0)


def test_a_service_that_recovers_is_used_at_once() -> None:
    quota = RetryQuota(tokens=0.0, last_probe=100.0)
    assert quota.opens_at(100.0) > 100.0
    quota.succeeded()
    assert quota.opens_at(100.0) == 100.0


def test_the_quota_has_a_cap() -> None:
    quota = RetryQuota()
    for _ in range(10_000):
        quota.succeeded()
        quota.first_sent()
    assert quota.tokens == QUOTA_CAP


def test_the_gate_obeys_the_hint_and_doubles_without_one() -> None:
    policy = RetryPolicy()
    hinted = Failure(KIND.RATE_LIMITED, "x", retry_after_s=7.0)
    assert gate_s(hinted, 5, policy) == 7.0
    bare = Failure(KIND.OVERLOADED, "x")
    assert [gate_s(bare, running, policy) for running in (1, 2, 3, 50)] == [0.5, 1.0, 2.0, BACKOFF_CAP_S]
