"""What is still to do: rows that are not settled, in order, and retries that hold nothing while they wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.work import Work
from runner.engine.queue import Waiting
from runner.ledger.attempt_log import accepted_task, waited
from runner.ledger.attempts import open_tasks
from runner.ledger.item_index import ItemIndex
from runner.ledger.writer import record_now
from runner.manifest.records import Batch, ManifestError
from runner.planning.row_stream import RowStream
from runner.planning.source import PendingRowSource
from schemas.errors import ExitCode
from schemas.failures import FailureKind, RowStatus
from schemas.outcome import MissingImage, Task
from schemas.request import ImageRequest
from schemas.row import Row
from tests.support.ledgers import LedgerFolder, rows_of, saved
from tests.support.manifests import prompts, row_stream


def work(number: int) -> Work:
    """Some row to send."""
    return Work(Row(number, f"r{number}", ImageRequest("p", ()), bytes(16)), None)


def test_rows_come_back_in_the_order_of_their_times() -> None:
    waiting = Waiting()
    for number, at in enumerate([30.0, 10.0, 20.0, 10.0]):
        waiting.add(work(number), at)
    assert (len(waiting), waiting.next_due()) == (4, 10.0)
    assert waiting.due(9.9) is None
    found = [waiting.due(100.0) for _ in range(5)]
    assert [each.row.position for each in found if each is not None] == [1, 3, 2, 0]
    assert (len(waiting), waiting.next_due()) == (0, None)


async def everything(source: PendingRowSource) -> list[Work]:
    """All work of a source."""
    found = []
    while (each := await source.next()) is not None:
        found.append(each)
    await source.close()
    return found


def unsettled(
    out: Path, source: RowStream, settle: dict[str, RowStatus]
) -> tuple[list[tuple[str, int | None]], PendingRowSource]:
    """(row id, item) of the work, after some rows were settled so."""
    with LedgerFolder(out) as workspace:
        for row in rows_of(source):
            status = settle.get(row.row_id)
            if status is RowStatus.SUCCEEDED:
                workspace.success(row, *(saved(i) for i in range(row.request.n)))
            elif status is not None:
                workspace.failure(row, FailureKind.TIMEOUT, status)
        made = PendingRowSource(source, ItemIndex(workspace.connection))
        found = asyncio.run(everything(made))
    return [(each.row.row_id, each.item) for each in found], made


def test_only_rows_that_are_not_settled_are_work(tmp_path: Path) -> None:
    settle = {
        "r0": RowStatus.SUCCEEDED,
        "r1": RowStatus.FAILED,
        "r2": RowStatus.PARKED,
        "r3": RowStatus.PENDING,
    }
    found, made = unsettled(tmp_path, row_stream(prompts(*"abcde")), settle)
    assert found == [("r3", 3), ("r4", None)]
    assert made.tally.complete


def test_the_tally_is_of_images(tmp_path: Path) -> None:
    records = [{"id": f"r{i}", "prompt": "x", "n": str(i + 1)} for i in range(5)] + [
        {"id": "bad", "prompt": ""}
    ]
    settle = {
        "r0": RowStatus.SUCCEEDED,
        "r1": RowStatus.FAILED,
        "r2": RowStatus.PARKED,
        "r3": RowStatus.PENDING,
    }
    _, made = unsettled(tmp_path, row_stream(records), settle)
    tally = made.tally
    assert (tally.rows, tally.images, tally.done, tally.failed, tally.parked, tally.invalid) == (
        6,
        16,
        1,
        2,
        3,
        1,
    )


def test_warnings_of_rows_that_are_sent_are_told_once(tmp_path: Path) -> None:
    records = [{"id": str(i), "prompt": "x", "quality": "ultra"} for i in range(10)]
    _, made = unsettled(tmp_path, row_stream(records), {})
    assert len(made.warnings) == 1
    assert next(iter(made.warnings)).startswith("quality 'ultra'")


def test_asking_whether_there_is_anything_loses_nothing(tmp_path: Path) -> None:
    async def main(source: PendingRowSource) -> tuple[bool, int]:
        there = await source.has_next()
        return there, len(await everything(source))

    with LedgerFolder(tmp_path) as workspace:
        index = ItemIndex(workspace.connection)
        assert asyncio.run(main(PendingRowSource(row_stream(prompts(*"abcde")), index))) == (True, 5)
        assert asyncio.run(main(PendingRowSource(row_stream([]), index))) == (False, 0)


def test_a_row_that_was_asked_for_and_cancelled_comes_the_next_time(tmp_path: Path) -> None:
    async def main(source: PendingRowSource) -> list[str]:
        impatient = asyncio.create_task(source.next())
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.wait((impatient,))
        return [each.row.row_id for each in await everything(source)]

    with LedgerFolder(tmp_path) as workspace:
        source = PendingRowSource(row_stream(prompts(*"abcde")), ItemIndex(workspace.connection))
        assert asyncio.run(main(source)) == ["r0", "r1", "r2", "r3", "r4"]


@pytest.mark.parametrize(
    ("status", "sent"), [(RowStatus.PENDING, [(1, 2)]), (RowStatus.FAILED, []), (RowStatus.PARKED, [])]
)
def test_what_a_row_lacks_is_work_while_it_is_pending(
    tmp_path: Path, status: RowStatus, sent: list[tuple[int, ...]]
) -> None:
    source = row_stream([{"id": "r0", "prompt": "x", "n": "3"}])
    with LedgerFolder(tmp_path) as workspace:
        (row,) = rows_of(source)
        workspace.success(
            row, saved(), missing=[MissingImage(i, FailureKind.DOWNLOAD, "told") for i in (1, 2)]
        )
        workspace.failure(row, FailureKind.STOPPED, status)
        found = asyncio.run(everything(PendingRowSource(source, ItemIndex(workspace.connection))))
    assert [each.indexes for each in found] == sent


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        ({}, "abcdefgh"),
        ({"limit": 3}, "abc"),
        ({"limit": 99}, "abcdefgh"),
        ({"distinct": "size"}, "abdg"),
        ({"distinct": "size", "limit": 2}, "ab"),
    ],
)
def test_selections_of_the_job(chosen: dict[str, object], ids: str) -> None:
    sizes = ["1x1", "2x2", "1x1", None, None, "2x2", "3x3", "1x1"]
    records = [
        {"id": name, "prompt": name, "size": size} for name, size in zip("abcdefgh", sizes, strict=True)
    ]
    assert "".join(row.row_id for row in rows_of(row_stream(records, batch=3, input=chosen))) == ids


def test_a_sample_is_the_same_however_the_manifest_is_cut() -> None:
    found = [
        [
            row.row_id
            for row in rows_of(
                row_stream(prompts(*map(str, range(50))), batch=batch, input={"sample": 7, "seed": 3})
            )
        ]
        for batch in (1, 9, 100)
    ]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 7


def test_tasks_come_first_those_that_took_too_long_too(tmp_path: Path) -> None:
    with LedgerFolder(tmp_path) as workspace:
        source = row_stream(prompts(*"abc"))
        for row in rows_of(source)[1:]:
            attempt = workspace.intent(row)
            record_now(workspace.connection, accepted_task(attempt, Task(f"t{attempt}"), 5))
        record_now(workspace.connection, waited(1, "too long", 6))
        made = PendingRowSource(source, ItemIndex(workspace.connection), open_tasks(workspace.connection))
        found = asyncio.run(everything(made))
    assert [(each.row.row_id, each.task is not None) for each in found] == [
        ("r1", True),
        ("r2", True),
        ("r0", False),
    ]


def test_a_manifest_that_breaks_off_ends_the_work_and_not_the_run(tmp_path: Path) -> None:
    """The rows before that are work; how the run ends hangs on whether anything was sent."""
    whole = row_stream(prompts(*"abcde"))

    def breaking() -> Iterator[Batch]:
        yield next(whole.manifest.batches())
        raise ManifestError("p.csv is damaged")

    broken = whole._replace(manifest=whole.manifest._replace(batches=breaking))
    with LedgerFolder(tmp_path) as workspace:
        source = PendingRowSource(broken, ItemIndex(workspace.connection))
        assert source.cut_short(0) is None
        found = asyncio.run(everything(source))
    assert [each.row.row_id for each in found] == ["r0", "r1"]
    reasons = [source.cut_short(sent) for sent in (2, 0)]
    assert [reason.exit_code for reason in reasons if reason is not None] == [
        ExitCode.SOME_FAILED,
        ExitCode.USAGE,
    ]
    assert "could not be read to its end: p.csv is damaged" in str(reasons[0])
