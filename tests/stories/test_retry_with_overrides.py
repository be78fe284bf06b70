"""`retry` with selections and overrides: what the service is asked, what the ledger keeps, and what is refused unsent."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runner.cli.main import main
from runner.ledger import completion_cache
from tests.attacks.faults.drive import frozen_files
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Ended, Service
from tests.support.servedjob import ServedJob

SCENARIO = """
latency = { median = 0.0 }
[[fault]]
match = "rude(?!.*calm)"
kind = "moderation"
[[fault]]
match = "gone"
kind = "disconnect"
times = 1
[[fault]]
match = "odd"
kind = "wrong_size"
times = 1
[[fault]]
match = "brief"
kind = "fewer_images"
times = 1
"""
ROWS = (
    ("fox", "a fox", "", "high", "warm"),
    ("owl", "a rude owl", "", "low", "cold"),
    ("day", "a gone day", "", "", "cold"),
    ("shoe", "an odd shoe", "2", "", ""),
    ("note", "a brief note", "2", "", "warm"),
    ("bad", "", "", "", ""),
)
SENT = len(ROWS) - 1


class Folder:
    """A finished job with a success, a refusal, a parked row, a wrong size, a partial success and an invalid row."""

    def __init__(self, command: CommandLine, service: Service) -> None:
        self.command, self.service, self.out = command, service, command.cwd / "out"

    def imagemill(self, *arguments: str) -> Ended:
        """The command with `--json`, in this process."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in [name for name in os.environ if name.endswith("_API_KEY")]:
                patch.delenv(name)
            for name, value in WITH_CANARY.items():
                patch.setenv(name, value)
            patch.chdir(self.command.cwd)
            code = main([*arguments, "--json", "-q"])
        return Ended(code, out.getvalue(), err.getvalue())

    def retry(self, *options: str) -> Ended:
        """`imagemill retry`."""
        return self.imagemill("retry", "out", *options)

    def requests(self) -> int:
        """Requests that the service has got."""
        return int(self.service.stats()["requests"])

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The results of one row."""
        return [row for row in self.command.results("out") if row["row_id"] == name]

    def ledger(self, query: str) -> list[tuple[Any, ...]]:
        """What the ledger says."""
        with sqlite3.connect(self.out / "ledger.sqlite") as connection:
            return connection.execute(query).fetchall()

    def newest(self) -> list[tuple[str, str | None, dict[str, Any], str | None]]:
        """Row id, prompt as sent, parameters and indexes of the attempts of the last run, by id."""
        found = self.ledger(
            "SELECT row_id, attempts.prompt, body, indexes FROM attempts JOIN items USING (item) JOIN params USING (params) "
            "WHERE run = (SELECT max(run) FROM runs) ORDER BY row_id"
        )
        return [(row_id, prompt, json.loads(body), indexes) for row_id, prompt, body, indexes in found]


@contextmanager
def finished(tmp_path: Path) -> Iterator[Folder]:
    """The job, run once, and its service."""
    command = CommandLine(tmp_path)
    lines = "".join(",".join(row) + "\n" for row in ROWS)
    (tmp_path / "prompts.csv").write_text(f"id,prompt,n,quality,mood\n{lines}")
    (tmp_path / "faults.toml").write_text(SCENARIO)
    with Service(command, "--scenario", str(tmp_path / "faults.toml")) as service:
        made = Folder(command, service)
        assert made.imagemill(*ServedJob(command, service, SENT).arguments()).code == 3
        assert made.requests() == SENT
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """A folder of the test's own."""
    with finished(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """A folder that no test changes; files beside it may be added."""
    with finished(tmp_path_factory.mktemp("still")) as made:
        yield made


@pytest.mark.parametrize(
    ("options", "again", "told"),
    [
        (("--where", "mood == 'cold'"), ["owl"], ""),
        (("--where", "mood == 'warm'"), ["note"], ""),
        (("--where", "mood == 'cold' and quality is not 'low'"), [], "1 parked row matches"),
        (("--where", "mood == 'cold' and quality != 'low'"), [], "no row matches these selections"),
        (("--where", "status == 'parked'"), ["day"], ""),
        (("--where", "error_kind != 'moderation' and mood == 'cold'"), [], "1 parked row matches"),
        (("--where", "status == 'parked' or row_id == 'owl'"), ["day", "owl"], ""),
        (("--where", "status == 'parked' or row_id == 'day'"), [], "1 parked row matches"),
        (("--where", "contains(flags, 'fewer_images') or \"mood\" = 'cold'"), ["note", "owl"], ""),
        (("--where", "prompt like '%note' and finished_at > '2026-01-01'"), ["note"], ""),
        (("--where", "error_kind in ('disconnected', 'moderation') and mood == 'cold'"), ["day", "owl"], ""),
        (("--where", "quality == 'high'"), [], "1 row that succeeded matches"),
        (("--where", "row_id == 'bad'"), [], "1 row is invalid"),
        (("--parked", "--where", "quality is null"), ["day"], ""),
        (("--pending",), [], "no row matches these selections"),
        (("--since", "2h"), ["note", "owl"], ""),
        (("--since", "2999-01-01"), [], "no row matches these selections"),
        (("--flag", "fewer_images", "--error", "bad_content"), ["note"], ""),
        (("--succeeded", "--yes", "--where", "quality == 'high'"), ["fox"], ""),
        (("--succeeded", "--yes", "--where", "image_index == 1 and status == 'succeeded'"), ["shoe"], ""),
    ],
)
def test_what_is_chosen_is_planned_and_nothing_is_sent_for_it(
    still: Folder, options: tuple[str, ...], again: list[str], told: str
) -> None:
    """The plan of a retry: its requests are those of the rows that all selections name."""
    before = frozen_files(still.out)
    planned = still.retry(*options, "--dry-run")
    assert (planned.code, planned.json["requests"], planned.json["rows"]) == (0, len(again), len(ROWS)), (
        planned.err
    )
    assert told in " ".join(warning["message"] for warning in planned.json["warnings"])
    assert (still.requests(), frozen_files(still.out)) == (SENT, before)
    if not again:
        idle = still.retry(*options)
        assert (idle.code, still.requests(), frozen_files(still.out)) == (0, SENT, before)
        assert idle.json["exit_reason"].startswith("nothing to send: ")
        assert told in idle.json["exit_reason"]


def test_rows_of_a_file_are_sent_and_no_others(folder: Folder, tmp_path: Path) -> None:
    """One a line, or a column of a table; parked rows and successes are not among them unless they are named."""
    (tmp_path / "ids.txt").write_text("owl\n\nday\nfox\n")
    (tmp_path / "ids.csv").write_text("n,row_id\n1,owl\n2,day\n")
    pq.write_table(pa.table({"id": ["owl", "day"]}), tmp_path / "ids.parquet")
    for name in ("ids.txt", "ids.csv", "ids.parquet"):
        assert folder.retry("--rows", name, "--dry-run").json["requests"] == 1
        assert folder.retry("--rows", name, "--parked", "--dry-run").json["requests"] == 1
    assert folder.retry("--rows", "ids.txt", "--succeeded", "--yes", "--dry-run").json["requests"] == 1
    folder.retry("--rows", "ids.txt")
    assert [row_id for row_id, *_ in folder.newest()] == ["owl"]


def test_a_success_is_paid_for_again_only_when_that_is_said(folder: Folder) -> None:
    """G3: without --yes nothing is sent; with it the newest picture stands, and the old file stays."""
    shoe = folder.rows("shoe")
    refused = folder.retry("--flag", "size_mismatch")
    assert (refused.code, folder.requests()) == (2, SENT)
    assert "2 existing images would be made again and charged" in refused.json["exit_reason"]
    assert folder.retry("--flag", "size_mismatch", "--yes").code == 3
    assert [(row_id, body["n"]) for row_id, _, body, _ in folder.newest()] == [("shoe", 2)]
    newer = folder.rows("shoe")
    assert [(row["width"], row["try_number"], row["attempts"]) for row in newer] == [(64, 2, 2)] * 2
    assert not {row["file_name"] for row in newer} & {row["file_name"] for row in shoe}
    assert all((folder.out / row["file_name"]).is_file() for row in (*shoe, *newer))
    sent = folder.requests()
    assert folder.imagemill("run", "out/job.toml").code == 3
    assert folder.requests() == sent


def test_one_picture_of_a_row_is_asked_for_alone(folder: Folder) -> None:
    chosen = "row_id == 'shoe' and image_index == 1"
    assert folder.retry("--succeeded", "--yes", "--where", chosen).code == 3
    assert [(row_id, body["n"], indexes) for row_id, _, body, indexes in folder.newest()] == [
        ("shoe", 1, "[1]")
    ]
    assert [(row["width"], row["try_number"]) for row in folder.rows("shoe")] == [(32, 1), (64, 2)]


def test_a_success_outlives_the_failure_of_its_next_try(folder: Folder) -> None:
    """The row stays done, and the next run sends nothing; the failure is told by `history`."""
    (fox,) = folder.rows("fox")
    again = ("--succeeded", "--yes", "--where", "row_id == 'fox'", "--set", "prompt=a rude {row_id}")
    assert folder.retry(*again).code == 3
    (after,) = folder.rows("fox")
    same = ("status", "file_name", "sha256", "attempt", "try_number", "sent_prompt", "error_kind")
    assert [after[name] for name in same] == [fox[name] for name in same]
    assert (after["attempts"], after["maybe_billed"]) == (2, 1)
    assert folder.imagemill("run", "out/job.toml").code == 3
    assert folder.requests() == SENT + 1
    (row,) = folder.imagemill("history", "out", "fox").json["rows"]
    assert [(each["status"], each["kind"], each["prompt"]) for each in row["attempts"]] == [
        ("succeeded", None, None),
        ("failed", "moderation", "a rude fox"),
    ]


def test_an_override_is_sent_recorded_and_not_kept(folder: Folder) -> None:
    """It wins over the row's own field; the row is the same row afterwards, and job.toml the same job."""
    job = (folder.out / "job.toml").read_bytes()
    changes = ("--quality", "medium", "--set", "prompt={prompt}, calm and {mood}")
    assert folder.retry("--error", "moderation", *changes).code == 3
    ((row_id, prompt, body, _),) = folder.newest()
    assert (row_id, prompt, body["quality"]) == ("owl", "a rude owl, calm and cold", "medium")
    assert (body["size"], (folder.out / "job.toml").read_bytes()) == ("64x64", job)
    assert folder.service.stats()["by_prompt"]["a rude owl, calm and cold"] == 1
    (owl,) = folder.rows("owl")
    told = (owl["status"], owl["prompt"], owl["sent_prompt"], owl["quality"])
    assert told == ("succeeded", "a rude owl", "a rude owl, calm and cold", "medium")
    assert folder.ledger("SELECT count(*) FROM items") == [(SENT,)]
    assert folder.imagemill("run", "out/job.toml").code == 3
    assert folder.requests() == SENT + 1
    assert folder.command("verify", "out").code == 0


@pytest.mark.parametrize(
    ("options", "told", "fix"),
    [
        (
            ("--where", "qualty == 'x'"),
            "no column 'qualty'; did you mean 'quality'?",
            "row_id, row, image_index",
        ),
        (
            ("--where", "cost_usd == 'x'"),
            "column 'cost_usd' cannot equal 'x'; compare it with a number",
            "imagemill schema results",
        ),
        (("--where", "mood > 3"), "text in single quotes, or write cast(mood as", "imagemill schema results"),
        (("--where", "flags == 'x'"), "contains(flags, 'edited')", "imagemill schema results"),
        (("--where", "started_at > 'soon'"), "is no time", "imagemill schema results"),
        (("--where", 'mood == "cold"'), "text stands in single quotes: 'cold'", "mood"),
        (("--where", "mood == "), "something is missing at the end", "write it like"),
        (("--where", ""), "is empty", "write it like"),
        (("--set", "prompt={nope}"), "{nope} is no column", "mood"),
        (("--set", "prompt={prompt.upper}"), "no attributes", "mood"),
        (("--set", "prompt={prompt"), "write {column}, and {{ or }}", "write it like"),
        (("--set", "qualty=low"), "did you mean 'quality'?", "--param qualty"),
        (("--set", "n=3"), "n cannot be changed by a retry", "in the manifest"),
        (("--set", "input.limit=3"), "the folder's own manifest", "use run"),
        (("--set", "run.on_change=keep"), "as the folder's job says", "--on-change"),
        (("--set", "run.metrics_file=m.prom"), "only a run does that", "leave it out"),
        (("--set", "limits.rpm=0"), "must be a number above 0", "--rpm N"),
        (
            ("--set", "prompt="),
            "1 of 2 rows cannot be sent like this\n  row 'note' (line 6)",
            "leave these rows out",
        ),
        (
            ("--set", "prompt={revised_prompt}"),
            "'revised_prompt' is null in this row",
            "leave these rows out",
        ),
        (
            ("--set", "background=transparent", "--output-format", "jpeg"),
            "cannot be stored as jpeg",
            "--where",
        ),
        (("--since", "yesterday"), "neither an age nor a time", "write 2h"),
        (("--rows", "nowhere.txt"), "there is no file nowhere.txt", "check the path"),
        (("--rows", "faults.toml"), "ids are no rows here: ", "row_id in results.parquet"),
        (("--succeeded", "--yes"), "needs to be told which", "--where"),
        (("--succeeded", "--where", "quality == 'high'"), "1 existing image", "add --yes"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_sent(
    still: Folder, options: tuple[str, ...], told: str, fix: str
) -> None:
    before = frozen_files(still.out)
    ended = still.retry(*options)
    assert (ended.code, ended.json["exit_code"], still.requests()) == (2, 2, SENT), ended.err
    if told.startswith("1 of 2"):
        told = "2 of 2 rows cannot be sent like this\n  row 'owl' (line 3)"
    assert told in ended.err
    assert fix in ended.err.split("\nfix: ")[-1]
    assert frozen_files(still.out) == before


def test_the_map_of_what_is_done_hides_no_success_that_is_named(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a map, as a long manifest has one: what is named is sent, and the map stays true for the next run."""
    monkeypatch.setattr(completion_cache, "LEAST_ROWS", 1)
    assert folder.imagemill("run", "out/job.toml").code == 3
    assert (folder.out / completion_cache.MAP_NAME).is_file()
    for number in (1, 2):
        folder.retry("--succeeded", "--yes", "--where", "row_id == 'fox'")
        assert folder.requests() == SENT + number
        assert folder.rows("fox")[0]["try_number"] == number + 1
        assert folder.imagemill("run", "out/job.toml").code == 3
        assert folder.requests() == SENT + number
    assert folder.retry("--error", "moderation", "--dry-run").json["done"] == 2
    assert folder.retry("--error", "moderation").json["folder"]["requests_sent"] == SENT + 3


def test_a_retry_and_its_dry_run_refuse_an_edited_manifest_alike(folder: Folder) -> None:
    manifest = folder.command.cwd / "prompts.csv"
    manifest.write_text(manifest.read_text().replace("a fox", "a red fox"))
    for options in ((), ("--dry-run",)):
        refused = folder.retry(*options)
        assert (refused.code, "run with --on-change" in refused.err) == (2, True)
    assert folder.requests() == SENT


def test_the_ledger_keeps_nothing_of_a_retry_that_was_not_said(folder: Folder) -> None:
    folder.retry("--parked")
    (told,) = folder.ledger("SELECT command FROM runs ORDER BY run DESC LIMIT 1")[0]
    assert json.loads(told) == {"command": "retry", "select": {"parked": True}}
