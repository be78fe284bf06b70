"""What commands ask the ledger between runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.ledger import queries
from runner.ledger.queries import Superseded
from runner.ledger.writer import record_now
from schemas.failures import FailureKind, RowStatus
from schemas.request import ImageRequest
from schemas.row import Row
from tests.runner.store.ledgers import LedgerFolder, saved

FOX = Row(0, "fox", ImageRequest("a fox", (("model", "m"), ("n", "2"))), b"f" * 16)
OWL = Row(1, "owl", ImageRequest("an owl", (("model", "m"),)), b"o" * 16)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[LedgerFolder]:
    """Two runs: the fox was made, and its first image again; the owl was refused, and is being sent."""
    with LedgerFolder(tmp_path) as made:
        made.success(FOX, saved(0, "old", digest="0a"), saved(1, "old", digest="0b"))
        made.failure(OWL, FailureKind.MODERATION, RowStatus.FAILED)
        made.end_run(3, "finished")
        made.next_run()
        made.success(FOX, saved(0, "new", digest="0c"), cost_usd=0.25)
        made.intent(OWL)
        yield made


def test_runs_are_told_with_their_figures(place: LedgerFolder) -> None:
    assert queries.newest_run(place.connection) == 1
    told = [
        tuple(run[name] for name in ("run", "exit_code", "attempts", "images", "cost_usd"))
        for run in queries.runs(place.connection)
    ]
    assert told == [(0, 3, 2, 2, None), (1, None, 2, 1, 0.25)]


def test_a_folder_without_a_run_has_no_newest(place: LedgerFolder) -> None:
    place.connection.execute("DELETE FROM runs")
    assert queries.newest_run(place.connection) is None


def test_rows_are_found_by_id_or_because_they_were_sent_often(place: LedgerFolder) -> None:
    fox = {"item": 0, "row_id": "fox", "prompt": "a fox"}
    owl = {"item": 1, "row_id": "owl", "prompt": "an owl"}
    assert queries.rows_of(place.connection, "owl") == [owl]
    assert queries.rows_of(place.connection, "hare") == []
    assert queries.rows_sent_often(place.connection, 9) == ([fox, owl], 0)
    assert queries.rows_sent_often(place.connection, 1) == ([fox], 1)


def test_attempts_are_told_with_their_outcome_and_images(place: LedgerFolder) -> None:
    told = [
        (attempt["attempt"], attempt["run_id"], attempt["status"], attempt["kind"])
        for attempt in queries.attempts_of(place.connection, 1)
    ]
    assert told == [(1, "run-0", "failed", "moderation"), (3, "run-1", None, None)]
    images = queries.images_of(place.connection, 0)
    assert [(image["idx"], image["sha256"], image["pruned_ms"]) for image in images] == [
        (0, b"\x0a" * 32, None),
        (1, b"\x0b" * 32, None),
    ]
    assert queries.missing_of(place.connection, 0) == []


def test_an_image_is_superseded_until_it_is_pruned(place: LedgerFolder) -> None:
    old = Superseded(0, 0, "images/0000/old-0.png", 100, "0a" * 32, ("images/0000/new-0.png", "0c" * 32))
    assert queries.superseded(place.connection) == [old]
    assert queries.rows_with_images(place.connection) == {0: "fox"}
    every = [(file.attempt, file.index, file.newer) for file in queries.images_of_rows(place.connection, [0])]
    assert every == [(0, 0, None), (0, 1, None), (2, 0, None)]
    assert queries.images_of_rows(place.connection, [1]) == []
    record_now(place.connection, [queries.prune(old, 7_000)])
    assert queries.superseded(place.connection) == []
    assert list(queries.pruned(place.connection)) == [(old.path, old.sha256)]
    assert [file.index for file in queries.images_of_rows(place.connection, [0])] == [1, 0]
    assert queries.images_of(place.connection, 0)[0]["pruned_ms"] == 7_000
