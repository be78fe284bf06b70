"""Canary and breaker: when a run is not worth going on with."""

from __future__ import annotations

from jobs.circuit_breaker import MIN_SETTLED, WINDOW, Breaker
from schemas.failures import FailureKind

BAD, WORSE = FailureKind.MODERATION, FailureKind.SERVER_ERROR


def told(breaker: Breaker, *kinds: FailureKind | None) -> Breaker:
    for kind in kinds:
        breaker.sent()
        breaker.settled(kind)
    return breaker


def test_a_canary_holds_the_others_back_until_one_lives() -> None:
    breaker = Breaker(canary=3)
    breaker.sent()
    breaker.sent()
    assert not breaker.awaits_canary
    breaker.sent()
    assert breaker.awaits_canary
    breaker.settled(BAD)
    breaker.settled(None)
    assert (breaker.awaits_canary, breaker.canary_failure) == (False, None)
    told(breaker, BAD, BAD, BAD)
    assert breaker.canary_failure is None


def test_a_canary_of_which_all_fail() -> None:
    breaker = told(Breaker(canary=3), BAD, WORSE)
    assert breaker.canary_failure is None
    told(breaker, BAD)
    assert breaker.canary_failure == "canary: 3 of 3 requests failed (moderation 2, server_error 1)"


def test_tasks_of_earlier_runs_are_no_canaries() -> None:
    breaker = Breaker(canary=1)
    breaker.settled(BAD, first=False)
    assert (breaker.canary_failure, breaker.awaits_canary) == (None, False)


def test_without_a_canary_nothing_is_held() -> None:
    breaker = told(Breaker(), *[BAD] * WINDOW)
    assert (breaker.awaits_canary, breaker.canary_failure, breaker.tripped) == (False, None, None)


def test_the_breaker_looks_at_no_fewer_than_20() -> None:
    breaker = told(Breaker(max_error_rate=0.5), *[BAD] * (MIN_SETTLED - 1))
    assert breaker.tripped is None
    told(breaker, WORSE)
    assert (
        breaker.tripped
        == "error rate: 20 of the last 20 rows failed (moderation 19, server_error 1), above 0.5"
    )


def test_the_share_itself_is_allowed_and_more_is_not() -> None:
    breaker = told(Breaker(max_error_rate=0.5), *[None] * 10, *[BAD] * 10)
    assert breaker.tripped is None
    assert told(breaker, BAD).tripped is not None


def test_the_breaker_forgets_what_is_long_ago() -> None:
    breaker = told(Breaker(max_error_rate=0.5), *[None] * 1000, *[BAD] * 50)
    assert breaker.tripped is None
    assert (
        told(breaker, BAD).tripped == "error rate: 51 of the last 100 rows failed (moderation 51), above 0.5"
    )
