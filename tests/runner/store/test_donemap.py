"""The map of what is done: what a run finds with it is what it finds without, and it is believed only where it belongs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.engine.queue import Source, Work
from runner.ledger import completion_cache
from runner.ledger.item_index import ItemIndex
from runner.ledger.totals import totals
from runner.ledger.writer import record_now
from runner.manifest.open import open_manifest
from runner.planning.preflight import nothing_else_sent, told_of
from runner.planning.row_stream import Intake, request_defaults
from runner.results.table import ResultsTable
from runner.workspace.folder import OpenFolder
from schemas.failures import FailureKind, RowStatus
from schemas.job import InputTable, Job
from schemas.providers import PROFILES
from schemas.reports import Counts
from schemas.row import Row
from tests.runner.store.ledgers import LedgerFolder, saved

ROWS = 300


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map is worth it for a few hundred rows."""
    monkeypatch.setattr(completion_cache, "LEAST_ROWS", 10)


@dataclass
class Mapped:
    """A manifest of which most rows are done, and its folder with a map. ids: none for a manifest without ids."""

    place: LedgerFolder
    manifest: Path
    job: Job

    def intake(self) -> Intake:
        """The manifest, opened anew."""
        return Intake(
            open_manifest(str(self.manifest), prompt_col=None, id_col=None),
            self.job,
            request_defaults(self.job, PROFILES["dieyuyun"]),
        )

    def load(self, job: Job | None = None) -> completion_cache.DoneMap | None:
        """The map, if it is believed."""
        return completion_cache.load(self.place.root, self.place.connection, job or self.job)

    def works(self, done: completion_cache.DoneMap | None) -> tuple[list[Work], tuple[int, ...]]:
        """What a run would send, and what it would count."""
        source = Source(self.intake(), ItemIndex(self.place.connection, done), done=done)
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


def _done(place: LedgerFolder, manifest: Path, left: set[int]) -> Mapped:
    job = Job(manifest=str(manifest), out=str(place.root))
    mapped = Mapped(place, manifest, job)
    for batch in mapped.intake().batches():
        for row in batch.rows:
            if isinstance(row, Row) and row.position not in left:
                place.success(row, saved(name=f"x{row.position}"))
            elif isinstance(row, Row) and row.position % 2:
                place.failure(row, FailureKind.TIMEOUT, RowStatus.PARKED)
    _map(mapped)
    return mapped


def _map(mapped: Mapped) -> bool:
    table = ResultsTable(mapped.intake(), mapped.place.connection)
    table.write(mapped.place.folder, lambda statements: record_now(mapped.place.connection, statements))
    return table.map_done(mapped.place.folder)


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
    with LedgerFolder(tmp_path / "out") as place:
        yield _done(place, tmp_path / "m.csv", {5, 7, 42, 98, 105, 250, 299})


def test_a_run_with_the_map_finds_what_one_without_it_finds(mapped: Mapped) -> None:
    done = mapped.load()
    assert done is not None
    assert done.rows > ROWS // 2
    with_map, without = mapped.works(done), mapped.works(None)
    assert with_map == without
    assert len(with_map[0]) == 3


def test_it_is_believed_for_these_bytes_of_the_manifest_only(mapped: Mapped) -> None:
    data = mapped.manifest.read_bytes()
    mapped.manifest.write_bytes(data.replace(b"picture 8", b"picture X", 1))
    assert mapped.load() is None
    mapped.manifest.write_bytes(data)
    assert mapped.load() is not None
    mapped.manifest.unlink()
    assert mapped.load() is None


def test_it_is_not_used_where_rows_are_chosen_or_columns_read_otherwise(mapped: Mapped) -> None:
    for table in (InputTable(limit=5), InputTable(sample=5), InputTable(distinct="prompt")):
        assert mapped.load(mapped.job.model_copy(update={"input": table})) is None
    columns = mapped.job.columns.model_copy(update={"prompt": "prompt"})
    assert mapped.load(mapped.job.model_copy(update={"columns": columns})) is None


def test_it_is_not_believed_of_another_or_an_older_ledger(mapped: Mapped, tmp_path: Path) -> None:
    with LedgerFolder(tmp_path / "other") as other:
        (tmp_path / "other" / completion_cache.MAP_NAME).write_bytes(
            (mapped.place.root / completion_cache.MAP_NAME).read_bytes()
        )
        assert completion_cache.load(other.root, other.connection, mapped.job) is None
    mapped.place.connection.execute("DELETE FROM attempts WHERE attempt > 20")
    assert mapped.load() is None


def test_earlier_sums_and_later_ones_make_the_whole(mapped: Mapped) -> None:
    done = mapped.load()
    assert done is not None
    mapped.place.success(mapped.works(done)[0][0].row, saved(name="late"), cost_usd=0.25)
    place = OpenFolder(mapped.place.root, mapped.place.folder, mapped.place.connection, 0, done)
    assert completion_cache.sums(place.connection, place.done) == totals(mapped.place.connection)


