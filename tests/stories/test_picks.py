"""Picked images are made again, those and no others; a file of picks may be old, edited by hand, or of another folder."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.results.picks import PICK_FIELDS
from tests.support.commandline import CommandLine, Service
from tests.support.servedjob import ServedJob

PROMPTS = ("a fox", "a hare", "an owl")
IMAGES_EACH = 2


class Picked(ServedJob):
    """A finished job of two images a prompt, and files of picks of it."""

    def picks(self, *picks: dict[str, Any], name: str = "picks.csv") -> Path:
        """Write a file of picks; each has at least row_id and image_index."""
        path = self.command.cwd / name
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, PICK_FIELDS, restval="")
            table.writeheader()
            table.writerows(picks)
        return path

    def images(self) -> dict[tuple[str, int], dict[str, Any]]:
        """The results by row id and image."""
        return {(row["row_id"], row["image_index"]): row for row in self.command.results("out")}

    def pick(self, row_id: str, index: int, **said: Any) -> dict[str, Any]:
        """A pick as a report saves it."""
        digest = self.images()[row_id, index]["sha256"]
        return {"row_id": row_id, "image_index": index, "sha256": digest, **said}


@pytest.fixture
def job(command: CommandLine, tmp_path: Path) -> Iterator[Picked]:
    rows = "".join(f"{number},{prompt},{IMAGES_EACH}\n" for number, prompt in enumerate(PROMPTS))
    (tmp_path / "prompts.csv").write_text(f"id,prompt,n\n{rows}")
    with Service(command) as service:
        made = Picked(command, service, len(PROMPTS) * IMAGES_EACH)
        first = made.run()
        assert first.code == 0, first.err
        yield made


def test_the_poor_ones_are_made_again_and_nothing_else(job: Picked) -> None:
    picks = job.picks(
        job.pick("0", 0, rating=5), job.pick("0", 1, rating=2), job.pick("2", 0, rating="x", tag="blurred")
    )
    before = job.images()
    done = job.retry("--picks", str(picks), "--where", "rating <= 2")
    assert done.code == 0, done.err
    assert done.json["images_saved"] == 2
    after = job.images()
    changed = {key for key in before if before[key]["sha256"] != after[key]["sha256"]}
    assert changed == {("0", 1), ("2", 0)}
    # The same file once more: those two are images that nobody has looked at.
    again = job.retry("--picks", str(picks), "--where", "rating <= 2")
    assert (again.code, again.json["requests_sent"]) == (0, 0)


def test_tags_and_notes_choose_rows_and_fill_prompts(job: Picked) -> None:
    picks = job.picks(job.pick("1", 0, tag="dark", note="at noon"), job.pick("1", 1, note="no change"))
    done = job.retry("--picks", str(picks), "--where", "tag = 'dark'", "--set", "prompt={prompt}, {note}")
    assert done.code == 0, done.err
    assert job.images()["1", 0]["sent_prompt"] == "a hare, at noon"
    assert job.images()["1", 1]["sent_prompt"] is None


def test_without_an_expression_nothing_is_paid_for_again_unasked(job: Picked) -> None:
    picks = job.picks(job.pick("0", 0, rating=5))
    sent = job.sent()
    refused = job.retry("--picks", str(picks))
    assert refused.code == 2
    assert "--where" in refused.json["fix"]
    assert job.sent() == sent
    assert job.retry("--picks", str(picks), "--yes").json["images_saved"] == 1


def test_old_picks_are_told_and_foreign_ones_refused(job: Picked) -> None:
    old = job.pick("0", 0, rating=1) | {"sha256": "0" * 64}
    picks = job.picks(old, job.pick("1", 0, rating=1), {"row_id": "gone", "image_index": 0, "rating": 1})
    done = job.retry("--picks", str(picks), "--where", "rating = 1")
    assert (done.code, done.json["images_saved"]) == (0, 1)
    told = " ".join(warning["message"] for warning in done.json["warnings"])
    assert "1 pick of an image that was made again since" in told
    assert "1 pick of no row of this folder (gone, image 0)" in told
    foreign = job.picks({"row_id": "gone", "image_index": 0, "rating": 1}, name="foreign.csv")
    refused = job.retry("--picks", str(foreign), "--where", "rating = 1")
    assert refused.code == 2
    assert "none of its 1 pick is of this folder" in refused.json["error"]


def test_lines_that_are_none_are_listed_by_number(job: Picked) -> None:
    path = job.picks(
        job.pick("0", 0, rating=9),
        job.pick("0", 1, rating=3),
        job.pick("0", 1, rating=3) | {"image_index": "two"},
    )
    refused = job.retry("--picks", str(path), "--where", "rating = 3")
    assert refused.code == 2
    assert "line 2: rating '9' is not 1 to 5, 0 or x" in refused.json["error"]
    assert "line 4: image_index 'two' is no number from 0" in refused.json["error"]


def test_a_flag_that_no_row_has_is_said_with_those_that_are_there(job: Picked) -> None:
    done = job.retry("--flag", "blury")
    assert (done.code, done.json["requests_sent"]) == (0, 0)
    assert "no row has the flag 'blury'" in done.json["exit_reason"]
