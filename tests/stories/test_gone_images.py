"""Images that are gone from the disk: said, made anew when that is asked for, and no damage once they are."""

from __future__ import annotations

import shutil

import pytest

from jobs.overrides import Overrides
from jobs.selection import RetrySelection
from runner.app.use_cases import retry_plan, verify_folder
from runner.maintenance.prune import prune
from runner.retry.request import RetryRequest
from schemas.errors import JobError
from tests.support.playedjob import PlayedJob, played

MISSING = RetrySelection(missing=True)


async def finished(job: PlayedJob, rows: int = 6) -> list[str]:
    """A finished folder; its image files."""
    job.write("id,prompt,n\n" + "".join(f"r{row},a boat {row},{1 + (row == 0)}\n" for row in range(rows)))
    assert (await job.run("p.csv")).exit_code == 0
    names: list[str] = job.rows("file_name")
    return names


@played
async def test_images_that_are_gone_are_made_anew_and_then_nothing_is_damaged(job: PlayedJob) -> None:
    names = await finished(job)
    for gone in (names[1], names[4]):  # one of two images of r0, and r3's
        (job.out / gone).unlink()
    assert (await job.run("p.csv")).exit_code == 7
    assert verify_folder(job.out).gone
    assert (await job.retry(MISSING)).exit_code == 0
    assert job.sent == ["a boat 0", "a boat 3"]
    assert [asked.body.get("n", 1) for asked in job.service.asked[-2:]] == [1, 1]
    now = job.rows("file_name")
    assert [place for place, name in enumerate(now) if name != names[place]] == [1, 4]
    assert all((job.out / name).exists() for name in now)
    assert job.is_sound()
    assert (await job.run("p.csv")).exit_code == 0


@played
async def test_with_nothing_gone_nothing_is_sent(job: PlayedJob) -> None:
    await finished(job)
    summary = await job.retry(MISSING)
    assert (summary.exit_code, job.sent) == (0, [])
    assert "nothing to send" in summary.exit_reason


@played
async def test_a_newer_image_that_is_gone_too_is_damage(job: PlayedJob) -> None:
    names = await finished(job)
    (job.out / names[4]).unlink()
    await job.retry(MISSING)
    (job.out / job.rows("file_name")[4]).unlink()
    assert {problem.path for problem in verify_folder(job.out).problems} >= {names[4]}


@played
async def test_a_disk_that_is_not_there_is_not_paid_for_again_unasked(job: PlayedJob) -> None:
    await finished(job)
    shutil.rmtree(job.out / "images")
    (job.out / "images").mkdir()
    before = len(job.service.asked)
    with pytest.raises(JobError, match="no image at all"):
        retry_plan(job.out, RetryRequest(MISSING, Overrides(()), {}))
    assert len(job.service.asked) == before
    assert (await job.retry(MISSING)).exit_code == 0
    assert len(job.sent) == 6


@played
async def test_a_results_table_names_no_image_that_a_prune_removes(job: PlayedJob) -> None:
    """A retry that was killed before its end has left the table of the run before."""
    names = await finished(job)
    before = (job.out / "results.parquet").read_bytes()
    await job.retry(RetrySelection(row_ids=frozenset({"r3"}), succeeded=True))
    (job.out / "results.parquet").write_bytes(before)
    assert [file.path for file in prune(job.out, removed=False).files] == [names[4]]
    assert not (job.out / names[4]).exists()
    assert all((job.out / name).exists() for name in job.rows("file_name"))
