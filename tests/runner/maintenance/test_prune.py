"""`prune` removes what a newer success has superseded, and nothing else; a kill in the middle of it loses nothing."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from runner.ledger.reader import open_reader
from runner.maintenance import prune
from runner.maintenance.verify import verify
from runner.workspace import lock
from schemas.errors import ExitCode, JobError
from tests.support.canary import WITH_CANARY
from tests.support.commandline import AT_ONCE, CommandLine

AGAIN = ("--succeeded", "--yes", "--where", "row_id in ('a', 'b')")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose rows `a` and `b` were made twice, `c` once; with its manifest beside it."""
    place = tmp_path_factory.mktemp("made")
    command = CommandLine(place)
    (place / "prompts.csv").write_text("id,prompt\na,a fox\nb,an owl\nc,a hare\n")
    fixed = ("run", "prompts.csv", "--simulate", *AT_ONCE, "--size", "64x64", "--out", "out", "-q")
    assert command(*fixed).code == 0
    assert command("retry", "out", *AGAIN, "-q").code == 0
    return place


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    job = tmp_path / "out/job.toml"
    job.write_text(job.read_text().replace(str(made), str(tmp_path)))
    return tmp_path / "out"


def images(out: Path) -> set[str]:
    """Names of the image files."""
    return {path.name for path in (out / "images").rglob("*") if path.is_file()}


OLD, NEW = {"a-0-0.png", "b-1-0.png"}, {"a-3-0.png", "b-4-0.png", "c-2-0.png"}


def test_superseded_images_go_and_only_when_that_is_agreed(command: CommandLine, out: Path) -> None:
    refused = command("prune", "out")
    assert (refused.code, refused.is_one_message(), images(out)) == (2, True, OLD | NEW)
    looked = command("prune", "out", "--dry-run", "--json").json
    assert (looked["images"], looked["removed"], images(out)) == (2, False, OLD | NEW)
    done = command("prune", "out", "--yes", "--json").json
    assert (done["images"], done["bytes"], images(out)) == (2, looked["bytes"], NEW)
    assert command("prune", "out", "--yes", "--json").json["images"] == 0
    assert command("verify", "out").code == 0
    told = command("history", "out", "a", "--json").json["rows"][0]["attempts"]
    assert [image["file"] for attempt in told for image in attempt["images"]] == ["pruned", "present"]


def test_what_stands_in_for_another_must_be_whole(out: Path) -> None:
    """The only good image of a row stays, and so does what is not the file that was recorded."""
    (out / "images/0000/a-3-0.png").write_bytes(b"cut")
    (out / "images/0000/b-1-0.png").write_bytes(b"something of the user's")
    found = prune.prune(out, removed=False)
    assert (found.files, len(found.kept)) == ([], 2)
    assert images(out) == OLD | NEW


def test_a_kill_between_record_and_removal_is_finished_later(command: CommandLine, out: Path) -> None:
    """verify takes what is left for no damage; --repair or the next prune removes it."""
    for number, finish in enumerate((("verify", "out", "--repair"), ("prune", "out"))):
        with sqlite3.connect(out / "ledger.sqlite") as connection:
            connection.execute("INSERT INTO pruned VALUES (?, 0, 5)", (1 - number,))
        assert verify(out, None).problems == []
        assert len(images(out)) == 5 - number
        assert command(*finish).code == 0
        assert len(images(out)) == 4 - number
    assert images(out) == NEW
    assert command("verify", "out").code == 0


def test_images_of_rows_that_are_gone_go_by_name_only(command: CommandLine, out: Path) -> None:
    (out.parent / "prompts.csv").write_text("id,prompt\na,a fox\nb,an owl in snow\n")
    assert prune.preview(out, removed=False).bytes < prune.preview(out, removed=True).bytes
    assert command("run", "out/job.toml", "--on-change", "regenerate", "-q").code == 0
    assert command("prune", "out", "--removed", "--yes").code == 0
    assert images(out) == {"a-3-0.png", "b-5-0.png"}
    (out.parent / "prompts.csv").write_text("id,prompt\na,a fox\nb,an owl\nc,a hare\n")
    run = command("run", "out/job.toml", "--json", "-q")
    assert (run.code, run.json["folder"]["requests_sent"]) == (0, 6)
    rows = command.results("out")
    assert [(row["status"], row["file_name"] is None, "pruned" in row["flags"]) for row in rows] == [
        ("succeeded", False, False),
        ("succeeded", True, True),
        ("succeeded", True, True),
    ]
    assert command("retry", "out", "--flag", "pruned", "--yes", "--json").json["folder"]["requests_sent"] == 8
    assert command("verify", "out").code == 0


@pytest.mark.parametrize("on_change", ["keep", "stop"])
def test_the_image_of_an_edited_row_that_has_no_other_stays(
    command: CommandLine, out: Path, on_change: str
) -> None:
    """It stands for the row, or may yet be told to."""
    (out.parent / "prompts.csv").write_text("id,prompt\na,a red fox\nb,an owl\nc,a hare\n")
    assert command("run", "out/job.toml", "--on-change", on_change, "-q").code == (
        2 if on_change == "stop" else 0
    )
    assert command("prune", "out", "--removed", "--yes").code == 0
    assert images(out) == NEW
    run = command("run", "out/job.toml", "--on-change", "keep", "--json", "-q")
    assert (run.code, run.json["folder"]["requests_sent"]) == (0, 5)
    assert command.results("out")[0]["file_name"] == "images/0000/a-3-0.png"
    assert command("verify", "out").code == 0


def test_another_manifest_is_not_taken_for_removed_rows(out: Path) -> None:
    (out.parent / "prompts.csv").write_text("id,prompt\nx,a mole\n")
    with pytest.raises(JobError, match="looks like another manifest"):
        prune.preview(out, removed=True)


def test_a_folder_at_work_is_left_alone(out: Path) -> None:
    with lock.folder_lock(out, wait_s=0), pytest.raises(JobError) as refused:
        prune.prune(out, removed=False)
    assert (refused.value.exit_code, images(out)) == (ExitCode.LOCKED, OLD | NEW)


def test_a_folder_of_an_older_imagemill_is_told_what_to_do(command: CommandLine, out: Path) -> None:
    with sqlite3.connect(out / "ledger.sqlite") as connection:
        connection.execute("PRAGMA user_version=2")
    ended = command("history", "out", environ=WITH_CANARY)
    assert (ended.code, "schema version 2" in ended.err) == (2, True)
    with pytest.raises(JobError):
        open_reader(out)
