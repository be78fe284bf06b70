"""The map of what is done: what a run finds with it is what it finds without, and it is believed only where it belongs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from jobs.work import Work
from runner.ledger import attempt_log, completion_cache
from runner.ledger.completion_cache import NOTHING_COMPLETED, CompletedRows
from runner.ledger.statistics import totals
from runner.manifest.open import open_manifest
from runner.planning.row_stream import RowStream, request_defaults
from runner.planning.source import PendingRowSource
from runner.results.table import ResultsTable
from runner.workspace.folder import Workspace
from schemas.counts import Counts
from schemas.failures import FailureKind, RowStatus
from schemas.job import InputTable, Job
from schemas.outcome import Link, Reported, Unfetched
from schemas.providers import PROFILES
from schemas.row import Row
from tests.support.ledgers import LedgerFolder, saved

ROWS = 300


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map is worth it for a few hundred rows."""
    monkeypatch.setattr(completion_cache, "LEAST_ROWS", 10)


@dataclass
class Mapped:
    """A manifest of which most rows are done, and its folder with a map. ids: none for a manifest without ids."""

    workspace: LedgerFolder
    manifest: Path
    job: Job

    def row_stream(self) -> RowStream:
        """The manifest, opened anew."""
        return RowStream(
            open_manifest(str(self.manifest), prompt_col=None, id_col=None),
            self.job,
            request_defaults(self.job, PROFILES["dieyuyun"]),
        )

    def load(self, job: Job | None = None) -> CompletedRows:
        """The map, if it is believed."""
        return self.workspace.ledger.completed_rows(job or self.job)

    def works(self, done: CompletedRows) -> tuple[list[Work], tuple[int, ...]]:
        """What a run would send, and what it would count."""
        source = PendingRowSource(self.row_stream(), self.workspace.ledger.item_index(done))
        works = []
        while (read := source._read()) is not None:
            source._take(*read)
            works += list(source._ready)
        tally = source.tally
        return works, (tally.rows, tally.images, tally.done, tally.failed, tally.parked, tally.invalid)


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)


def _done(workspace: LedgerFolder, manifest: Path, left: set[int]) -> Mapped:
    job = Job(manifest=str(manifest), out=str(workspace.root))
    mapped = Mapped(workspace, manifest, job)
    for batch in mapped.row_stream().batches():
        for row in batch.rows:
            if isinstance(row, Row) and row.position not in left:
                workspace.success(row, saved(name=f"x{row.position}"))
            elif isinstance(row, Row) and row.position % 2:
                workspace.failure(row, FailureKind.TIMEOUT, RowStatus.PARKED)
    _map(mapped)
    return mapped


def _map(mapped: Mapped) -> bool:
    table = ResultsTable(mapped.row_stream(), mapped.workspace.ledger)
    table.write(mapped.workspace.folder, mapped.workspace.ledger.record)
    return table.save_completed(mapped.workspace.folder, mapped.workspace.ledger)


@pytest.fixture(params=["ids", "no ids", "repeats"])
def mapped(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Mapped]:
    """Most rows done, some left, some parked; also with prompts that come more than once."""
    rows = [{"id": f"r{i}", "prompt": f"picture {i}"} for i in range(ROWS)]
    if request.param != "ids":
        rows = [{"prompt": row["prompt"]} for row in rows]
    if request.param == "repeats":
        for i in range(0, ROWS, 7):
            rows[i]["prompt"] = f"picture {i % 21}"
    _write(tmp_path / "m.csv", rows)
    with LedgerFolder(tmp_path / "out") as workspace:
        yield _done(workspace, tmp_path / "m.csv", {5, 7, 42, 98, 105, 250, 299})


def test_a_run_with_the_map_finds_what_one_without_it_finds(mapped: Mapped) -> None:
    done = mapped.load()
    assert done.rows
    assert done.rows > ROWS // 2
    with_map, without = mapped.works(done), mapped.works(NOTHING_COMPLETED)
    assert with_map == without
    assert len(with_map[0]) == 3


