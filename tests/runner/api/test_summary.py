"""`RunSummary`: figures that stand still, and what is read from the folder when it is asked for."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import pytest

import runner
from schemas.errors import ExitCode

QUIETLY = {"simulator.latency": 0}


def refused(out: str) -> runner.RunSummary:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", runner.JobWarning)
        return runner.run(["a fox", "[[refuse]] a hare"], out=out, simulate=True, set=QUIETLY)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_whose_rows_failed_says_so(folder: Path) -> None:
    summary = refused("o")
    assert not summary.ok
    assert (
        repr(summary)
        == "<RunSummary o: 1 of 2 images succeeded; 1 failed; errors: moderation 1; exit code 3>"
    )
    with pytest.raises(runner.JobError, match="finished: 1 failed") as error:
        summary.raise_for_status()
    assert (error.value.exit_code, error.value.fix) == (ExitCode.SOME_FAILED, summary.next)


def test_it_is_of_use_after_a_change_of_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary, text = refused("o"), str(refused("o"))
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert summary.path == folder / "o"
    assert summary.failures["error_kind"].tolist() == ["moderation"]
    assert len(summary.results()) == 2 and "results    o/results.parquet" in text
    assert str(summary).count("results") == text.count("results")


def test_a_retry_that_finds_nothing_is_not_ok(folder: Path) -> None:
    refused("o")
    summary = runner.retry("o", error="auth", progress="none")
    assert (summary.exit_code, summary.ok) == (0, False)
    assert runner.retry("o", error="moderation", set={"prompt": "a hare"}).raise_for_status().ok


def test_notes_and_failures_are_warnings_of_the_callers_line(folder: Path) -> None:
    with pytest.warns(runner.JobWarning) as told:
        summary = runner.run(["[[refuse]] a fox"], out="o", simulate=True, size="1000x1000", set=QUIETLY)
    assert {Path(each.filename) for each in told} == {Path(__file__)}
    texts = [str(each.message) for each in told]
    assert texts[:-1] == [warning.message for warning in summary.warnings]
    assert texts[0] == "size '1000x1000' is not one that dieyuyun documents; it is sent as it is"
    assert texts[-1] == "o: finished: 1 failed (exit code 3); runner.failures('o') lists what is not fine"


def test_it_is_frozen_and_can_be_pickled(folder: Path) -> None:
    summary = refused("o")
    with pytest.raises(AttributeError):
        summary.rows = 3  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(summary)) == summary


def test_a_plan_of_rows_needs_no_folder_and_makes_none(folder: Path) -> None:
    plan = runner.plan(["a fox", ""], simulate=True)
    assert (plan.out, plan.images, plan.invalid, [*folder.iterdir()]) == ("", 1, 1, [])
    assert repr(plan) == "<PlanReport of rows: 1 image to make in 1 request, 1 invalid row>"
    refused("o")
    again = runner.plan(["a fox", "[[refuse]] a hare", "an owl"], out="o", simulate=True)
    assert (again.out, again.done, again.images) == ("o", 1, 1)
    assert again.to_dict()["out"] == "o" and again.to_dict()["warnings"]


def test_a_plan_names_the_folder_that_a_run_would_make(folder: Path) -> None:
    (folder / "foxes.csv").write_text("prompt\na fox\n")
    plan = runner.plan("foxes.csv", simulate=True)
    assert plan.out == plan.to_dict()["out"] == "runs/foxes"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dry_run": True}, "runner.plan(…) tells what a run would do"),
        ({"quiet": True}, 'pass progress="none"'),
        ({"sise": "64x64"}, "imagemill run --help"),
    ],
)
def test_options_of_the_command_alone_are_told_what_python_has(options: dict[str, object], said: str) -> None:
    with pytest.raises(runner.JobError, match="unknown option") as error:
        runner.run("p.csv", **options)  # type: ignore[arg-type]
    assert said in error.value.fix
