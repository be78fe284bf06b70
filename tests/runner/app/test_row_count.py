"""All rows of a run, counted beside it: the same figures that the run comes to when it has read its last row."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jobs.cost import Prices, estimate
from jobs.work import Work
from runner.app.row_count import RowCount, Worth
from runner.ledger.item_index import ItemIndex
from runner.manifest.open import open_manifest
from runner.manifest.records import ManifestError
from runner.planning.row_stream import RowStream, request_defaults
from runner.planning.source import PendingRowSource, Tally
from schemas.failures import FailureKind, RowStatus
from schemas.job import Job
from schemas.providers import PROFILES
from tests.support.ledgers import LedgerFolder, rows_of, saved
from tests.support.manifests import MALFORMED, Record, row_stream

REQUEST = {"model": "gpt-image-2-official"}
PRICES = Prices(table=PROFILES["dieyuyun"].prices)
ODD: list[Record] = [
    {"id": "a", "prompt": "a fox", "n": "3", "quality": "low"},
    {"id": "b", "prompt": "", "n": None, "quality": None},
    {"id": "a", "prompt": "the id of the first", "n": None, "quality": None},
    {"id": None, "prompt": "a hare", "n": "2", "quality": "high"},
    {"id": None, "prompt": "a hare", "n": "2", "quality": "high"},
    {"id": "c", "prompt": "too many", "n": "11", "quality": None},
    {"id": "d", "prompt": "ein Fuchs auf der Straße, 狐", "n": None, "quality": "medium"},
    {"id": "e", "prompt": None, "n": None, "quality": None},
    {"id": "f", "prompt": "x" * 32_001, "n": None, "quality": None},
    {"id": "g", "prompt": "cut", "n": None, "quality": None, MALFORMED: "line 12 has three columns"},
    {"id": "h", "prompt": "an owl", "n": None, "quality": None},
]


async def everything(source: PendingRowSource) -> list[Work]:
    found = []
    while (each := await source.next()) is not None:
        found.append(each)
    return found


def both(source: PendingRowSource) -> tuple[RowCount, Tally, Worth]:
    """The count, and what the run itself comes to: its tally, and what its requests are estimated at."""
    counted = RowCount(source.rows, PRICES)
    counted.count(threading.Event())
    prices = [estimate(work.row.request, PRICES) for work in asyncio.run(everything(source))]
    low, high = sum(each.low or 0.0 for each in prices), sum(each.high or 0.0 for each in prices)
    return counted, source.tally, Worth(low, high)


def same(source: PendingRowSource) -> Tally:
    """The tally, which both come to."""
    counted, tally, worth = both(source)
    assert counted.tally == tally
    assert counted.to_send is not None and worth.low > 0
    assert counted.to_send.low == pytest.approx(worth.low, rel=1e-3)
    assert counted.to_send.high == pytest.approx(worth.high, rel=1e-2)
    return tally


@pytest.mark.parametrize(
    ("table", "images"),
    [
        ({}, 15),
        ({"limit": 4}, 7),
        ({"limit": 100}, 15),
        ({"sample": 6, "seed": 3}, None),
        ({"distinct": "prompt"}, 12),
        ({"distinct": "prompt", "limit": 5}, 8),
        ({"sample": 5, "limit": 2}, None),
    ],
)
def test_a_fresh_folder(tmp_path: Path, table: dict[str, Any], images: int | None) -> None:
    stream = row_stream(ODD, input=table, request=REQUEST)
    with LedgerFolder(tmp_path) as workspace:
        tally = same(PendingRowSource(stream, ItemIndex(workspace.connection)))
    assert tally.complete and tally.rows > 0
    assert images is None or tally.images == images


def test_a_folder_in_which_rows_are_done_failed_parked_and_done_in_part(tmp_path: Path) -> None:
    stream = row_stream([{"id": f"r{i}", "prompt": f"fox {i}", "n": "2"} for i in range(9)], request=REQUEST)
    with LedgerFolder(tmp_path) as workspace:
        rows = rows_of(stream)
        workspace.success(rows[0], saved(0), saved(1))
        workspace.failure(rows[1], FailureKind.MODERATION, RowStatus.FAILED)
        workspace.failure(rows[2], FailureKind.TIMEOUT, RowStatus.PARKED)
        workspace.failure(rows[3], FailureKind.STOPPED, RowStatus.PENDING)
        tally = same(PendingRowSource(stream, ItemIndex(workspace.connection)))
    assert tally == Tally(rows=9, images=18, done=2, failed=2, parked=2, complete=True)


class Every:
    """Chooses every other row, with one image of each."""

    def work(self, batch: object, index: int, row: Any, item: int) -> Work | None:
        return Work(row, None) if row.position % 2 == 0 else None


def test_the_rows_of_a_retry_are_those_that_it_chose(tmp_path: Path) -> None:
    stream = row_stream([{"id": f"r{i}", "prompt": f"fox {i}"} for i in range(9)], request=REQUEST)
    with LedgerFolder(tmp_path) as workspace:
        for row in rows_of(stream):
            workspace.failure(row, FailureKind.MODERATION, RowStatus.FAILED)
        tally = same(PendingRowSource(stream, ItemIndex(workspace.connection), chooser=Every()))
    assert (tally.images, tally.failed, tally.to_make) == (9, 4, 5)


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_every_form_of_manifest(tmp_path: Path, ending: str) -> None:
    frame = pd.DataFrame({"prompt": [f"fox {i}" for i in range(5000)], "n": [1 + i % 3 for i in range(5000)]})
    path = tmp_path / f"m.{ending}"
    if ending == "csv":
        frame.to_csv(path, index=False)
    elif ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=True)
    job = Job.model_validate({"request": {"quality": "low"}})
    stream = RowStream(open_manifest(str(path)), job, request_defaults(job, PROFILES["dieyuyun"]))
    with LedgerFolder(tmp_path / "out") as workspace:
        assert same(PendingRowSource(stream, ItemIndex(workspace.connection))).images == frame["n"].sum()


def test_a_manifest_that_cannot_be_read_to_its_end_is_not_counted(tmp_path: Path) -> None:
    stream = row_stream(ODD, request=REQUEST)

    def broken() -> Iterator[Any]:
        yield next(iter(stream.manifest.batches()))
        raise ManifestError("line 4 breaks off")

    cut = stream._replace(manifest=stream.manifest._replace(batches=broken))
    with LedgerFolder(tmp_path) as workspace:
        counted = RowCount(PendingRowSource(cut, ItemIndex(workspace.connection)).rows, PRICES)
        counted.count(threading.Event())
    assert counted.tally == Tally()


def test_counting_ends_with_the_run(tmp_path: Path) -> None:
    stop, read = threading.Event(), []
    stream = row_stream([{"id": f"r{i}", "prompt": f"fox {i}"} for i in range(9)])

    def batches() -> Iterator[Any]:
        for batch in stream.manifest.batches():
            read.append(batch)
            stop.set()
            yield batch

    short = stream._replace(manifest=stream.manifest._replace(batches=batches))
    with LedgerFolder(tmp_path) as workspace:
        counted = RowCount(PendingRowSource(short, ItemIndex(workspace.connection)).rows, PRICES)
        counted.count(stop)
    assert (len(read), counted.tally) == (1, Tally())


def test_without_a_price_there_is_nothing_to_sum_up(tmp_path: Path) -> None:
    stream = row_stream(ODD, request=REQUEST)
    with LedgerFolder(tmp_path) as workspace:
        counted = RowCount(PendingRowSource(stream, ItemIndex(workspace.connection)).rows, Prices())
        counted.count(threading.Event())
    assert counted.tally.complete and counted.to_send is None
