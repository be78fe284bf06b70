"""`--json`: one object from every command, as `imagemill schema summary` describes it, also where the command fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runner.cli.main import SUMMARIES
from schemas.json_objects import OBJECTS, json_schema
from tests.support.commandline import AT_ONCE, CommandLine, Ended

ROWS = "id,prompt,n\nfox,a fox,2\nbad,[[refuse]] a fox,1\nnone,,1\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A folder with a run that has failures, and a job file with mistakes."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "rows.csv").write_text(ROWS)
    (folder / "job.toml").write_text('manifest = "rows.csv"\nout = "o"\nsimulate = true\n')
    (folder / "wrong.toml").write_text('manifest = "rows.csv"\nrpmm = 3\n[limits]\nrpm = "many"\n')
    command = CommandLine(folder)
    assert command("run", "job.toml", *AT_ONCE).code == 3
    return command


def described(found: Ended, kind: str) -> dict[str, Any]:
    """The object, which is as the schema has it."""
    schema = json_schema() | {"anyOf": [{"$ref": f"#/$defs/commands/properties/{kind}"}]}
    problems = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(found.json)
    ]
    problems += [
        f"{each.json_path}: {each.message}"
        for error in Draft202012Validator(schema).iter_errors(found.json)
        for each in error.context or ()
    ]
    assert problems == []
    assert found.json["exit_code"] == found.code or found.json["command"] == "status"
    return found.json


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "job.toml"),
        ("retry", "o", "--error", "quota"),
        ("retry", "o", "--error", "moderation"),
        ("retry", "o", "--reread"),
        ("status", "o"),
        ("status", "o", "--watch"),
        ("plan", "job.toml"),
        ("plan", "rows.csv", "--all", "--simulate", "--price", "1", "--max-cost", "2"),
        ("init", "new"),
        ("failures", "o"),
        ("failures", "o", "--limit", "1"),
        ("verify", "o"),
        ("export", "o", "d", "--to", "parquet"),
        ("runs", "o"),
        ("ls",),
        ("history", "o"),
        ("history", "o", "fox"),
        ("prune", "o", "--dry-run"),
        ("report", "o"),
        ("doctor", "job.toml"),
        ("schedule", "job.toml", "--at", "02:00", "--cron"),
        ("schedule", "job.toml", "--at", "02:00", "--systemd"),
        ("simulate", "--list-faults"),
        ("schema", "job"),
        ("schema", "summary"),
        ("schema", "manifest"),
        ("help",),
        ("help", "resume"),
    ],
    ids=" ".join,
)
def test_each_command_prints_what_is_described(place: CommandLine, arguments: tuple[str, ...]) -> None:
    found = described(place(*arguments, "--json"), arguments[0])
    assert found["command"] == arguments[0]
    assert isinstance(found["imagemill"], str)


def test_dry_runs_are_plans(place: CommandLine) -> None:
    described(place("run", "job.toml", "--dry-run", "--json"), "plan")
    described(place("retry", "o", "--dry-run", "--json"), "retry --dry-run")


def test_a_problem_names_its_row_and_what_mends_it(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,prompt\nfox,a fox\n")
    command = CommandLine(tmp_path)
    assert command("run", "rows.csv", "--simulate", "--out", "o", *AT_ONCE).code == 0
    (image,) = (tmp_path / "o/images").rglob("*.png")
    image.unlink()
    (problem,) = described(command("verify", "o", "--json"), "verify")["problems"]
    assert (problem["row_id"], problem["fix"]) == ("fox", "imagemill retry o --missing")


def test_the_version_too(place: CommandLine) -> None:
    assert described(place("--version", "--json"), "version")["imagemill"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "no-such.csv"),
        ("run", "wrong.toml"),
        ("status", "nowhere"),
        ("retry", "nowhere"),
        ("failures", "nowhere"),
        ("runs", "nowhere"),
        ("history", "o", "nobody"),
        ("verify", "nowhere"),
        ("ls", "nowhere"),
        ("prune", "nowhere"),
        ("help", "nothing"),
    ],
    ids=" ".join,
)
def test_a_failure_has_its_reason_and_what_mends_it(place: CommandLine, arguments: tuple[str, ...]) -> None:
    found = described(place(*arguments, "--json"), "failure")
    assert found["error"] and found["exit_code"] == 2
    assert found["command"] == arguments[0]


def test_each_mistake_of_a_job_stands_for_itself(place: CommandLine) -> None:
    found = place("run", "wrong.toml", "--json").json
    assert len(found["mistakes"]) == 2
    assert not any("\n" in mistake for mistake in found["mistakes"])


def test_every_command_is_described() -> None:
    assert set(SUMMARIES) <= set(OBJECTS)


def test_this_run_and_the_folder_stand_apart(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("prompt,n\na fox,2\na hare,1\n")
    command = CommandLine(tmp_path)
    call = ("run", "rows.csv", "--simulate", "--out", "o", "--json", *AT_ONCE)
    first, second = command(*call).json, command(*call).json
    status = command("status", "o", "--json").json
    assert (first["rows_sent"], first["requests_sent"], first["images_saved"]) == (2, 2, 3)
    assert (second["rows_sent"], second["rows_skipped"], second["requests_sent"]) == (0, 2, 0)
    assert second["images_saved"] == second["cost_usd"] == 0
    assert second["folder"] == {**first["folder"], "runs": 2}
    assert first["folder"]["cost_usd"] == first["cost_usd"] > 0
    assert second["run_id"] != first["run_id"]
    same = ("run_id", "started", "finished", "duration_s", "requests_sent", "cost_usd", "folder", "by_status")
    assert [status[name] for name in same] == [second[name] for name in same]
    (last, _) = command("runs", "o", "--json").json["runs"]
    assert (last["run_id"], last["duration_s"], last["requests_sent"]) == (
        second["run_id"],
        second["duration_s"],
        0,
    )
    assert first["simulated"] is True and first["service"]["endpoint"] == "simulated"


def test_a_retry_with_nothing_to_send_is_no_earlier_run(place: CommandLine) -> None:
    found = place("retry", "o", "--error", "quota", "--json").json
    assert (found["run_id"], found["requests_sent"], found["rows_sent"]) == ("", 0, 0)
    assert found["folder"]["requests_sent"] > 0


def test_what_is_pending_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("prompt\n" + "a fox\n" * 1 + "a hare\na dog\n")
    found = CommandLine(tmp_path)(
        "run", "rows.csv", "--simulate", "--out", "o", "--max-requests", "1", "--json", *AT_ONCE
    ).json
    assert found["by_status"]["pending"] == 2
    assert found["by_error"] == {}
    assert found["state"] == "stopped" and found["rows_skipped"] == 0