@pytest.mark.parametrize("size", [0, 10, 200, -1])
def test_a_torn_map_is_no_map(mapped: Mapped, size: int) -> None:
    path = mapped.place.root / completion_cache.MAP_NAME
    path.write_bytes(path.read_bytes()[:size])
    assert mapped.load() is None


def test_a_changed_bit_is_no_map(mapped: Mapped) -> None:
    path = mapped.place.root / completion_cache.MAP_NAME
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    assert mapped.load() is None


def test_what_was_done_since_the_map_was_made_is_known_from_the_ledger(mapped: Mapped) -> None:
    done = mapped.load()
    works, _ = mapped.works(done)
    mapped.place.success(works[0].row, saved(name="late"))
    assert mapped.works(mapped.load()) == mapped.works(None)
    assert len(mapped.works(mapped.load())[0]) == len(works) - 1


def test_a_manifest_that_changes_while_the_results_are_written_gets_no_map(mapped: Mapped) -> None:
    table = ResultsTable(mapped.intake(), mapped.place.connection)
    table.write(mapped.place.folder, lambda statements: record_now(mapped.place.connection, statements))
    mapped.manifest.write_text(mapped.manifest.read_text() + "\n")
    assert not table.map_done(mapped.place.folder)


def _table(mapped: Mapped, done: completion_cache.DoneMap | None) -> tuple[bytes, Counts, Counts]:
    """The results table, what it holds, and what counting alone finds."""
    table = ResultsTable(mapped.intake(), mapped.place.connection, known=done)
    file, counts = io.BytesIO(), Counts()
    table.stream(file, counts)
    return file.getvalue(), counts, table.count()


def _again(mapped: Mapped, at: int, **more: Any) -> None:
    """Another try of the row at this position, which is done."""
    row = next(row for batch in mapped.intake().batches() for row in batch.rows if row.position == at)
    assert isinstance(row, Row)
    mapped.place.success(row, saved(name=f"again{at}"), **more)


def test_the_table_is_the_same_with_and_without_the_map(mapped: Mapped) -> None:
    for step in range(4):
        done = mapped.load()
        assert done is not None
        with_map, without = _table(mapped, done), _table(mapped, None)
        assert with_map == without
        assert with_map[1] == with_map[2]
        if step == 0:
            mapped.place.success(mapped.works(done)[0][0].row, saved(name="late"))
        elif step == 1:
            _again(mapped, 1)
            _again(mapped, 1, cost_usd=0.5)
        elif step == 2:
            attempts = "SELECT attempt FROM attempts ORDER BY attempt LIMIT 1 OFFSET 3"
            mapped.place.connection.execute(f"INSERT INTO pruned SELECT attempt, 0, 7 FROM ({attempts})")


def test_a_map_made_with_an_earlier_map_is_the_one_made_without(mapped: Mapped) -> None:
    done = mapped.load()
    assert done is not None
    once = next(work.row for work in mapped.works(done)[0] if work.row.position == 250)
    mapped.place.success(once, saved(name="late"))
    made = []
    for known in (None, done):
        table = ResultsTable(mapped.intake(), mapped.place.connection, known=known)
        table.write(mapped.place.folder, lambda statements: record_now(mapped.place.connection, statements))
        assert table.map_done(mapped.place.folder)
        made.append((mapped.place.root / completion_cache.MAP_NAME).read_bytes())
    assert made[0] == made[1]
    renewed = mapped.load()
    assert renewed is not None
    assert renewed.rows == done.rows + 1


def test_only_what_was_sent_of_another_manifest_since_can_have_edited_a_row(mapped: Mapped) -> None:
    done = mapped.load()
    assert done is not None
    connection = mapped.place.connection
    since = done.attempts
    assert nothing_else_sent(connection, done._replace(attempts=10_000))
    mapped.place.next_run()
    mapped.place.success(mapped.works(done)[0][0].row, saved(name="late"))
    for command, same in (
        (told_of('{"command": "run"}', done), True),
        (told_of('{"command": "run"}', None), False),
        (told_of('{"command": "run"}', done._replace(manifest="another")), False),
    ):
        connection.execute("UPDATE runs SET command = ?", (command,))
        assert nothing_else_sent(connection, done) is same
        assert json.loads(command)["command"] == "run"
    assert since <= connection.execute("SELECT max(attempt) FROM attempts").fetchone()[0]


def test_a_map_is_not_of_a_manifest_that_was_written_to_since(mapped: Mapped) -> None:
    done = mapped.load()
    assert done is not None
    assert done.is_of(mapped.job)
    mapped.manifest.write_text(mapped.manifest.read_text() + "\n")
    assert not done.is_of(mapped.job)