def test_it_is_believed_for_these_bytes_of_the_manifest_only(mapped: Mapped) -> None:
    data = mapped.manifest.read_bytes()
    mapped.manifest.write_bytes(data.replace(b"picture 8", b"picture X", 1))
    assert mapped.load() is NOTHING_COMPLETED
    mapped.manifest.write_bytes(data)
    assert mapped.load() is not None
    mapped.manifest.unlink()
    assert mapped.load() is NOTHING_COMPLETED


def test_it_is_not_used_where_rows_are_chosen_or_columns_read_otherwise(mapped: Mapped) -> None:
    for table in (InputTable(limit=5), InputTable(sample=5), InputTable(distinct="prompt")):
        assert mapped.load(mapped.job.model_copy(update={"input": table})) is NOTHING_COMPLETED
    columns = mapped.job.columns.model_copy(update={"prompt": "prompt"})
    assert mapped.load(mapped.job.model_copy(update={"columns": columns})) is NOTHING_COMPLETED


def test_it_is_not_believed_of_another_or_an_older_ledger(mapped: Mapped, tmp_path: Path) -> None:
    with LedgerFolder(tmp_path / "other") as other:
        (tmp_path / "other" / completion_cache.MAP_NAME).write_bytes(
            (mapped.workspace.root / completion_cache.MAP_NAME).read_bytes()
        )
        assert other.ledger.completed_rows(mapped.job) is NOTHING_COMPLETED
    mapped.workspace.connection.execute("DELETE FROM attempts WHERE attempt > 20")
    assert mapped.load() is NOTHING_COMPLETED


def test_it_is_not_believed_of_a_ledger_that_was_put_back_and_has_grown_again(mapped: Mapped) -> None:
    """Its attempts have the same numbers, for the same rows; only the time at which they were sent tells them apart."""
    known = mapped.load()
    assert known.rows
    connection = mapped.workspace.connection
    connection.execute("UPDATE attempts SET sent_ms = sent_ms + 1 WHERE attempt = ?", (known.attempts - 1,))
    assert mapped.load() is NOTHING_COMPLETED


def test_earlier_sums_and_later_ones_make_the_whole(mapped: Mapped) -> None:
    done = mapped.load()
    assert done.rows
    mapped.workspace.success(mapped.works(done)[0][0].row, saved(name="late"), cost_usd=0.25)
    workspace = Workspace(mapped.workspace.root, mapped.workspace.folder, mapped.workspace.ledger, 0, done)
    assert workspace.ledger.totals(workspace.completed) == totals(mapped.workspace.connection)


def test_what_is_still_to_be_fetched_is_not_summed_up(mapped: Mapped) -> None:
    """Its outcome is replaced by another."""
    left = Unfetched((Link(0, "https://x/1.png"),), 1, 0, 200, Reported(), 5, 0)
    mapped.workspace.ledger.record(attempt_log.accepted_task(3, left, 5))
    assert _map(mapped)
    assert mapped.load().attempts == 3


@pytest.mark.parametrize("size", [0, 10, 200, -1])
def test_a_torn_map_is_no_map(mapped: Mapped, size: int) -> None:
    path = mapped.workspace.root / completion_cache.MAP_NAME
    path.write_bytes(path.read_bytes()[:size])
    assert mapped.load() is NOTHING_COMPLETED


def test_a_changed_bit_is_no_map(mapped: Mapped) -> None:
    path = mapped.workspace.root / completion_cache.MAP_NAME
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    assert mapped.load() is NOTHING_COMPLETED


def test_what_was_done_since_the_map_was_made_is_known_from_the_ledger(mapped: Mapped) -> None:
    done = mapped.load()
    works, _ = mapped.works(done)
    mapped.workspace.success(works[0].row, saved(name="late"))
    assert mapped.works(mapped.load()) == mapped.works(NOTHING_COMPLETED)
    assert len(mapped.works(mapped.load())[0]) == len(works) - 1


