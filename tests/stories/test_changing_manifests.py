"""A manifest that is moved, replaced, written to or emptied while a run is on, or gone when somebody asks for the folder."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from jobs.selection import RetrySelection
from runner.manifest.held_files import HELD_BYTES
from schemas.errors import JobError
from schemas.failures import FailureKind
from tests.support.playedjob import PlayedJob, pictures, played
from tests.support.runs import SeenRequest, error, good

SMALL = "id,prompt,tag\n" + "".join(f"{i},a fox number {i},t{i}\n" for i in range(100))
NOTE = "x" * (HELD_BYTES // 90)
LARGE = "id,prompt,note\n" + "".join(f"{i},a fox number {i},{i}{NOTE}\n" for i in range(100))
"""More than is kept in memory; its first batch is 64 rows."""


def remove(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("archived.csv"))


def replace(path: Path) -> None:
    new = path.with_name("new.csv")
    new.write_text(path.read_text().replace("fox", "dog"))
    new.replace(path)


def rewrite(path: Path) -> None:
    path.write_text(path.read_text().replace("fox", "dog"))


def empty(path: Path) -> None:
    path.write_text("id,prompt\n")


def at_the_first_request(job: PlayedJob, change: Callable[[Path], None], path: Path) -> None:
    """Let this happen to the manifest once the service has been asked for something."""

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        if len(job.service.asked) == 1:
            change(path)
        return good(asked.prompt)

    job.service.answer = answer


def whole(job: PlayedJob) -> bool:
    """Whether every row of the table has the picture that was made for it."""
    rows = job.rows("file_name", "sha256")
    return all(hashlib.sha256((job.out / name).read_bytes()).hexdigest() == digest for name, digest in rows)


WAYS = [
    (SMALL, move, "p.csv was moved or removed"),
    (SMALL, remove, "p.csv was moved or removed"),
    (SMALL, replace, "p.csv was replaced"),
    (SMALL, rewrite, "p.csv was written to"),
    (SMALL, empty, "p.csv was written to"),
    (LARGE, move, "p.csv was moved or removed"),
    (LARGE, replace, "p.csv was replaced"),
]


@pytest.mark.parametrize(("text", "change", "told"), WAYS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_run_goes_on_with_the_manifest_that_it_began_with(
    text: str, change: Callable[[Path], None], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(job: PlayedJob) -> None:
        path = job.write(text)
        at_the_first_request(job, change, path)
        summary = await job.run(path)
        assert summary.exit_code == 0
        assert job.sent == sorted(f"a fox number {i}" for i in range(100))
        assert [(warned.kind, warned.message.partition(" while")[0]) for warned in summary.warnings] == [
            ("manifest_changed", told)
        ]
        assert job.rows("row_id", "prompt", "status") == [
            (str(i), f"a fox number {i}", "succeeded") for i in range(100)
        ]
        assert "tag" not in text or job.rows("tag") == [f"t{i}" for i in range(100)]
        assert whole(job)

    played(story)(tmp_path, monkeypatch)


@pytest.mark.parametrize("change", [rewrite, empty], ids=lambda value: value.__name__)
def test_a_large_manifest_that_is_written_to_ends_the_run_with_what_was_sent(
    change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(job: PlayedJob) -> None:
        path = job.write(LARGE)
        at_the_first_request(job, change, path)
        summary = await job.run(path)
        assert summary.exit_code == 3
        assert "could not be read to its end: p.csv was written to while it was read" in summary.exit_reason
        assert [warned.kind for warned in summary.warnings] == ["manifest_changed"]
        assert 0 < len(job.sent) < 100 and all("fox" in prompt for prompt in job.sent), (
            "nothing of the new text is sent"
        )
        assert sorted(job.rows("prompt")) == job.sent
        assert {*job.rows("status")} == {"succeeded"} and whole(job)

    played(story)(tmp_path, monkeypatch)


@played
async def test_a_folder_of_files_some_of_which_go_away(job: PlayedJob) -> None:
    folder = job.folder / "prompts"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.txt").write_text(f"prompt {name}")
    at_the_first_request(job, lambda path: (path / "c.txt").unlink(), folder)
    summary = await job.run(folder)
    assert (summary.exit_code, job.rows("row_id")) == (0, ["a", "b", "c"])
    assert "c.txt was moved or removed" in summary.warnings[0].message


@played
async def test_what_was_sent_is_not_sent_again_when_the_manifest_is_back(job: PlayedJob) -> None:
    path = job.write(SMALL)
    at_the_first_request(job, move, path)
    await job.run(path)
    again = await job.run(job.write(SMALL))
    assert (job.sent, again.warnings) == ([], ())


@played
async def test_a_manifest_that_breaks_off_is_no_usage_error_once_something_was_sent(job: PlayedJob) -> None:
    packed = gzip.compress("".join(f"prompt {i}\n" for i in range(5_000)).encode())
    path = job.folder / "p.txt.gz"
    path.write_bytes(packed[:-2_000])
    summary = await job.run(path, max_requests=70)
    sent = job.sent
    assert sent and sorted(prompt for prompt in job.rows("prompt") if prompt in sent) == sent
    assert summary.exit_code in (3, 8)
    again = job.status()
    assert again.by_status["succeeded"] == len(sent)


MIXED = "id,prompt,n,tag\n1,a fox,2,x\n2,refused,,y\n3,,,z\n4,an owl,,u\n5,a hare,,v\n"


async def refusing(asked: SeenRequest) -> web.StreamResponse:
    """Refuses one prompt, until it is made to answer."""
    if asked.prompt == "refused":
        return error(400, "moderation_blocked", "not this")
    return good(asked.prompt, int(asked.body.get("n", 1)))


@played
async def test_status_and_retry_need_no_manifest(job: PlayedJob) -> None:
    """Rows that succeeded, failed, are invalid, or were never sent: all are told, and can be sent, without it."""
    job.service.answer = refusing
    path = job.write(MIXED)
    await job.run(path, max_requests=3, concurrency=1, quality="low")
    before = job.rows(
        "row_id", "row", "image_index", "status", "prompt", "n", "quality", "tag", "error_message"
    )
    told = job.status()
    assert sorted(job.rows("status")) == [
        "failed",
        "invalid",
        "pending",
        "succeeded",
        "succeeded",
        "succeeded",
    ]
    path.unlink()
    without = job.status()
    assert (without.rows, without.by_status, without.by_error) == (told.rows, told.by_status, told.by_error)
    assert [warned.kind for warned in without.warnings] == ["manifest_gone"]
    with pytest.raises(JobError, match="there is no file"):
        await job.run(path)

    job.service.answer = pictures
    summary = await job.retry(
        RetrySelection(kinds=frozenset({FailureKind.MODERATION})), {"budget.max_requests": 20}
    )
    assert (job.sent, summary.exit_code) == (["refused"], 3)
    body = job.service.asked[-1].body
    assert (body["quality"], "n" in body) == ("low", False)
    after = job.rows(
        "row_id", "row", "image_index", "status", "prompt", "n", "quality", "tag", "error_message"
    )
    assert [row[:3] + row[4:8] for row in after] == [row[:3] + row[4:8] for row in before]
    assert [row[3] for row in after].count("succeeded") == 4

    await job.run(job.write(MIXED), max_requests=20, quality="low")
    assert job.sent == ["a hare"], "what was sent without the manifest is known"
    assert job.is_sound()


@played
async def test_rows_that_were_never_sent_can_be_sent_without_the_manifest(job: PlayedJob) -> None:
    path = job.write(MIXED)
    await job.run(path, max_requests=1, concurrency=1, size="64x64")
    path.unlink()
    await job.retry(RetrySelection(pending=True), {"budget.max_requests": 20})
    assert job.sent == ["a hare", "an owl", "refused"]
    assert {asked.body["size"] for asked in job.service.asked} == {"64x64"}
    await job.run(job.write(MIXED), max_requests=20, size="64x64")
    assert job.sent == []


@played
async def test_a_retry_with_overrides_keeps_what_the_row_itself_said(job: PlayedJob) -> None:
    path = job.write("id,prompt,quality\n1,a fox,high\n2,an owl,\n")
    await job.run(path, size="64x64")
    path.unlink()
    await job.retry(RetrySelection(succeeded=True, where="row >= 0"), {}, size="128x128")
    told = {asked.prompt: (asked.body["size"], asked.body.get("quality")) for asked in job.service.asked[-2:]}
    assert told == {"a fox": ("128x128", "high"), "an owl": ("128x128", None)}


@played
async def test_an_output_folder_is_no_manifest(job: PlayedJob) -> None:
    await job.run(job.write("id,prompt\n1,a fox\n", "in.csv"), out=str(job.folder / "in"))
    (job.folder / "in.csv").unlink()
    with pytest.raises(JobError) as gone:
        job.plan(job.folder / "in.csv", out=str(job.folder / "x"))
    assert gone.value.fix == "check the path"
    with pytest.raises(JobError, match="is an output folder of imagemill") as folder:
        job.plan(job.folder / "in")
    assert folder.value.fix.endswith("in/job.toml goes on with it")
