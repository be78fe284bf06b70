"""The rows of a folder without its manifest: of the last table, and of what was sent since."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from runner.ledger.attempt_log import alias
from runner.planning.recorded_rows import RecordedRows, recorded_rows
from runner.planning.row_stream import RowStream
from runner.results.table import ResultsTable
from schemas.failures import FailureKind, RowStatus
from schemas.row import Row, RowProblem
from tests.support.ledgers import LedgerFolder, rows_of, saved
from tests.support.manifests import MALFORMED, Record, row_stream

RECORDS: list[Record] = [
    {"id": "1", "prompt": "a fox", "quality": "high"},
    {"id": "2", "prompt": None, MALFORMED: "line 3: unclosed"},
    {"id": "3", "prompt": "an owl"},
    {"id": "4", "prompt": "a hare", "n": "2"},
    {"id": "5", "prompt": "a mole", "quality": "low"},
]
TAGS = pa.table({"tag": ["v", "w", "x", "y", "z"]})


def given(records: list[Record] = RECORDS) -> RowStream:
    return row_stream(
        records, TAGS.slice(0, len(records)), request={"model": "m", "size": "64x64", "param": {"seed": 7}}
    )


def recorded(place: LedgerFolder, source: RowStream) -> RecordedRows:
    return recorded_rows(place.root, source.job, source.defaults)


def told(found: RowStream) -> list[tuple[object, ...]]:
    """Position, id, and the request or what is wrong with the row."""
    return [
        (row.position, row.row_id, row.request.prompt, dict(row.request.params))
        if isinstance(row, Row)
        else (row.position, row.row_id, row.message)
        for batch in found.batches()
        for row in batch.rows
    ]


def write_table(place: LedgerFolder, source: RowStream, written_ms: int) -> None:
    """As a run does, at this time."""
    ResultsTable(source, place.ledger).write(place.folder, place.ledger.record)
    place.connection.execute(
        "UPDATE tables SET written_ms = ? WHERE number = (SELECT max(number) FROM tables)", (written_ms,)
    )


def test_every_row_of_the_table_is_there_as_it_was(tmp_path: Path) -> None:
    """Sent, invalid and never sent; with own fields, other columns, and several images; each as the ledger knows it."""
    source = given()
    with LedgerFolder(tmp_path) as place:
        fox, owl, hare, _ = rows_of(source)
        place.success(fox, saved(0))
        place.failure(owl, FailureKind.MODERATION, RowStatus.FAILED)
        place.success(hare, saved(0), saved(1))
        write_table(place, source, 9_000)
        found = recorded(place, source)
        assert told(found) == told(source)
        rows = [row for batch in found.batches() for row in batch.rows if isinstance(row, Row)]
        assert [row.fingerprint for row in rows] == [row.fingerprint for row in rows_of(source)]
        (batch,) = found.batches()
        assert batch.extras().to_pydict() == TAGS.to_pydict()
        assert [batch.own_fields(i) for i in (0, 2, 3, 4)] == [
            (("quality", "high"),),
            (),
            (("n", "2"),),
            (("quality", "low"),),
        ]
        before = pq.read_table(tmp_path / "results.parquet")
        ResultsTable(found, place.ledger).write(place.folder, place.ledger.record)
        assert pq.read_table(tmp_path / "results.parquet").equals(before)


def test_rows_that_were_sent_since_the_table_come_behind_it(tmp_path: Path) -> None:
    """A killed run leaves an older table. Rows that were gone before it was written are not among them."""
    source = given()
    with LedgerFolder(tmp_path) as place:
        gone, fox, _, _ = rows_of(given([{"id": "0", "prompt": "gone"}, *RECORDS[2:]]))
        place.success(gone, saved(0))
        fox = rows_of(source)[0]
        place.success(fox, saved(0))
        write_table(place, given(RECORDS[:1]), 2_002)
        place.success(rows_of(source)[1], saved(0))
        assert [row[:2] for row in told(recorded(place, source))] == [(0, "1"), (1, "3")]
        (first, second) = recorded(place, source).batches()
        assert first.extras().to_pydict() == {"tag": ["v"]} and second.extras().to_pydict() == {"tag": [None]}


def test_without_a_table_of_ours_the_ledger_tells_what_was_sent(tmp_path: Path) -> None:
    source = given()
    with LedgerFolder(tmp_path) as place:
        for row in rows_of(source)[:2]:
            place.success(row, saved(0))
        assert [row[:2] for row in told(recorded(place, source))] == [(0, "1"), (1, "3")]
        write_table(place, source, 9_000)
        table = pq.read_table(tmp_path / "results.parquet")
        pq.write_table(
            table.set_column(0, "row_id", pa.array(["x"] * len(table))), tmp_path / "results.parquet"
        )
        assert [row[:2] for row in told(recorded(place, source))] == [(0, "1"), (1, "3")]
        assert not recorded(place, source).manifest.extra_schema().names


def test_of_an_edited_row_the_newest_version_counts(tmp_path: Path) -> None:
    source = given()
    with LedgerFolder(tmp_path) as place:
        for prompt in ("a fox", "a red fox"):
            place.success(rows_of(row_stream([{"id": "1", "prompt": prompt}]))[0], saved(0))
        assert [row[:3] for row in told(recorded(place, source))] == [(0, "1", "a red fox")]


def test_a_row_that_is_kept_under_another_id_is_called_by_that(tmp_path: Path) -> None:
    source, renamed = given(RECORDS[:1]), given([{**RECORDS[0], "id": "1.0"}])
    with LedgerFolder(tmp_path) as place:
        place.success(rows_of(source)[0], saved(0))
        place.ledger.record([alias(rows_of(renamed)[0].fingerprint, 0, "1.0")])
        write_table(place, renamed, 9_000)
        found = recorded(place, renamed)
        assert [row[:3] for row in told(found)] == [(0, "1.0", "a fox")]
        index = place.ledger.item_index()
        rows = [row for batch in found.batches() for row in batch.rows]
        assert index.items(rows) == [0] == index.items(rows_of(renamed))
        assert not any(isinstance(row, RowProblem) for row in rows)