def test_a_manifest_that_changes_while_the_results_are_written_gets_no_map(mapped: Mapped) -> None:
    table = ResultsTable(mapped.row_stream(), mapped.workspace.ledger)
    table.write(mapped.workspace.folder, mapped.workspace.ledger.record)
    mapped.manifest.write_text(mapped.manifest.read_text() + "\n")
    assert not table.save_completed(mapped.workspace.folder, mapped.workspace.ledger)


def _table(mapped: Mapped, done: CompletedRows) -> tuple[bytes, Counts, Counts]:
    """The results table, what it holds, and what counting alone finds."""
    table = ResultsTable(mapped.row_stream(), mapped.workspace.ledger, known=done)
    file, counts = io.BytesIO(), Counts()
    table.stream(file, counts)
    return file.getvalue(), counts, table.count()


def _again(mapped: Mapped, at: int, **more: Any) -> None:
    """Another try of the row at this position, which is done."""
    row = next(row for batch in mapped.row_stream().batches() for row in batch.rows if row.position == at)
    assert isinstance(row, Row)
    mapped.workspace.success(row, saved(name=f"again{at}"), **more)


def test_the_table_is_the_same_with_and_without_the_map(mapped: Mapped) -> None:
    for step in range(4):
        done = mapped.load()
        assert done.rows
        with_map, without = _table(mapped, done), _table(mapped, NOTHING_COMPLETED)
        assert with_map == without
        assert with_map[1] == with_map[2]
        if step == 0:
            mapped.workspace.success(mapped.works(done)[0][0].row, saved(name="late"))
        elif step == 1:
            _again(mapped, 1)
            _again(mapped, 1, cost_usd=0.5)
        elif step == 2:
            attempts = "SELECT attempt FROM attempts ORDER BY attempt LIMIT 1 OFFSET 3"
            mapped.workspace.connection.execute(f"INSERT INTO pruned SELECT attempt, 0, 7 FROM ({attempts})")


def test_a_map_made_with_an_earlier_map_is_the_one_made_without(mapped: Mapped) -> None:
    done = mapped.load()
    assert done.rows
    once = next(work.row for work in mapped.works(done)[0] if work.row.position == 250)
    mapped.workspace.success(once, saved(name="late"))
    made = []
    for known in (NOTHING_COMPLETED, done):
        table = ResultsTable(mapped.row_stream(), mapped.workspace.ledger, known=known)
        table.write(mapped.workspace.folder, mapped.workspace.ledger.record)
        assert table.save_completed(mapped.workspace.folder, mapped.workspace.ledger)
        made.append((mapped.workspace.root / completion_cache.MAP_NAME).read_bytes())
    assert made[0] == made[1]
    renewed = mapped.load()
    assert renewed.rows == done.rows + 1


def test_only_what_was_sent_of_another_manifest_since_can_have_edited_a_row(mapped: Mapped) -> None:
    done = mapped.load()
    assert done.rows
    connection = mapped.workspace.connection
    since = done.attempts
    assert mapped.workspace.ledger.nothing_else_sent(replace(done, attempts=10_000))
    mapped.workspace.next_run()
    mapped.workspace.success(mapped.works(done)[0][0].row, saved(name="late"))
    for command, same in (
        (done.command('{"command": "run"}'), True),
        (NOTHING_COMPLETED.command('{"command": "run"}'), False),
        (replace(done, manifest="another").command('{"command": "run"}'), False),
    ):
        connection.execute("UPDATE runs SET command = ?", (command,))
        assert mapped.workspace.ledger.nothing_else_sent(done) is same
        assert json.loads(command)["command"] == "run"
    assert since <= connection.execute("SELECT max(attempt) FROM attempts").fetchone()[0]


def test_a_map_is_not_of_a_manifest_that_was_written_to_since(mapped: Mapped) -> None:
    done = mapped.load()
    assert done.rows
    assert done.matches(mapped.job)
    mapped.manifest.write_text(mapped.manifest.read_text() + "\n")
    assert not done.matches(mapped.job)
