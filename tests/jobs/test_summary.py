"""What a run came to, and a next command that can be typed as it is."""

from __future__ import annotations

import shlex
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.mending import mending
from jobs.summary import finished_code, next_command
from schemas.errors import ExitCode
from schemas.failures import RULES, Billed, FailureKind, RowStatus


@pytest.mark.parametrize(
    ("by_status", "code", "reason"),
    [
        ({"succeeded": 5}, ExitCode.OK, "every row succeeded"),
        ({}, ExitCode.OK, "every row succeeded"),
        ({"succeeded": 5, "failed": 0}, ExitCode.OK, "every row succeeded"),
        ({"succeeded": 5, "failed": 2}, ExitCode.SOME_FAILED, "finished: 2 failed"),
        ({"parked": 1200, "invalid": 3}, ExitCode.SOME_FAILED, "finished: 3 invalid, 1,200 parked"),
        ({"pending": 1}, ExitCode.SOME_FAILED, "finished: 1 pending"),
    ],
)
def test_the_code_of_a_run_that_did_its_work(by_status: dict[str, int], code: ExitCode, reason: str) -> None:
    assert finished_code(by_status) == (code, reason)


@given(st.dictionaries(st.sampled_from([status.value for status in RowStatus]), st.integers(0, 9)))
def test_only_success_everywhere_is_exit_0(by_status: dict[str, int]) -> None:
    others = sum(count for name, count in by_status.items() if name != "succeeded")
    assert (finished_code(by_status)[0] is ExitCode.OK) is (others == 0)


STATUSES = [{}, {"failed": 1}, {"parked": 1}, {"failed": 1, "parked": 1}, {"invalid": 1}]


@pytest.mark.parametrize("code", ExitCode)
@pytest.mark.parametrize("by_status", STATUSES)
@pytest.mark.parametrize("simulated", [True, False])
def test_every_end_has_a_next_command_that_names_its_paths_whole(
    code: ExitCode, by_status: dict[str, int], simulated: bool
) -> None:
    command = next_command(code, by_status, "runs/my run; rm -rf", simulated=simulated)
    words = shlex.split(command)
    assert words[0] == "imagemill"
    assert words[2] in ("runs/my run; rm -rf", "runs/my run; rm -rf/job.toml")


FAILED, PARKED, PENDING, INVALID = "failed", "parked", "pending", "invalid"
RUN, LOOK = "imagemill run o/job.toml", "imagemill failures o"


@pytest.mark.parametrize(
    ("groups", "command"),
    [
        ([(FAILED, "moderation")], "imagemill failures o --error moderation"),
        ([(FAILED, "invalid_request")], "imagemill failures o --error invalid_request"),
        ([(FAILED, "server_error")], "imagemill retry o --error server_error"),
        ([(FAILED, "bad_content")], "imagemill retry o --reread"),
        ([(FAILED, "task_failed")], "imagemill failures o --error task_failed"),
        ([(FAILED, "download")], "imagemill failures o --error download"),
        ([(PARKED, "timeout")], "imagemill retry o --parked"),
        ([(PARKED, "timeout"), (PARKED, "gateway")], "imagemill retry o --parked"),
        ([(PARKED, "task_timeout")], RUN),
        ([(INVALID, "invalid_row")], "imagemill plan o/job.toml"),
        ([(PENDING, "download")], RUN),
        ([(PENDING, "stopped"), (PENDING, "download")], RUN),
        ([(PARKED, "timeout"), (PENDING, "download")], LOOK),
        ([(FAILED, "moderation"), (PARKED, "timeout")], LOOK),
        ([(FAILED, "bad_content"), (INVALID, "invalid_row")], LOOK),
    ],
)
def test_after_a_run_the_next_command_is_by_kind_and_forgets_nothing(
    groups: list[tuple[str, str]], command: str
) -> None:
    by_status = Counter(status for status, _ in groups)
    assert (
        next_command(ExitCode.SOME_FAILED, by_status, "o", simulated=False, by_kind=Counter(groups))
        == command
    )


def test_what_was_paid_for_is_never_paid_for_again_without_a_look() -> None:
    """A plain retry follows only failures that cost nothing."""
    for kind in FailureKind:
        said = next_command(
            ExitCode.SOME_FAILED, {FAILED: 1}, "o", simulated=False, by_kind={(FAILED, kind.value): 1}
        )
        if said == f"imagemill retry o --error {kind}":
            assert RULES[kind].billed is Billed.NO


def test_a_service_whose_answers_were_useless_is_not_simply_paid_again() -> None:
    groups = {(FAILED, "bad_content"): 3, (PENDING, "stopped"): 9}
    by_status = {FAILED: 3, PENDING: 9}
    assert next_command(ExitCode.SERVICE_DOWN, by_status, "o", simulated=False, by_kind=groups) == LOOK


@pytest.mark.parametrize("status", [FAILED, PARKED, PENDING, INVALID])
@pytest.mark.parametrize("kind", FailureKind)
def test_what_mends_a_group_can_be_typed_as_it_is(status: str, kind: FailureKind) -> None:
    found = mending(status, kind.value, "my runs/o;ls")
    assert "…" not in found.command and "{out}" not in found.command + found.advice
    words = shlex.split(found.command)
    assert words[0] == "imagemill" and words[2] in ("my runs/o;ls", "my runs/o;ls/job.toml")
    assert found.advice


def test_after_a_rehearsal_the_real_run_is_planned_in_a_folder_of_its_own() -> None:
    command = next_command(ExitCode.OK, {"succeeded": 1}, "o", simulated=True)
    assert command == "imagemill plan o/job.toml --set simulate=false --out o-real"


@pytest.mark.parametrize(
    "code", [ExitCode.INTERRUPTED, ExitCode.TERMINATED, ExitCode.SERVICE_DOWN, ExitCode.LOCAL]
)
def test_what_ended_early_goes_on_by_running_it_again(code: ExitCode) -> None:
    assert next_command(code, {}, "o", simulated=False) == "imagemill run o/job.toml"


def test_after_a_budget_the_plan_tells_what_is_left_and_what_it_costs() -> None:
    told = next_command(ExitCode.BUDGET, {"pending": 1}, "o", simulated=False)
    assert told == "imagemill plan o/job.toml"
