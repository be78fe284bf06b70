"""What the commands ask of a ledger that was written attempt by attempt: rows, runs, files, superseded images, tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.ledger import attempt_log, queries
from runner.ledger.queries import RecordedFile, RowVersion, RunRecord, RunSums, Superseded
from schemas.failures import FailureKind, RowStatus
from schemas.outcome import ABSENT, KeptBody
from schemas.request import ImageRequest
from schemas.row import Row
from tests.support.ledgers import LedgerFolder, saved

KIND = FailureKind


def row(number: int, **params: Any) -> Row:
    """Another row."""
    request = ImageRequest(f"prompt {number}", tuple({"model": "m", **params}.items()))
    return Row(number, f"r{number}", request, number.to_bytes(16, "big"))


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[LedgerFolder]:
    """A folder with a run going on."""
    with LedgerFolder(tmp_path) as folder:
        yield folder


def failed(workspace: LedgerFolder, each: Row, kind: FailureKind = KIND.INVALID_REQUEST, **more: Any) -> int:
    return workspace.failure(each, kind, RowStatus.FAILED, **more)


# Rows


def test_numbers_go_on_from_the_highest(workspace: LedgerFolder) -> None:
    assert queries.next_number(workspace.connection, "attempts", "attempt") == 0
    workspace.connection.execute("INSERT INTO runs VALUES (7, 'r', 0, 'v', 'e', NULL)")
    assert queries.next_number(workspace.connection, "runs", "run") == 8


def test_a_row_is_told_as_it_was_first_sent(workspace: LedgerFolder) -> None:
    failed(workspace, row(0, n=1))
    failed(workspace, row(1, n=2, size="auto"))
    failed(workspace, row(1, n=4))
    failed(workspace, row(1, n=3))
    assert queries.versions(workspace.connection, [1, ABSENT, 0, 9]) == {
        0: RowVersion(0, "r0", "prompt 0", {"model": "m", "n": 1}, 1, row(0).fingerprint),
        1: RowVersion(1, "r1", "prompt 1", {"model": "m", "n": 2, "size": "auto"}, 4, row(1).fingerprint),
    }


def ids(workspace: LedgerFolder, since: int) -> list[tuple[int, str]]:
    found = queries.row_ids(workspace.connection, since)
    return [pair for items, names in found for pair in zip(items.tolist(), names, strict=True)]


def test_row_ids_are_told_of_all_items_or_of_those_sent_since(workspace: LedgerFolder) -> None:
    for number in (0, 1, 2, 1):
        failed(workspace, row(number))
    assert ids(workspace, 0) == [(0, "r0"), (1, "r1"), (2, "r2")]
    assert ids(workspace, 2) == [(1, "r1"), (2, "r2")]
    assert ids(workspace, 3) == [(1, "r1")]
    assert ids(workspace, 4) == []


def test_row_ids_come_in_parts_without_a_loss(workspace: LedgerFolder) -> None:
    many = ((number, number.to_bytes(16, "big"), f"r{number}", "") for number in range(40_001))
    workspace.connection.execute("BEGIN")
    workspace.connection.executemany("INSERT INTO items VALUES (?,?,?,?,NULL)", many)
    workspace.connection.execute("COMMIT")
    parts = [len(names) for _, names in queries.row_ids(workspace.connection, 0)]
    assert (parts, len(set(ids(workspace, 0)))) == ([20_000, 20_000, 1], 40_001)


def test_every_set_of_params_is_told_once(workspace: LedgerFolder) -> None:
    for each in (row(0), row(1, size="auto"), row(2)):
        failed(workspace, each)
    assert sorted(queries.params(workspace.connection).values(), key=len) == [
        {"model": "m"},
        {"model": "m", "size": "auto"},
    ]


def number_of(workspace: LedgerFolder, **params: Any) -> int:
    """The number of this set of params."""
    every = queries.params(workspace.connection)
    return next(number for number, body in every.items() if body == {"model": "m", **params})


def test_a_row_is_finished_with_the_params_of_its_newest_whole_success(workspace: LedgerFolder) -> None:
    workspace.success(row(0), saved())
    workspace.success(row(1), saved())
    workspace.success(row(1, size="auto"), saved())
    failed(workspace, row(1))
    failed(workspace, row(2))
    workspace.intent(row(3))
    plain, other = number_of(workspace), number_of(workspace, size="auto")
    assert list(queries.finished_with(workspace.connection, [plain])) == [(0, plain)]
    assert list(queries.finished_with(workspace.connection, [other])) == [(1, other)]
    assert sorted(queries.finished_with(workspace.connection, [plain, other])) == [(0, plain), (1, other)]
    assert list(queries.finished_with(workspace.connection, [])) == []


def test_a_success_of_some_images_finishes_no_row(workspace: LedgerFolder) -> None:
    workspace.success(row(0, n=2), saved())
    workspace.success(row(0), saved())
    workspace.connection.execute("UPDATE attempts SET indexes = '[0]' WHERE attempt = 1")
    whole, part = number_of(workspace, n=2), number_of(workspace)
    assert list(queries.finished_with(workspace.connection, [whole, part])) == [(0, whole)]


def test_rows_with_an_image_are_told_each_once(workspace: LedgerFolder) -> None:
    workspace.success(row(0, n=2), saved(0), saved(1))
    failed(workspace, row(1))
    workspace.success(row(0), saved(0))
    workspace.success(row(2), saved(0))
    assert queries.items_with_images(workspace.connection) == {0: "r0", 2: "r2"}


@pytest.mark.parametrize(("attempt", "told"), [
    (0, ("r0", RowStatus.SUCCEEDED)), (1, ("r1", RowStatus.FAILED)), (2, ("r1", None)), (3, None),
])  # fmt: skip
def test_an_attempt_tells_its_row_and_what_it_left_it_in(
    workspace: LedgerFolder, attempt: int, told: tuple[str, RowStatus | None] | None
) -> None:
    workspace.success(row(0), saved())
    failed(workspace, row(1))
    workspace.intent(row(1))
    assert queries.row_of_attempt(workspace.connection, attempt) == told


# Runs


def test_the_newest_runs_come_first_and_those_without_an_end_too(workspace: LedgerFolder) -> None:
    workspace.end_run(3, "some failed")
    workspace.next_run()
    workspace.next_run()
    workspace.end_run(0, "done")
    url = "https://images.example/v1"
    ended = RunRecord(0, "run-0", 1_000, 9_000, 3, "some failed", url)
    killed = RunRecord(1, "run-1", 1_000, None, None, None, url)
    newest = RunRecord(2, "run-2", 1_000, 9_000, 0, "done", url)
    assert queries.newest_runs(workspace.connection, 9) == [newest, killed, ended]
    assert queries.newest_runs(workspace.connection, 2) == [newest, killed]


def test_each_run_is_summed_up_alone(workspace: LedgerFolder) -> None:
    workspace.success(row(0), saved(), cost_usd=0.5)
    failed(workspace, row(1))
    workspace.next_run()
    workspace.success(row(1, n=2), saved(0), saved(1), cost_usd=0.25)
    failed(workspace, row(2), cost_usd=0.125)
    failed(workspace, row(2), KIND.CONNECT)
    workspace.failure(row(3), KIND.TIMEOUT, RowStatus.PARKED)
    workspace.intent(row(3))
    workspace.next_run()
    failed(workspace, row(5))
    workspace.next_run()
    first, second = RunSums(2, 0, 0.5, 2, 0, 1), RunSums(4, 1, 0.375, 3, 1, 2)
    third = RunSums(1, 0, None, 1, 0, 0)
    assert queries.run_sums(workspace.connection, 0) == {0: first, 1: second, 2: third}
    assert queries.run_sums(workspace.connection, 1) == {1: second, 2: third}
    assert queries.run_sums(workspace.connection, 3) == {}
    assert RunSums() == RunSums(0, 0, None, 0, 0, 0)


def test_a_run_without_prices_has_no_cost(workspace: LedgerFolder) -> None:
    workspace.success(row(0), saved())
    assert queries.run_sums(workspace.connection, 0)[0].cost_usd is None


# Files


def pruned(workspace: LedgerFolder, *images: tuple[int, int]) -> None:
    workspace.ledger.record_pruned(images, now_ms=5)


def test_recorded_files_are_images_that_are_not_pruned_and_quarantined_bodies(
    workspace: LedgerFolder,
) -> None:
    workspace.success(row(0, n=3), saved(0, "a", digest="0a"), saved(1, "a"), saved(2, "a", bytes=7))
    failed(workspace, row(1), KIND.BAD_CONTENT, quarantined=KeptBody("quarantine/r1-1.body", 9, "cd" * 32))
    old = failed(workspace, row(2), KIND.BAD_CONTENT)
    workspace.connection.execute(
        "UPDATE outcomes SET quarantined = 'quarantine/r1-2.body' WHERE attempt = ?", (old,)
    )
    pruned(workspace, (0, 1))
    assert list(queries.recorded_files(workspace.connection)) == [
        RecordedFile("images/0000/a-0.png", 100, "0a" * 32),
        RecordedFile("images/0000/a-2.png", 7, "00" * 32),
        RecordedFile("quarantine/r1-1.body", 9, "cd" * 32, private=True),
        RecordedFile("quarantine/r1-2.body", None, None, private=True),
    ]
    assert queries.pruned_files(workspace.connection) == {"images/0000/a-1.png": "00" * 32}


def test_an_image_is_superseded_by_the_newest_success_of_its_row_and_index(workspace: LedgerFolder) -> None:
    workspace.success(row(0, n=2), saved(0, "a", digest="0a"), saved(1, "a", digest="1a"))
    workspace.success(row(1), saved(0, "other"))
    workspace.success(row(0), saved(0, "b", digest="0b"))
    workspace.success(row(0), saved(0, "c", digest="0c", bytes=7))
    newest = ("images/0000/c-0.png", "0c" * 32)
    first = Superseded(0, 0, "images/0000/a-0.png", 100, "0a" * 32, newest)
    second = Superseded(2, 0, "images/0000/b-0.png", 100, "0b" * 32, newest)
    assert queries.superseded(workspace.connection) == [first, second]
    pruned(workspace, (0, 0))
    assert queries.superseded(workspace.connection) == [second]


def test_images_of_rows_are_all_that_are_not_pruned(workspace: LedgerFolder) -> None:
    workspace.success(row(0, n=2), saved(0, "a"), saved(1, "a", digest="1a"))
    workspace.success(row(1), saved(0, "other"))
    workspace.success(row(0), saved(0, "b", bytes=7))
    pruned(workspace, (0, 0))
    assert queries.images_of(workspace.connection, [0]) == [
        Superseded(0, 1, "images/0000/a-1.png", 100, "1a" * 32, None),
        Superseded(2, 0, "images/0000/b-0.png", 7, "00" * 32, None),
    ]
    assert [image.attempt for image in queries.images_of(workspace.connection, [1, 0])] == [0, 1, 2]
    assert queries.images_of(workspace.connection, []) == []


def test_the_newest_table_is_the_last_and_its_time_the_latest(workspace: LedgerFolder) -> None:
    assert queries.newest_table(workspace.connection) is None
    assert queries.table_digests(workspace.connection) == set()
    for digest, written_ms in (("0a" * 32, 5), ("0b" * 32, 7), ("0c" * 32, 6)):
        workspace.ledger.record(attempt_log.table(digest, written_ms))
    assert queries.newest_table(workspace.connection) == ("0c" * 32, 7)
    assert queries.table_digests(workspace.connection) == {"0a" * 32, "0b" * 32, "0c" * 32}
