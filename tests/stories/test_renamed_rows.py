"""A manifest that comes back with other ids for the same rows: nothing that has its picture is bought again unasked."""

from __future__ import annotations

import pandas as pd
import pytest
from aiohttp import web

from tests.support.playedjob import PlayedJob, played
from tests.support.runs import SeenRequest, error, good

ANIMALS = ("a fox", "an owl", "a hare")


def table(ids: list[str], prompts: tuple[str, ...] = ANIMALS) -> str:
    """A manifest with a column of ids."""
    return "id,prompt\n" + "".join(
        f"{row_id},{prompt}\n" for row_id, prompt in zip(ids, prompts, strict=True)
    )


@played
async def test_ids_that_became_floats_stop_the_run_until_the_user_has_chosen(job: PlayedJob) -> None:
    await job.run(job.write(table(["1", "2", "3"])))
    assert job.sent == sorted(ANIMALS)
    path = job.write(table(["1.0", "2.0", "3.0", "4.0"], (*ANIMALS, "a new one")))
    told = await job.refused(path)
    assert "3 rows have other ids than the same requests had" in told
    assert "line 2: column 'id': '1' -> '1.0'" in told and "--on-change keep" in told
    plan = job.plan(path)
    assert plan.requests == 4 and any(
        "line 2: column 'id': '1' -> '1.0'" in each.message for each in plan.warnings
    )
    keeps = job.plan(path, **{"run.on_change": "keep"})
    assert (keeps.requests, keeps.done) == (1, 3)

    summary = await job.run(path, on_change="keep")
    assert (job.sent, summary.removed) == (["a new one"], 0)
    assert job.rows("row_id", "prompt", "status") == [
        (row_id, prompt, "succeeded")
        for row_id, prompt in zip(["1.0", "2.0", "3.0", "4.0"], [*ANIMALS, "a new one"], strict=True)
    ]
    assert any("are taken for the same rows" in warned.message for warned in summary.warnings)
    assert job.is_sound()


@played
async def test_rows_that_were_kept_are_known_from_then_on(job: PlayedJob) -> None:
    await job.run(job.write(table(["1", "2", "3"])))
    await job.run(job.write(table(["1.0", "2.0", "3.0"])), on_change="keep")
    for again in (["1.0", "2.0", "3.0"], ["1", "2", "3"], ["1.0", "2", "3.0"]):
        summary = await job.run(job.write(table(again)))
        assert (job.sent, job.rows("row_id"), summary.removed) == ([], again, 0)
    edited = job.write(table(["1.0", "2.0", "3.0"], ("a red fox", *ANIMALS[1:])))
    assert "1.0   prompt: 'a fox' -> 'a red fox'" in await job.refused(edited)
    await job.run(edited, on_change="regenerate")
    assert job.sent == ["a red fox"]


