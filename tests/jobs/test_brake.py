"""What the answers of a run say of the whole run: one alone says little, many in a row without an image end it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.brake import ACCOUNT_KINDS, TRIED, UNTRIED, WRONG_PLACE_KINDS, Brake
from schemas.errors import ExitCode
from schemas.failures import RULES, Billed, Failure, FailureKind

KIND = FailureKind
PAID_FOR = [
    *(KIND.BAD_CONTENT, KIND.TRUNCATED, KIND.TIMEOUT, KIND.DISCONNECTED, KIND.GATEWAY),
    *(KIND.DOWNLOAD, KIND.DOWNLOAD_REFUSED, KIND.TASK_FAILED),
]
WAITED_FOR = [KIND.CONNECT, KIND.RATE_LIMITED, KIND.OVERLOADED, KIND.SERVER_ERROR]


def after(*answers: FailureKind | None, most: int | None = 20) -> Brake:
    """The brake after these answers. None: an image."""
    brake = Brake(most)
    for kind in answers:
        if kind is None:
            brake.succeeded()
        else:
            brake.failed(Failure(kind, f"says {kind.value}"))
    return brake


def exit_code(*answers: FailureKind | None, most: int | None = 20) -> ExitCode | None:
    suspicion = after(*answers, most=most).suspicion
    return None if suspicion is None else suspicion.exit_code


@pytest.mark.parametrize("kind", PAID_FOR)
def test_three_answers_that_were_paid_for_are_enough_at_the_start(kind: FailureKind) -> None:
    assert exit_code(kind, kind) is None
    assert exit_code(kind, kind, kind) is ExitCode.SERVICE_DOWN


@pytest.mark.parametrize("kind", PAID_FOR)
def test_a_service_that_has_brought_an_image_is_believed_for_longer(kind: FailureKind) -> None:
    assert exit_code(None, *[kind] * 19) is None
    assert exit_code(None, *[kind] * 20) is ExitCode.SERVICE_DOWN
    assert exit_code(None, *[kind] * 19, None, *[kind] * 19) is None


@pytest.mark.parametrize("kind", sorted(ACCOUNT_KINDS))
def test_the_account_is_refused_when_nobody_gets_an_image_meanwhile(kind: FailureKind) -> None:
    assert exit_code(*[kind] * (UNTRIED - 1)) is None
    assert exit_code(*[kind] * UNTRIED) is ExitCode.ACCOUNT
    assert exit_code(None, *[kind] * (TRIED - 1)) is None
    assert exit_code(None, *[kind] * TRIED) is ExitCode.ACCOUNT


def test_one_refused_key_in_ten_is_no_reason_to_stop() -> None:
    assert exit_code(*[None, None, KIND.AUTH, None, KIND.AUTH, KIND.AUTH] * 50) is None


@pytest.mark.parametrize("kind", sorted(WRONG_PLACE_KINDS))
def test_a_wrong_place_answers_three_times_running(kind: FailureKind) -> None:
    assert exit_code(kind, kind) is None
    assert exit_code(kind, kind, kind) is ExitCode.ACCOUNT
    assert exit_code(None, kind, kind, kind) is ExitCode.ACCOUNT
    assert exit_code(kind, kind, KIND.INVALID_REQUEST, kind) is None
    assert exit_code(kind, kind, KIND.CONNECT, kind) is ExitCode.ACCOUNT


def test_an_image_lifts_every_suspicion() -> None:
    answers = [KIND.AUTH] * 5 + [KIND.NOT_FOUND] * 5 + [KIND.BAD_CONTENT] * 20
    assert exit_code(*answers) is not None
    assert exit_code(*answers, None) is None


def test_refused_prompts_are_no_waste_once_there_is_an_image() -> None:
    assert exit_code(None, *[KIND.MODERATION] * 500) is None
    assert exit_code(None, *[KIND.INVALID_REQUEST] * 500) is None


def test_before_the_first_image_no_answer_may_be_useless_for_ever() -> None:
    mixed = [KIND.MODERATION, KIND.INVALID_REQUEST]
    assert exit_code(*mixed * 9, KIND.MODERATION) is None
    assert exit_code(*mixed * 10) is ExitCode.SERVICE_DOWN


@pytest.mark.parametrize("kind", WAITED_FOR)
def test_what_is_waited_for_is_bounded_elsewhere(kind: FailureKind) -> None:
    assert exit_code(*[kind] * 500) is None


def test_without_a_limit_waste_goes_on_and_a_refused_account_does_not() -> None:
    assert exit_code(*[KIND.BAD_CONTENT] * 500, most=None) is None
    assert exit_code(*[KIND.QUOTA] * 3, most=None) is ExitCode.ACCOUNT


def test_a_smaller_limit_holds_at_the_start_too() -> None:
    assert exit_code(KIND.BAD_CONTENT, most=1) is ExitCode.SERVICE_DOWN


def test_the_reason_names_what_came_and_the_setting() -> None:
    brake = after(KIND.TIMEOUT, KIND.BAD_CONTENT, KIND.BAD_CONTENT)
    assert brake.suspicion is not None
    assert brake.suspicion.text == (
        "the last 3 answers were, or may have been, paid for and brought no image "
        "(bad_content 2, timeout 1; the last: says bad_content); "
        "run.max_unusable = 20 (3 before the first image); 0 switches it off"
    )
    refused = after(KIND.AUTH, KIND.AUTH, KIND.AUTH).suspicion
    assert refused is not None
    assert refused.text == "the key was refused: says auth"


@given(st.lists(st.none() | st.sampled_from(FailureKind), max_size=80))
def test_whatever_comes_no_more_than_twenty_paid_answers_in_a_row_pass_unsuspected(
    answers: Sequence[FailureKind | None],
) -> None:
    brake, in_a_row = Brake(20), 0
    for kind in answers:
        if kind is None:
            brake.succeeded()
            in_a_row = 0
            assert brake.suspicion is None
            continue
        brake.failed(Failure(kind, "x"))
        paid = RULES[kind].billed is not Billed.NO
        in_a_row += paid and kind not in (KIND.MODERATION, KIND.INTERRUPTED)
        assert in_a_row < 20 or brake.suspicion is not None


def test_errors_between_useless_answers_count_with_them_and_alone_are_an_outage() -> None:
    assert exit_code(*[KIND.MODERATION, KIND.SERVER_ERROR] * 9) is None
    assert exit_code(*[KIND.MODERATION, KIND.SERVER_ERROR] * 10) is ExitCode.SERVICE_DOWN
    assert exit_code(*[KIND.SERVER_ERROR] * 500) is None
    assert exit_code(None, *[KIND.MODERATION, KIND.SERVER_ERROR] * 50) is None
