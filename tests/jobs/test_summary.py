"""What a run came to, and a next command that can be typed as it is."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.summary import finished_code, next_command
from schemas.errors import ExitCode
from schemas.failures import RowStatus


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


def test_what_failed_is_offered_to_be_sent_again_and_what_is_parked_only_by_name() -> None:
    failed = next_command(ExitCode.SOME_FAILED, {"failed": 2, "parked": 1}, "o", simulated=False)
    parked = next_command(ExitCode.SOME_FAILED, {"parked": 1}, "o", simulated=False)
    assert (failed, parked) == ("imagemill retry o", "imagemill retry o --parked")


def test_after_a_rehearsal_the_real_run_is_planned_in_a_folder_of_its_own() -> None:
    command = next_command(ExitCode.OK, {"succeeded": 1}, "o", simulated=True)
    assert command == "imagemill plan o/job.toml --set simulate=false --out o-real"


@pytest.mark.parametrize(
    "code", [ExitCode.INTERRUPTED, ExitCode.TERMINATED, ExitCode.SERVICE_DOWN, ExitCode.LOCAL]
)
def test_what_ended_early_goes_on_by_running_it_again(code: ExitCode) -> None:
    assert next_command(code, {}, "o", simulated=False) == "imagemill run o/job.toml"


@pytest.mark.parametrize("cap", ["--max-cost", "--max-requests"])
def test_after_a_budget_the_option_that_raises_it_is_offered(cap: str) -> None:
    told = next_command(ExitCode.BUDGET, {"pending": 1}, "o", simulated=False, cap=cap)
    assert told == f"imagemill run o/job.toml {cap} …"
