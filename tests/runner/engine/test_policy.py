"""What only the whole run knows: bursts of refusals, and a service that is down."""

from __future__ import annotations

from jobs.retry import OUTAGE_FAILURES, RetryPolicy
from jobs.work import Work
from runner.engine.policy import RunPolicy
from schemas.failures import Failure, FailureKind
from schemas.outcome import Failed, Success
from schemas.row import Row
from tests.support.manifests import prompts, row_stream

OVERLOADED = Failure(FailureKind.OVERLOADED, "later")
ERROR = Failure(FailureKind.SERVER_ERROR, "broken")


def work() -> Work:
    """A row that has not been sent."""
    (batch,) = row_stream(prompts("a boat")).batches()
    (row,) = batch.rows
    assert isinstance(row, Row)
    return Work(row, 0)


def gate_s(policy: RunPolicy, failure: Failure, now: float) -> float:
    """A row fails; how long the gate closes."""
    policy.decide(Failed(failure), work(), stopping=False, now=now)
    return policy.gate_s(failure, now)


def test_refusals_of_one_burst_close_the_gate_once_and_a_later_one_for_longer() -> None:
    policy = RunPolicy(RetryPolicy(), 0)
    assert [gate_s(policy, OVERLOADED, 100.0 + i / 100) for i in range(20)] == [0.5] * 20
    assert gate_s(policy, OVERLOADED, 101.0) == 1.0
    assert gate_s(policy, OVERLOADED, 103.0) == 2.0


def test_a_success_begins_anew() -> None:
    policy = RunPolicy(RetryPolicy(), 0)
    assert [gate_s(policy, OVERLOADED, 100.0 + 10 * i) for i in range(3)] == [0.5, 1.0, 2.0]
    policy.decide(Success(()), work(), stopping=False, now=140.0)
    assert gate_s(policy, OVERLOADED, 141.0) == 0.5


def test_a_service_that_only_refuses_is_down_until_it_serves() -> None:
    policy = RunPolicy(RetryPolicy(), 0)
    for i in range(OUTAGE_FAILURES):
        assert not policy.service_is_down
        gate_s(policy, ERROR, 100.0 + i)
    assert policy.service_is_down
    policy.decide(Success(()), work(), stopping=False, now=140.0)
    assert not policy.service_is_down


def test_polls_that_are_refused_stop_a_run_where_tasks_in_a_row_meet_it() -> None:
    """One refused URL says nothing of the account."""
    auth, forbidden = FailureKind.AUTH, FailureKind.FORBIDDEN
    policy = RunPolicy(RetryPolicy(), 0)
    assert [policy.polls_refused(kind) for kind in (auth, FailureKind.TASK_TIMEOUT, auth, forbidden)] == [
        False
    ] * 4
    policy.decide(Success(()), work(), stopping=False, now=1.0)
    assert [policy.polls_refused(kind) for kind in (forbidden, auth, forbidden)] == [False, False, True]


def test_a_service_that_never_answered_is_given_up_at_first_contact_and_one_that_did_is_not() -> None:
    refused, later = (
        Failure(FailureKind.CONNECT, "connection refused"),
        Failure(FailureKind.RATE_LIMITED, "later"),
    )
    policies = [RunPolicy(RetryPolicy(), 0, first_contact_s=30.0) for _ in range(2)]
    for policy in policies:
        policy.start(100.0)
    policies[1].decide(Failed(later), work(), stopping=False, now=101.0)
    for policy in policies:
        policy.decide(Failed(refused), work(), stopping=False, now=129.0)
        assert policy.give_up_reason(refused, 130.0) is None
    reason = (
        "the service has not answered once in 30 s (run.first_contact = 30 s); connection refused; "
        "is the base URL right?"
    )
    assert [policy.give_up_reason(refused, 130.1) for policy in policies] == [reason, None]
