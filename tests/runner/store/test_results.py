"""`results.parquet`: every manifest row appears, whatever became of it; the same ledger gives the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.state import fold
from runner.ledger.attempts import AttemptReader
from runner.ledger.item_index import ItemIndex
from runner.planning.row_stream import Intake
from runner.results.columns import SingleRows
from runner.results.rows import Facts, row_values
from runner.results.table import ResultsTable
from schemas.failures import FailureKind, RowStatus
from schemas.outcome import MissingImage, Reported
from schemas.output_folder import RESULTS_NAME
from schemas.reports import Counts
from schemas.results import RESULTS_SCHEMA
from tests.runner.manifests import MALFORMED, Record, intake, prompts
from tests.runner.store.ledgers import ENDPOINT, LedgerFolder, rows_of, saved

KIND = FailureKind


@pytest.fixture
def place(tmp_path: Path) -> Iterator[LedgerFolder]:
    """A folder with a run going on."""
    with LedgerFolder(tmp_path) as folder:
        yield folder


def written(place: LedgerFolder, source: Intake, *, live_run: int | None = None) -> tuple[pa.Table, Counts]:
    """The table as it is on disk, and what it says it holds."""
    table = ResultsTable(source, place.ledger, live_run=live_run)
    counts = table.write(place.folder, place.ledger.record)
    assert table.count() == counts
    return pq.read_table(place.root / RESULTS_NAME), counts


def lines(place: LedgerFolder, source: Intake, **more: Any) -> list[dict[str, Any]]:
    """The table's rows."""
    found: list[dict[str, Any]] = written(place, source, **more)[0].to_pylist()
    return found


