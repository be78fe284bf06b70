"""What only the whole run knows: bursts of refusals, and a service that is down."""

from __future__ import annotations

from jobs.retry import OUTAGE_FAILURES, RetryPolicy
from runner.engine.policy import Verdicts
from runner.engine.queue import Work
from schemas.failures import Failure, FailureKind
from schemas.outcome import Failed, Success
from schemas.row import Row
from tests.runner.manifests import intake, prompts

OVERLOADED = Failure(FailureKind.OVERLOADED, "later")
ERROR = Failure(FailureKind.SERVER_ERROR, "broken")


def work() -> Work:
    """A row that has not been sent."""
    (batch,) = intake(prompts("a boat")).batches()
    (row,) = batch.rows
    assert isinstance(row, Row)
    return Work(row, 0)


def gate_s(verdicts: Verdicts, failure: Failure, now: float) -> float:
    """A row fails; how long the gate closes."""
    verdicts.on(Failed(failure), work(), stopping=False, now=now)
    return verdicts.gate_s(failure, now)


def test_refusals_of_one_burst_close_the_gate_once_and_a_later_one_for_longer() -> None:
    verdicts = Verdicts(RetryPolicy(), 0)
    assert [gate_s(verdicts, OVERLOADED, 100.0 + i / 100) for i in range(20)] == [0.5] * 20
    assert gate_s(verdicts, OVERLOADED, 101.0) == 1.0
    assert gate_s(verdicts, OVERLOADED, 103.0) == 2.0


def test_a_success_begins_anew() -> None:
    verdicts = Verdicts(RetryPolicy(), 0)
    assert [gate_s(verdicts, OVERLOADED, 100.0 + 10 * i) for i in range(3)] == [0.5, 1.0, 2.0]
    verdicts.on(Success(()), work(), stopping=False, now=140.0)
    assert gate_s(verdicts, OVERLOADED, 141.0) == 0.5


def test_a_service_that_only_refuses_is_down_until_it_serves() -> None:
    verdicts = Verdicts(RetryPolicy(), 0)
    for i in range(OUTAGE_FAILURES):
        assert not verdicts.down
        gate_s(verdicts, ERROR, 100.0 + i)
    assert verdicts.down
    verdicts.on(Success(()), work(), stopping=False, now=140.0)
    assert not verdicts.down
