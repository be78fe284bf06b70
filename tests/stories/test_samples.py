"""Every file of sample_batches, run as a user runs it."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.providers import PROFILES
from tests.support import parquet_sample
from tests.support.commandline import AT_ONCE, CommandLine, decoded

SIMULATED = ("--simulate", *AT_ONCE)


def check_images(command: CommandLine, out: str | Path) -> None:
    """Every succeeded row has an image that decodes and is what the table says."""
    made = [row for row in command.results(out) if row["status"] == "succeeded"]
    for row in made:
        path = command.cwd / out / row["file_name"]
        assert decoded(path) == (row["format"], (row["width"], row["height"]))
        assert path.stat().st_size == row["bytes"]
    assert len({row["file_name"] for row in made}) == len(made)


def test_quickstart(command: CommandLine, samples: Path) -> None:
    ended = command("run", samples / "quickstart.csv", *SIMULATED)
    assert ended.code == 0, ended.err
    command_line = ended.out.splitlines()[-1].split(" imagemill ")[1]
    planned = command(*shlex.split(command_line), "--json")
    assert (planned.code, planned.json["requests"]) == (0, 12), planned.err
    rows = command.results("runs/quickstart")
    written = list(csv.DictReader((samples / "quickstart.csv").open(encoding="utf-8", newline="")))
    asked = [row for row in written for _ in range(int(row["n"] or 1))]
    assert [(row["row_id"], row["prompt"]) for row in rows] == [(row["id"], row["prompt"]) for row in asked]
    assert {row["status"] for row in rows} == {"succeeded"}
    assert [f"{row['width']}x{row['height']}" for row in rows] == [
        row["size"] or "1024x1024" for row in asked
    ]
    check_images(command, "runs/quickstart")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_simulator_makes_the_pictures_of_every_profile(
    command: CommandLine, samples: Path, profile: str
) -> None:
    ended = command("run", samples / "quickstart.csv", "--profile", profile, *SIMULATED, "--json")
    assert (ended.code, ended.json["by_status"]) == (0, {"succeeded": 15}), ended.err


def test_every_column(command: CommandLine, samples: Path) -> None:
    ended = command("run", samples / "every_column.csv", *SIMULATED, "--json")
    assert (ended.code, ended.json["by_status"]) == (0, {"succeeded": 8}), ended.err
    rows = command.results("runs/every_column")
    written = list(csv.DictReader((samples / "every_column.csv").open(encoding="utf-8", newline="")))
    by_place = {row["row"]: row for row in rows}
    assert [by_place[place]["prompt"] for place in range(7)] == [row["prompt"] for row in written]
    for name in ("category", "seed", "note"):
        assert [by_place[place][name] for place in range(7)] == [row[name] for row in written]
    ids = [by_place[place]["row_id"] for place in range(7)]
    assert ids[:5] == ["007", "1e5", "12345678901234567890123", "quotes", "NA"]
    assert re.fullmatch(r"[0-9a-f]{16}", ids[5]) and ids[6] == "großmütterchen/№5"
    assert [(row["n"], row["format"], row["output_compression"]) for row in rows[1:3]] == [
        (2, "webp", 80)
    ] * 2
    assert by_place[2]["quality"] == "low" and by_place[4]["quality"] is None
    check_images(command, "runs/every_column")


MISTAKES = {
    "no-prompt": "line 3: column 'prompt' is empty; every row needs a prompt",
    "blank-prompt": "line 4: column 'prompt' is empty; every row needs a prompt",
    "n-zero": "line 5: column 'n' is '0'; n must be a whole number from 1 to 10",
    "n-eleven": "line 6: column 'n' is '11'; n must be a whole number from 1 to 10",
    "n-text": "line 7: column 'n' is 'abc'; n must be a whole number from 1 to 10",
    "compression": "line 8: column 'output_compression' is '101'; output_compression must be a whole number "
    "from 0 to 100",
    "transparent": "line 9: background 'transparent' cannot be stored as jpeg; set output_format to png or webp",
    "fine": "line 10: column 'id' repeats 'fine'; the first row with it stands. Give each row its own id, or keep "
    "the first of each with --distinct id",
}
"""Messages by id, for the rows whose id could be read."""

MALFORMED = (
    "line 11: has 8 fields, the header has 7; put quotes around a value that holds ','",
    "line 12: has 2 fields, the header has 7; add what is missing",
    "line 13: its quotes do not match (',' expected after '\"'); close each quoted value and double the quotes "
    "inside it",
    "line 14: byte 719 of the file (0xe9) is not UTF-8; convert the file first, for example with: "
    "iconv -f WINDOWS-1252 -t UTF-8",
)


def test_every_mistake(command: CommandLine, samples: Path) -> None:
    ended = command("run", samples / "every_mistake.csv", *SIMULATED, "--json")
    assert (ended.code, ended.json["by_status"]) == (3, {"succeeded": 4, "invalid": 13}), ended.err
    assert ended.json["folder"]["requests_sent"] == 3
    rows = command.results("runs/every_mistake")
    invalid = [row for row in rows if row["status"] == "invalid"]
    assert {row["error_kind"] for row in invalid} == {"invalid_row"}
    told = [row["error_message"] for row in invalid]
    assert told[:8] == list(MISTAKES.values())
    assert told[8:12] == list(MALFORMED)
    assert told[12].startswith("line 16: column 'prompt' holds 32,001 characters ('stripes of wet paint")
    assert [row["row_id"] for row in invalid[:8]] == list(MISTAKES)
    made = [row for row in rows if row["status"] == "succeeded"]
    assert [row["row_id"] for row in made] == ["fine", "still-fine", "still-fine", "longest"]
    assert len(made[-1]["prompt"]) == 32_000
    check_images(command, "runs/every_mistake")


def test_parquet(command: CommandLine, samples: Path) -> None:
    ended = command("run", samples / "prompts.parquet", *SIMULATED, "--json")
    assert (ended.code, ended.json["by_status"]) == (0, {"succeeded": 7}), ended.err
    table = pq.read_table(command.cwd / "runs/prompts/results.parquet")
    carried = ("seed", "cfg", "tags", "outdoors", "written")
    first = table.filter([index == 0 for index in table["image_index"].to_pylist()])
    written = parquet_sample.table()
    for name in carried:
        assert table.schema.field(name).type == written.schema.field(name).type
        assert first[name].to_pylist() == written[name].to_pylist()
    assert first["row_id"].to_pylist() == [str(value) for value in written["item_id"].to_pylist()]
    assert first["prompt"].to_pylist() == written["caption"].to_pylist()
    check_images(command, "runs/prompts")


def test_the_parquet_sample_is_what_its_script_writes(samples: Path, tmp_path: Path) -> None:
    parquet_sample.write(tmp_path / "again.parquet")
    assert pq.read_table(samples / "prompts.parquet").equals(pq.read_table(tmp_path / "again.parquet"))
    assert (samples / "prompts.parquet").stat().st_size < 20_000


def test_job_file(command: CommandLine, samples: Path) -> None:
    ended = command("run", samples / "nightly.toml", *SIMULATED, "--rpm", "3600", "--json")
    assert (ended.code, ended.json["by_status"]) == (0, {"succeeded": 7}), ended.err
    out = ended.json["out"]
    assert re.fullmatch(r"runs/nightly-\d{4}-\d{2}-\d{2}", out)
    rows = command.results(out)
    assert {(row["format"], row["output_compression"], row["quality"]) for row in rows} == {
        ("webp", 90, "medium")
    }
    assert [row["size"] for row in rows][3:5] == ["1536x1024", "1024x1536"]
    check_images(command, out)
    again = command("run", f"{out}/job.toml", "--json")
    assert (again.code, again.json["folder"]["requests_sent"]) == (0, ended.json["folder"]["requests_sent"])


@pytest.mark.parametrize("name", ["quickstart.csv", "every_column.csv", "prompts.parquet", "nightly.toml"])
def test_plan_has_no_complaint(command: CommandLine, samples: Path, name: str) -> None:
    ended = command("plan", samples / name, "--simulate", "--json")
    assert (ended.code, ended.json["invalid"], ended.json["warnings"]) == (0, 0, [])