def few(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    """Some columns of a row."""
    return tuple(row[name] for name in names)


def test_the_columns_are_the_schemas_and_in_its_order(place: LedgerFolder) -> None:
    table, _ = written(place, intake(prompts("a fox")))
    assert table.schema.equals(RESULTS_SCHEMA)


def test_an_empty_manifest_has_a_table_without_rows(place: LedgerFolder) -> None:
    table, counts = written(place, intake([], pa.table({"mood": pa.array([], pa.string())})))
    assert (table.num_rows, counts.rows, counts.images) == (0, 0, 0)
    assert table.schema.names == [*RESULTS_SCHEMA.names, "mood"]


def test_a_row_of_which_nothing_is_known_is_pending(place: LedgerFolder) -> None:
    (line,) = lines(place, intake(prompts("a fox")))
    assert few(line, "row_id", "row", "image_index", "status", "prompt") == ("r0", 0, 0, "pending", "a fox")
    assert few(line, "error_kind", "error_message") == ("stopped", "the run ended before this row's turn")
    assert few(line, "attempts", "maybe_billed", "cost_usd", "file_name", "flags") == (0, 0, None, None, [])
    assert few(line, "model", "endpoint", "started_at") == ("m", None, None)


def test_why_the_run_ended_is_told_beside_the_rows_it_did_not_reach(place: LedgerFolder) -> None:
    place.end_run(8, "--max-cost 5 reached")
    (line,) = lines(place, intake(prompts("a fox")))
    assert line["error_message"] == "the run ended before this row's turn (--max-cost 5 reached)"


def test_while_a_run_is_going_on_its_rows_are_pending_without_an_error(place: LedgerFolder) -> None:
    source = intake(prompts("a fox", "an owl"))
    place.intent(rows_of(source)[0])
    flying, waiting = lines(place, source, live_run=0)
    assert few(flying, "status", "error_kind", "attempts", "maybe_billed") == ("pending", None, 1, 0)
    assert few(waiting, "status", "error_kind", "attempts", "error_message") == ("pending", None, 0, None)


def test_an_attempt_of_a_dead_run_is_parked(place: LedgerFolder) -> None:
    source = intake(prompts("a fox"))
    place.intent(rows_of(source)[0])
    (line,) = lines(place, source)
    assert few(line, "status", "error_kind", "attempts", "maybe_billed") == ("parked", "disconnected", 1, 1)


def test_a_success_tells_everything_about_its_image(place: LedgerFolder) -> None:
    source = intake([{"id": "007", "prompt": "a fox\nin the rain", "size": "64x48", "quality": "low"}])
    reported = Reported(
        created=1_700_000_000, request_id="req_1", task_id="t1", input_tokens=11, output_tokens=22
    )
    image = saved(digest="ab", revised_prompt="A red fox", flags=("size_mismatch",))
    place.success(
        rows_of(source)[0],
        image,
        reported=reported,
        flags=("extra_images",),
        cost_usd=0.25,
        cost_estimated=True,
    )
    (line,) = lines(place, source)
    assert line == {
        "row_id": "007",
        "row": 0,
        "image_index": 0,
        "status": "succeeded",
        "prompt": "a fox\nin the rain",
        "revised_prompt": "A red fox",
        "model": "m",
        "size": "64x48",
        "quality": "low",
        "background": None,
        "moderation": None,
        "output_format": None,
        "response_format": None,
        "output_compression": None,
        "n": None,
        "file_name": "images/0000/a-0.png",
        "format": "png",
        "width": 64,
        "height": 48,
        "bytes": 100,
        "sha256": "ab" * 32,
        "error_kind": None,
        "error_code": None,
        "error_message": None,
        "http_status": 200,
        "attempts": 1,
        "attempt": 0,
        "try_number": 1,
        "sent_prompt": None,
        "maybe_billed": 0,
        "cost_usd": 0.25,
        "input_tokens": 11,
        "output_tokens": 22,
        "endpoint": ENDPOINT,
        "request_id": "req_1",
        "task_id": "t1",
        "created": datetime.fromtimestamp(1_700_000_000, UTC),
        "started_at": datetime.fromtimestamp(2.0, UTC),
        "finished_at": datetime.fromtimestamp(3.0, UTC),
        "latency_s": 1.5,
        "flags": ["extra_images", "estimated_cost", "size_mismatch"],
    }


@pytest.mark.parametrize(
    ("kind", "status", "maybe"),
    [
        (KIND.MODERATION, RowStatus.FAILED, 1),
        (KIND.INVALID_REQUEST, RowStatus.FAILED, 0),
        (KIND.TRUNCATED, RowStatus.PARKED, 1),
        (KIND.QUOTA, RowStatus.PENDING, 0),
    ],
)
def test_a_failure_tells_its_kind_code_and_text(
    place: LedgerFolder, kind: FailureKind, status: RowStatus, maybe: int
) -> None:
    source = intake(prompts("a fox"))
    place.failure(rows_of(source)[0], kind, status, message="why", code="its_code", http_status=418)
    (line,) = lines(place, source)
    assert few(
        line, "status", "error_kind", "error_code", "error_message", "http_status", "maybe_billed"
    ) == (*(status.value, kind.value, "its_code", "why", 418, maybe),)
    assert few(line, "file_name", "sha256", "width") == (None, None, None)


def test_a_row_of_several_images_has_a_line_for_each_and_shares_its_cost(place: LedgerFolder) -> None:
    source = intake([{"id": "a", "prompt": "x", "n": "3"}])
    lost = MissingImage(1, KIND.DOWNLOAD, "HTTP 404", "revised all the same")
    place.success(rows_of(source)[0], saved(0, digest="01"), missing=[lost], cost_usd=0.75)
    found = lines(place, source)
    assert [few(line, "image_index", "status", "error_kind", "n", "cost_usd") for line in found] == [
        (0, "succeeded", None, 3, 0.25),
        (1, "failed", "download", 3, 0.25),
        (2, "failed", "bad_content", 3, 0.25),
    ]
    assert found[1]["revised_prompt"] == "revised all the same"


def test_a_row_that_is_sent_again_keeps_its_success_and_counts_its_attempts(place: LedgerFolder) -> None:
    source = intake(prompts("a fox"))
    (row,) = rows_of(source)
    place.failure(row, KIND.TIMEOUT, RowStatus.PENDING)
    place.success(row, saved(digest="0a"), cost_usd=0.5)
    place.failure(row, KIND.MODERATION, RowStatus.FAILED)
    (line,) = lines(place, source)
    assert few(line, "status", "error_kind", "attempts", "maybe_billed", "sha256") == (
        *("succeeded", None, 3, 2, "0a" * 32),
    )


def test_a_row_that_has_one_image_and_is_asked_for_two_now_has_a_line_for_each(place: LedgerFolder) -> None:
    """`n` of the job is no field of the row's own: the row stays the same one."""
    (row,) = rows_of(intake(prompts("a fox")))
    place.success(row, saved(digest="0a"))
    found = lines(place, intake(prompts("a fox"), request={"model": "m", "n": 2}))
    assert [few(line, "image_index", "sha256") for line in found] == [(0, "0a" * 32), (1, None)]


def test_equal_images_are_flagged(place: LedgerFolder) -> None:
    source = intake(prompts("a", "b", "c"))
    for row, digest in zip(rows_of(source), ("01", "01", "02"), strict=True):
        place.success(row, saved(name=row.row_id, digest=digest))
    assert [line["flags"] for line in lines(place, source)] == [["duplicate_image"], ["duplicate_image"], []]


INVALID: Sequence[Record] = (
    {"id": "a", "prompt": "x"},
    {"id": "a", "prompt": "y"},
    {"id": "b", "prompt": ""},
    {"id": "c", "prompt": "z", "n": "99", "size": "auto"},
    {"prompt": None, "id": None, MALFORMED: "line 6: unclosed quote"},
)


def test_rows_that_cannot_be_sent_are_lines_that_say_why(place: LedgerFolder) -> None:
    found = lines(place, intake(INVALID))
    assert [few(line, "row", "status", "error_kind") for line in found] == [
        (0, "pending", "stopped"),
        *((row, "invalid", "invalid_row") for row in range(1, 5)),
    ]
    assert [line["error_message"].partition(":")[0] for line in found[1:]] == [
        f"line {n}" for n in (3, 4, 5, 6)
    ]
    assert few(found[3], "prompt", "n", "size", "model") == ("z", 99, "auto", None)
    assert few(found[4], "prompt", "error_message") == (None, "line 6: unclosed quote")


def test_a_number_that_no_column_can_hold_is_left_out_of_an_invalid_row(place: LedgerFolder) -> None:
    records = [
        {"id": str(i), "prompt": "x", "n": n} for i, n in enumerate(["many", "1e9", "-40000", "9" * 30])
    ]
    assert [line["n"] for line in lines(place, intake(records))] == [None] * 4


def test_half_characters_of_a_row_that_cannot_be_sent_are_shown_as_escapes(place: LedgerFolder) -> None:
    (line,) = lines(place, intake([{"id": "x\ud800", "prompt": "", MALFORMED: "half a character \udcff"}]))
    assert few(line, "row_id", "error_message") == ("x\\ud800", "half a character \\udcff")


def test_counts_are_of_lines(place: LedgerFolder) -> None:
    source = intake([*INVALID, {"id": "d", "prompt": "w", "n": "3"}])
    place.success(rows_of(source)[1], saved(0), saved(1))
    _, counts = written(place, source)
    assert (counts.rows, counts.images) == (6, 8)
    assert dict(counts.by_status) == {"pending": 1, "invalid": 4, "succeeded": 2, "failed": 1}
    assert dict(counts.by_error) == {"stopped": 1, "invalid_row": 4, "bad_content": 1}


TYPED = pa.table(
    {
        "mood": pa.array(["calm", None, ""], pa.string()),
        "weight": pa.array([1, None, 3], pa.int64()),
        "score": pa.array([0.5, float("nan"), None], pa.float32()),
        "ok": pa.array([True, False, None]),
        "day": pa.array([date(2026, 11, 22), None, date(1, 1, 1)], pa.date32()),
        "at": pa.array([1, 2, None], pa.timestamp("us", tz="Asia/Tokyo")),
        "price": pa.array([Decimal("1.10"), None, Decimal("-2.00")], pa.decimal128(10, 2)),
        "raw": pa.array([b"\x00\xff", None, b""], pa.binary()),
        "tags": pa.array([["a", None], [], None], pa.list_(pa.string())),
        "where": pa.array([{"x": 1}, None, {"x": None}], pa.struct([("x", pa.int32())])),
        "big": pa.array([2**63 - 1, 0, None], pa.uint64()),
    }
)


def test_other_columns_keep_their_types_and_their_nulls(place: LedgerFolder) -> None:
    table, _ = written(place, intake(prompts("a", "b", "c"), TYPED))
    assert table.select(TYPED.column_names).schema.equals(TYPED.schema)
    got, expected = table.select(TYPED.column_names).to_pylist(), TYPED.to_pylist()
    assert repr(got) == repr(expected)


def test_other_columns_are_repeated_for_each_image_of_a_row(place: LedgerFolder) -> None:
    records = [{"id": "a", "prompt": "x", "n": "2"}, {"id": "b", "prompt": ""}, {"id": "c", "prompt": "y"}]
    table, _ = written(place, intake(records, TYPED))
    assert table.column("weight").to_pylist() == [1, 1, None, 3]


def test_other_columns_follow_their_rows_through_a_selection(place: LedgerFolder) -> None:
    records = prompts(*"abcdefghij")
    extras = pa.table({"number": list(range(10))})
    chosen = intake(records, extras, batch=3, input={"sample": 4, "seed": 5})
    found = lines(place, chosen)
    assert len(found) == 4
    assert all(line["row_id"] == f"r{line['number']}" and line["row"] == line["number"] for line in found)


def test_a_clash_with_a_column_of_ours_gets_a_prefix(place: LedgerFolder) -> None:
    extras = pa.table(
        {"status": ["mine"], "manifest_status": ["also mine"], "sha256": [7], "Status": ["other"]}
    )
    table, _ = written(place, intake(prompts("a"), extras))
    (line,) = table.to_pylist()
    names = ["manifest_status", "manifest_manifest_status", "manifest_sha256", "Status"]
    assert table.schema.names == [*RESULTS_SCHEMA.names, *names]
    assert few(line, "status", "sha256", *names) == ("pending", None, "mine", "also mine", 7, "other")


def test_every_row_is_there_in_manifest_order_however_it_is_cut(place: LedgerFolder) -> None:
    texts = [f"prompt {i}" for i in range(200)]
    rows = rows_of(intake(prompts(*texts)))
    for row in reversed(rows[::3]):
        place.success(row, saved(name=row.row_id))
    for batch in (7, 1000):
        found = lines(place, intake(prompts(*texts), batch=batch))
        assert [line["prompt"] for line in found] == texts
        assert [line["status"] == "succeeded" for line in found] == [i % 3 == 0 for i in range(200)]


def test_the_table_is_a_pure_function_of_manifest_and_ledger(place: LedgerFolder) -> None:
    source = intake(INVALID)
    place.success(rows_of(source)[0], saved(digest="0c"))
    written(place, source)
    first = (place.root / RESULTS_NAME).read_bytes()
    written(place, source)
    assert (place.root / RESULTS_NAME).read_bytes() == first


def test_the_ledger_knows_the_digest_of_the_table_before_anybody_can_see_it(place: LedgerFolder) -> None:
    source = intake(prompts("a"))
    assert place.ledger.newest_table() is None
    seen: list[bool] = []

    def record(statements: Sequence[Any]) -> None:
        seen.append((place.root / RESULTS_NAME).exists())
        place.ledger.record(statements)

    table = ResultsTable(source, place.ledger)
    table.write(place.folder, record)
    table.write(place.folder, record)
    digest = hashlib.sha256((place.root / RESULTS_NAME).read_bytes()).hexdigest()
    newest = place.ledger.newest_table()
    assert newest is not None
    assert newest[0] == digest
    assert seen == [False]


def test_a_table_that_cannot_be_finished_leaves_the_old_one(place: LedgerFolder) -> None:
    written(place, intake(prompts("a")))
    before = (place.root / RESULTS_NAME).read_bytes()
    wrong = pa.table({"number": pa.array([1], pa.int64())})
    source = intake(prompts("a", "b"), wrong)
    with pytest.raises((pa.ArrowException, IndexError)):
        written(place, source)
    assert (place.root / RESULTS_NAME).read_bytes() == before
    assert list((place.root / ".tmp").iterdir()) == []


def test_rows_with_one_image_are_told_as_their_attempts_tell_them(place: LedgerFolder) -> None:
    """What is laid out column by column is what the fold of each row's attempts gives, value by value."""
    source = intake(
        [
            {"id": "a", "prompt": "a fox"},
            {"id": "b", "prompt": "an owl", "quality": "low", "size": "64x48"},
            {"id": "c", "prompt": "a hare", "n": "2"},
            {"id": "d", "prompt": "a mole"},
            {"id": "e", "prompt": "an elk"},
            {"id": "f", "prompt": "a crow"},
        ]
    )
    a, b, c, d, e, f = rows = rows_of(source)
    told = Reported(1_700_000_000, "req", "task", 10, 20, 0.5)
    place.success(f, saved(name="f", digest="aa"))
    place.success(a, saved(name="a", digest="aa", flags=("size_mismatch",)), reported=told, cost_usd=0.5)
    place.success(
        b,
        saved(name="b", digest="bb", revised_prompt="an old owl"),
        flags=("extra_images",),
        cost_estimated=True,
    )
    place.success(c, saved(0, "c", digest="cc"), saved(1, "c", digest="dd"))
    place.failure(d, KIND.SERVER_ERROR, RowStatus.PENDING)
    place.success(d, saved(name="d", digest="ee"))
    place.failure(e, KIND.TIMEOUT, RowStatus.PARKED)
    connection = place.connection
    query = place.ledger.result_query()
    facts = Facts(False, "", query.duplicates())
    items = ItemIndex(connection).items(rows)
    found = SingleRows(query, facts.duplicates).find(np.array(items), named=True)
    assert found is not None
    offsets = [place for place in found.places.tolist() if rows[place].request.n == 1]
    assert [rows[i].row_id for i in offsets] == ["a", "b", "f"]
    table = found.table(row=[rows[i].position for i in offsets])
    attempts = AttemptReader(connection).of(items)
    expected = [row_values(rows[i], fold(attempts[items[i]], 1), facts)[0] for i in offsets]
    columns = [
        pa.array([values.get(field.name) for values in expected], field.type) for field in RESULTS_SCHEMA
    ]
    assert table.to_pylist() == pa.Table.from_arrays(columns, schema=RESULTS_SCHEMA).to_pylist()
    shown = [(row["row_id"], row["status"]) for row in lines(place, source)]
    assert shown == [
        *(("a", "succeeded"), ("b", "succeeded"), ("c", "succeeded"), ("c", "succeeded")),
        *(("d", "succeeded"), ("e", "parked"), ("f", "succeeded")),
    ]
