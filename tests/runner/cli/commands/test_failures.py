"""`imagemill failures`: what it lists, in each form, and what it says where there is nothing to list."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from tests.runner.cli.conftest import Imagemill

SIMULATED = ("--simulate", "--set", "simulator.latency=0", "--size", "64x64", "-q", "--price", "0.5")
PROMPTS = "id,prompt,n\na,a fox,\nb,b [[refuse]],2\nc,,\nd,d [[refuse]] once more,\ne,an owl,\n"


@pytest.fixture
def out(imagemill: Imagemill, tmp_path: Path) -> str:
    """A folder in which two rows of three images were refused and one is invalid."""
    (tmp_path / "p.csv").write_text(PROMPTS)
    assert imagemill("run", "p.csv", *SIMULATED, "--out", "runs/a").code == 3
    return "runs/a"


def keys(failures: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    return [(each["row_id"], each["image_index"], each["error_kind"]) for each in failures]


ALL = [("b", 0, "moderation"), ("b", 1, "moderation"), ("c", 0, "invalid_row"), ("d", 0, "moderation")]


def test_groups_with_rows_the_services_words_and_what_mends_them(imagemill: Imagemill, out: str) -> None:
    shown = imagemill("failures", out)
    lines = shown.out.splitlines()
    assert shown.code == 0
    assert lines[0] == "moderation: 3 images of 2 rows failed: refused by the service's content filter"
    assert lines[1] == '  row 1: b "b [[refuse]]"'
    assert lines[2].startswith(
        "    HTTP 400: moderation_blocked Your request was rejected by the safety system"
    )
    assert f"  $ imagemill retry {out} --error moderation --set prompt='{{prompt}}, family friendly'" in lines
    assert f"  $ imagemill plan {out}/job.toml" in lines
    assert lines[-1] == "4 images are not there"


@pytest.mark.parametrize("columns", ["60", "100", "140"])
def test_no_line_but_a_command_is_wider_than_the_terminal(
    imagemill: Imagemill, out: str, columns: str
) -> None:
    lines = imagemill("failures", out, COLUMNS=columns).out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("  $ ")) <= int(columns)


def test_json_holds_all_of_them_and_the_groups(imagemill: Imagemill, out: str) -> None:
    found = imagemill("failures", out, "--json").json
    assert keys(found["failures"]) == ALL
    assert found["failures"][0]["error_message"].startswith("Your request was rejected")
    assert [(g["error_kind"], g["status"], g["images"], g["rows"]) for g in found["groups"]] == [
        ("moderation", "failed", 3, 2),
        ("invalid_row", "invalid", 1, 1),
    ]
    assert (found["exit_code"], found["simulated"], found["unsent"]) == (0, True, 0)
    assert imagemill("failures", out, "--json", "--error", "gateway").json["failures"] == []


def test_csv_is_a_table(imagemill: Imagemill, out: str) -> None:
    rows = list(csv.DictReader(io.StringIO(imagemill("failures", out, "--csv").out)))
    assert [(row["row_id"], int(row["image_index"]), row["error_kind"]) for row in rows] == ALL


def test_rows_are_chosen_by_kind_and_expression(imagemill: Imagemill, out: str) -> None:
    def chosen(*options: str) -> list[tuple[str, int, str]]:
        return keys(imagemill("failures", out, "--json", *options).json["failures"])

    assert chosen("--error", "invalid_row") == [ALL[2]]
    assert chosen("--error", "invalid_row", "--error", "moderation") == ALL
    assert chosen("--where", "contains(prompt, 'once')") == [ALL[3]]
    assert chosen("--limit", "1") == [ALL[0], ALL[2]]


def test_neither_the_table_nor_the_manifest_is_needed(imagemill: Imagemill, out: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").unlink()
    assert keys(imagemill("failures", out, "--json").json["failures"]) == ALL
    (tmp_path / out / "results.parquet").unlink()
    sent = [key for key in ALL if key[2] != "invalid_row"]
    assert keys(imagemill("failures", out, "--json").json["failures"]) == sent


def test_a_folder_in_which_all_is_well(imagemill: Imagemill, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt\na fox\n")
    assert imagemill("run", "p.csv", *SIMULATED, "--out", "o").code == 0
    assert imagemill("failures", "o").out == "no row has failed, is parked or invalid\n"
    assert imagemill("failures", "o", "--follow").out == ""


def test_what_is_not_there_is_told_with_what_was_meant(imagemill: Imagemill, out: str) -> None:
    gone = imagemill("failures", "runs/aa")
    assert (gone.code, gone.out) == (2, "")
    assert gone.err.endswith("fix: name the --out of a run; did you mean runs/a?\n")
    inside = imagemill("failures", "runs")
    assert inside.err.endswith("did you mean runs/a?\n")
    kind = imagemill("failures", out, "--error", "moderaton")
    assert kind.code == 2 and "did you mean moderation?" in kind.err
    column = imagemill("failures", out, "--where", "promt = 'a'", "--json")
    assert column.code == 2 and "no column 'promt'" in column.json["exit_reason"]


@pytest.mark.parametrize("pair", [("--csv", "--json"), ("--follow", "--json"), ("--follow", "--limit=3")])
def test_forms_that_exclude_each_other(imagemill: Imagemill, pair: tuple[str, str]) -> None:
    refused = imagemill("failures", "o", *pair)
    assert refused.code == 2 and "leave" in refused.err


def test_the_end_of_a_run_names_the_groups(imagemill: Imagemill, out: str) -> None:
    shown = imagemill("run", f"{out}/job.toml", "-q").out
    assert "moderation 3: b: Your request was rejected by the safety system" in shown
    assert f"all of them, and what mends them: imagemill failures {out}" in shown


def test_help_needs_neither_pandas_nor_pyarrow(imagemill: Imagemill, tmp_path: Path) -> None:
    for name in ("pandas", "pyarrow", "aiohttp"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')\n")
    assert imagemill("failures", "--help", PYTHONPATH=str(tmp_path)).code == 0
