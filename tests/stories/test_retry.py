"""`retry` sends what was named and nothing else; what it sends again stays in the ledger beside what came of it before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.faults.drive import frozen_files
from tests.support.canary import WITH_CANARY
from tests.support.commandline import CommandLine, Service
from tests.support.servedjob import ServedJob

SCENARIO = """
latency = { median = 0.0 }
[[fault]]
match = "cut"
kind = "truncate"
times = 1
[[fault]]
match = "gone"
kind = "disconnect"
times = 1
[[fault]]
match = "rude"
kind = "moderation"
times = 1
[[fault]]
match = "odd"
kind = "bad_json"
times = 2
"""
PROMPTS = ("a fox", "a cut gem", "a gone day", "a rude owl", "an odd shoe", "a hare")
FIRST = ("succeeded", "parked", "parked", "failed", "failed", "succeeded")
KINDS = (None, "truncated", "disconnected", "moderation", "bad_content", None)
MAYBE_BILLED = 4
"""Of the first run: both parked rows, the refused one and the unusable answer."""


class Folder(ServedJob):
    """A finished job in which every sort of row is there once, and its service."""

    @property
    def place(self) -> Path:
        """The output folder."""
        return self.command.cwd / self.out

    def column(self, name: str) -> tuple[Any, ...]:
        """One column of the results table."""
        return tuple(row[name] for row in self.command.results("out"))

    def ledger(self, query: str) -> list[tuple[Any, ...]]:
        """What the ledger says."""
        with sqlite3.connect(self.place / "ledger.sqlite") as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def folder(command: CommandLine, tmp_path: Path) -> Iterator[Folder]:
    rows = "".join(f"{number},{prompt}\n" for number, prompt in enumerate(PROMPTS))
    (tmp_path / "prompts.csv").write_text(f"id,prompt\n{rows}")
    (tmp_path / "faults.toml").write_text(SCENARIO)
    with Service(command, "--scenario", str(tmp_path / "faults.toml")) as service:
        made = Folder(command, service, len(PROMPTS))
        first = made.run()
        assert (first.code, made.column("status"), made.column("error_kind")) == (3, FIRST, KINDS), first.err
        assert (first.json["folder"]["maybe_billed"], made.sent()) == (
            MAYBE_BILLED,
            dict.fromkeys(PROMPTS, 1),
        )
        yield made


def expected(*again: str) -> dict[str, int]:
    """Requests by prompt when these were sent twice."""
    return {prompt: 1 + (prompt in again) for prompt in PROMPTS}


def test_parked_rows_are_sent_by_that_name_only(folder: Folder) -> None:
    """G5: the second answer is an image; that the first may have been paid for stays counted."""
    assert folder.retry().code == 3
    assert {prompt: folder.sent()[prompt] for prompt in PROMPTS[1:3]} == dict.fromkeys(PROMPTS[1:3], 1)
    done = folder.retry("--parked")
    assert folder.sent() == expected("a cut gem", "a gone day", "a rude owl", "an odd shoe")
    assert folder.column("status") == (
        "succeeded",
        "succeeded",
        "succeeded",
        "succeeded",
        "failed",
        "succeeded",
    )
    assert folder.column("attempts") == (1, 2, 2, 2, 2, 1)
    assert folder.column("maybe_billed") == (0, 1, 1, 1, 2, 0)
    assert (done.code, done.json["folder"]["maybe_billed"], done.json["folder"]["requests_sent"]) == (
        3,
        MAYBE_BILLED + 1,
        10,
    )


def test_old_attempts_stay_and_the_table_shows_the_newest_success(folder: Folder) -> None:
    before = folder.ledger("SELECT * FROM attempts JOIN outcomes USING (attempt)")
    folder.retry("--parked")
    after = folder.ledger("SELECT * FROM attempts JOIN outcomes USING (attempt)")
    assert (after[: len(before)], len(after)) == (before, len(before) + 2)
    told = folder.ledger(
        "SELECT items.prompt, status, kind, maybe_billed "
        "FROM attempts JOIN outcomes USING (attempt) JOIN items USING (item) "
        "WHERE items.prompt IN ('a cut gem', 'a gone day') ORDER BY item, attempt"
    )
    assert told == [
        ("a cut gem", "parked", "truncated", 1),
        ("a cut gem", "succeeded", None, 0),
        ("a gone day", "parked", "disconnected", 1),
        ("a gone day", "succeeded", None, 0),
    ]
    for row in folder.command.results("out")[1:3]:
        newest = folder.ledger(
            f"SELECT max(attempt) FROM attempts JOIN items USING (item) WHERE row_id={row['row_id']}"
        )
        assert f"-{newest[0][0]}-0.png" in row["file_name"]
        assert (row["error_kind"], row["error_message"]) == (None, None)
        assert (folder.place / row["file_name"]).stat().st_size == row["bytes"]


@pytest.mark.parametrize(
    ("options", "again"),
    [
        (("--error", "moderation"), ("a rude owl",)),
        (("--error", "truncated"), ("a cut gem",)),
        (("--error", "disconnected", "--error", "bad_content"), ("a gone day", "an odd shoe")),
        ((), ("a rude owl", "an odd shoe")),
    ],
)
def test_only_what_is_named_is_sent(folder: Folder, options: tuple[str, ...], again: tuple[str, ...]) -> None:
    folder.retry(*options)
    assert folder.sent() == expected(*again)


def test_a_second_failure_is_what_the_table_shows(folder: Folder) -> None:
    ended = folder.retry("--error", "bad_content")
    assert (ended.code, folder.column("attempts")[4], folder.column("maybe_billed")[4]) == (3, 2, 2)
    bodies = sorted(path.name.partition("-")[0] for path in (folder.place / "quarantine").iterdir())
    assert bodies == ["1", "4", "4"], "what came of the cut answer, and both that could not be used"
    assert folder.retry("--error", "bad_content").json["by_error"].keys() == {
        "truncated",
        "disconnected",
        "moderation",
    }


def test_a_success_is_never_sent_again(folder: Folder) -> None:
    """G3: whatever is named, and however often."""
    kinds = [option for kind in KINDS if kind for option in ("--error", kind)]
    for options in ((), ("--parked",), tuple(kinds), ("--parked", *kinds), ()):
        folder.retry(*options)
    assert {prompt: folder.sent()[prompt] for prompt in ("a fox", "a hare")} == {"a fox": 1, "a hare": 1}
    assert folder.retry("--parked").code == folder.run().code == 0
    assert folder.column("status") == ("succeeded",) * 6
    assert sum(folder.sent().values()) == 11


def test_nothing_selected_sends_nothing_and_changes_nothing(folder: Folder) -> None:
    """G9: there was nothing to do, and that is said."""
    before = frozen_files(folder.place)
    ended = folder.retry("--error", "quota")
    assert (ended.code, ended.json["folder"]["requests_sent"]) == (0, len(PROMPTS))
    assert ended.json["exit_reason"] == "nothing to send: no row matches these selections"
    assert (folder.sent(), frozen_files(folder.place)) == (expected(), before)


def test_a_retry_is_within_the_budget_of_the_folder(folder: Folder) -> None:
    """G6: the cap counts what earlier runs sent."""
    assert folder.run("--max-requests", str(len(PROMPTS) + 1)).code == 3
    first, second = folder.retry("--parked"), folder.retry("--parked")
    assert (first.code, second.code) == (8, 8)
    assert sum(folder.sent().values()) == len(PROMPTS) + 1


def test_a_request_that_timed_out_is_sent_again_only_by_name(command: CommandLine, tmp_path: Path) -> None:
    """G5: the service charged for the request that it never answered."""
    (tmp_path / "prompts.csv").write_text("id,prompt\na,a slow snail\nb,a hare\n")
    (tmp_path / "faults.toml").write_text('[[fault]]\nmatch = "slow"\nkind = "hang"\ntimes = 1\n')
    with Service(command, "--latency", "0", "--scenario", str(tmp_path / "faults.toml")) as service:
        job = ServedJob(command, service, 2)
        for _ in range(2):
            assert job.run("--timeout", "1", "--attempts", "5").code == 3
        assert service.stats()["by_prompt"] == {"a slow snail": 1, "a hare": 1}
        snail = command.results("out")[0]
        assert (snail["status"], snail["error_kind"], snail["maybe_billed"]) == ("parked", "timeout", 1)
        assert job.retry("--error", "timeout").code == 0
        assert service.stats()["billed_by_prompt"]["a slow snail"] == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("out", "--error", "moderated"), "no such kind of error, did you mean moderation? (known: "),
        (("out", "--error", ""), "no such kind of error (known: "),
        (("nowhere",), "is not an output folder of imagemill"),
        ((), "Missing argument"),
    ],
)
def test_what_cannot_be_retried_is_exit_2(
    command: CommandLine, arguments: tuple[str, ...], told: str
) -> None:
    ended = command("retry", *arguments, environ=WITH_CANARY)
    assert (ended.code, told in ended.err, ended.out) == (2, True, "")