@played
async def test_regenerate_sends_them(job: PlayedJob) -> None:
    await job.run(job.write(table(["1", "2", "3"])))
    await job.run(job.write(table(["1.0", "2.0", "3.0"])), on_change="regenerate")
    assert job.sent == sorted(ANIMALS)
    assert job.rows("row_id") == ["1.0", "2.0", "3.0"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["007", "008", "009"], ["7", "8", "9"]),
        (["1e5", "1e6", "1e7"], ["100000", "1000000", "10000000"]),
        (
            ["12345678901234567890123", "22345678901234567890123", "32345678901234567890123"],
            ["1.23457E+22", "2.23457E+22", "3.23457E+22"],
        ),
        (["1", "2", "3"], [" 1", "2 ", "\ufeff3"]),
        (["1", "2", "3"], ["a", "b", "c"]),
    ],
    ids=["zeros", "exponents", "long", "blanks", "altogether"],
)
def test_ids_in_another_spelling(
    before: list[str],
    after: list[str],
    tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(job: PlayedJob) -> None:
        await job.run(job.write(table(before)))
        assert "3 rows have other ids" in await job.refused(job.write(table(after)))
        await job.run(job.write(table(after)), on_change="keep")
        assert job.sent == []

    played(story)(tmp_path, monkeypatch)  # type: ignore[arg-type]


@played
async def test_a_column_of_ids_that_was_added_or_removed(job: PlayedJob) -> None:
    bare = "prompt,size\n" + "".join(f"{prompt},64x64\n" for prompt in (*ANIMALS, "a fox"))
    await job.run(job.write(bare))
    named = bare.replace("prompt,size", "id,prompt,size")
    for number, prompt in enumerate((*ANIMALS, "a fox")):
        named = named.replace(f"\n{prompt},", f"\n{number},{prompt},", 1)
    assert "4 rows have other ids" in await job.refused(job.write(named))
    await job.run(job.write(named), on_change="keep")
    assert (job.sent, job.rows("row_id")) == ([], ["0", "1", "2", "3"])
    files = job.rows("file_name")
    assert len({*files}) == 4, "each row has a picture of its own"
    await job.run(job.write(bare))
    assert (job.sent, job.rows("file_name")) == ([], files)


@played
async def test_ids_of_which_a_spreadsheet_rewrote_only_the_numbers(job: PlayedJob) -> None:
    await job.run(job.write(table(["007", "fox-1", "1e5"])))
    told = await job.refused(job.write(table(["7", "fox-1", "1.00E+05"])))
    assert "2 rows have other ids" in told and "'007' -> '7'" in told and "'1e5' -> '1.00E+05'" in told


@played
async def test_a_part_of_the_manifest_shows_it_too(job: PlayedJob) -> None:
    await job.run(job.write(table(["1", "2", "3"])))
    assert "2 rows have other ids" in await job.refused(job.write(table(["1.0", "2.0", "3.0"])), limit=2)


@played
async def test_numbers_of_a_frame_that_got_a_missing_value(job: PlayedJob) -> None:
    await job.run(pd.DataFrame({"id": [1, 2], "prompt": ANIMALS[:2]}))
    frame = pd.DataFrame({"id": [1, 2, None], "prompt": ANIMALS})
    await job.run(frame)  # pandas makes floats of them; as ids they are the whole numbers that they were
    assert job.sent == ["a hare"]


@played
async def test_parked_rows_count_and_failed_ones_do_not(job: PlayedJob) -> None:
    async def answer(asked: SeenRequest) -> web.StreamResponse:
        if asked.prompt == "an owl":
            return error(400, "moderation_blocked", "refused")
        if asked.prompt == "a hare":
            return error(504, "told")
        return good(asked.prompt)

    job.service.answer = answer
    await job.run(job.write(table(["1", "2", "3"])))
    statuses = dict(zip(job.rows("row_id"), job.rows("status"), strict=True))
    held = sum(status != "failed" for status in statuses.values())
    assert statuses["2"] == "failed"
    assert f"{held} row" in await job.refused(job.write(table(["1.0", "2.0", "3.0"])))
    await job.run(job.write(table(["1.0", "2.0", "3.0"])), on_change="keep")
    assert "an owl" in job.sent and "a fox" not in job.sent


@played
async def test_other_rows_are_new_rows(job: PlayedJob) -> None:
    """Another manifest, of which one row happens to ask for the same; more of the same prompt under new ids."""
    await job.run(job.write(table(["1", "2", "3"])))
    await job.run(job.write(table(["x", "y", "z"], ("a fox", "a mole", "a crow"))))
    assert job.sent == ["a crow", "a fox", "a mole"]
    await job.run(job.write(table(["x", "y", "z", "w"], ("a fox", "a mole", "a crow", "a fox"))))
    assert job.sent == ["a fox"]


@played
async def test_the_same_prompt_with_other_parameters_is_another_row(job: PlayedJob) -> None:
    await job.run(job.write("id,prompt,size\n1,a fox,64x64\n2,an owl,64x64\n"))
    await job.run(job.write("id,prompt,size\n1.0,a fox,128x128\n2.0,an owl,128x128\n"))
    assert job.sent == ["a fox", "an owl"]


@played
async def test_edited_and_renamed_rows_are_told_together(job: PlayedJob) -> None:
    await job.run(job.write(table(["1", "b", "3"])))
    told = await job.refused(job.write(table(["1.0", "b", "3"], ("a fox", "a brown owl", "a hare"))))
    assert "1 row was edited" in told and "1 row has another id" in told
