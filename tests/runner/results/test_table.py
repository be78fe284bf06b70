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
from runner.planning.row_stream import RowStream
from runner.results.columns import SingleRowReader
from runner.results.rows import Facts, row_values
from runner.results.table import ResultsTable
from schemas.counts import Counts
from schemas.failures import FailureKind, RowStatus
from schemas.outcome import MissingImage, Reported
from schemas.output_folder import RESULTS_NAME
from schemas.results import RESULTS_SCHEMA
from tests.support.ledgers import ENDPOINT, LedgerFolder, rows_of, saved
from tests.support.manifests import MALFORMED, Record, prompts, row_stream

KIND = FailureKind


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[LedgerFolder]:
    """A folder with a run going on."""
    with LedgerFolder(tmp_path) as folder:
        yield folder


def written(
    workspace: LedgerFolder, source: RowStream, *, live_run: int | None = None
) -> tuple[pa.Table, Counts]:
    """The table as it is on disk, and what it says it holds."""
    table = ResultsTable(source, workspace.ledger, live_run=live_run)
    counts = table.write(workspace.folder, workspace.ledger.record)
    assert table.count() == counts
    return pq.read_table(workspace.root / RESULTS_NAME), counts


def lines(workspace: LedgerFolder, source: RowStream, **more: Any) -> list[dict[str, Any]]:
    """The table's rows."""
    found: list[dict[str, Any]] = written(workspace, source, **more)[0].to_pylist()
    return found


def few(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    """Some columns of a row."""
    return tuple(row[name] for name in names)


def test_the_columns_are_the_schemas_and_in_its_order(workspace: LedgerFolder) -> None:
    table, _ = written(workspace, row_stream(prompts("a fox")))
    assert table.schema.equals(RESULTS_SCHEMA)


def test_an_empty_manifest_has_a_table_without_rows(workspace: LedgerFolder) -> None:
    table, counts = written(workspace, row_stream([], pa.table({"mood": pa.array([], pa.string())})))
    assert (table.num_rows, counts.rows, counts.images) == (0, 0, 0)
    assert table.schema.names == [*RESULTS_SCHEMA.names, "mood"]


def test_a_row_of_which_nothing_is_known_is_pending(workspace: LedgerFolder) -> None:
    (line,) = lines(workspace, row_stream(prompts("a fox")))
    assert few(line, "row_id", "row", "image_index", "status", "prompt") == ("r0", 0, 0, "pending", "a fox")
    assert few(line, "error_kind", "error_message") == ("stopped", "the run ended before this row's turn")
    assert few(line, "attempts", "maybe_billed", "cost_usd", "file_name", "flags") == (0, 0, None, None, [])
    assert few(line, "model", "endpoint", "started_at") == ("m", None, None)


def test_why_the_run_ended_is_told_beside_the_rows_it_did_not_reach(workspace: LedgerFolder) -> None:
    workspace.end_run(8, "--max-cost 5 reached")
    (line,) = lines(workspace, row_stream(prompts("a fox")))
    assert line["error_message"] == "the run ended before this row's turn (--max-cost 5 reached)"


def test_while_a_run_is_going_on_its_rows_are_pending_without_an_error(workspace: LedgerFolder) -> None:
    source = row_stream(prompts("a fox", "an owl"))
    workspace.intent(rows_of(source)[0])
    flying, waiting = lines(workspace, source, live_run=0)
    assert few(flying, "status", "error_kind", "attempts", "maybe_billed") == ("pending", None, 1, 0)
    assert few(waiting, "status", "error_kind", "attempts", "error_message") == ("pending", None, 0, None)


def test_an_attempt_of_a_dead_run_is_parked(workspace: LedgerFolder) -> None:
    source = row_stream(prompts("a fox"))
    workspace.intent(rows_of(source)[0])
    (line,) = lines(workspace, source)
    assert few(line, "status", "error_kind", "attempts", "maybe_billed") == ("parked", "interrupted", 1, 1)


def test_a_success_tells_everything_about_its_image(workspace: LedgerFolder) -> None:
    source = row_stream([{"id": "007", "prompt": "a fox\nin the rain", "size": "64x48", "quality": "low"}])
    reported = Reported(
        created=1_700_000_000, request_id="req_1", task_id="t1", input_tokens=11, output_tokens=22
    )
    image = saved(digest="ab", revised_prompt="A red fox", flags=("size_mismatch",))
    workspace.success(
        rows_of(source)[0],
        image,
        reported=reported,
        flags=("extra_images",),
        cost_usd=0.25,
        cost_estimated=True,
    )
    (line,) = lines(workspace, source)
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
    workspace: LedgerFolder, kind: FailureKind, status: RowStatus, maybe: int
) -> None:
    source = row_stream(prompts("a fox"))
    workspace.failure(rows_of(source)[0], kind, status, message="why", code="its_code", http_status=418)
    (line,) = lines(workspace, source)
    assert few(
        line, "status", "error_kind", "error_code", "error_message", "http_status", "maybe_billed"
    ) == (*(status.value, kind.value, "its_code", "why", 418, maybe),)
    assert few(line, "file_name", "sha256", "width") == (None, None, None)


def test_a_row_of_several_images_has_a_line_for_each_and_shares_its_cost(workspace: LedgerFolder) -> None:
    source = row_stream([{"id": "a", "prompt": "x", "n": "3"}])
    lost = MissingImage(1, KIND.DOWNLOAD, "HTTP 404", "revised all the same")
    workspace.success(rows_of(source)[0], saved(0, digest="01"), missing=[lost], cost_usd=0.75)
    found = lines(workspace, source)
    assert [few(line, "image_index", "status", "error_kind", "n", "cost_usd") for line in found] == [
        (0, "succeeded", None, 3, 0.25),
        (1, "failed", "download", 3, 0.25),
        (2, "failed", "bad_content", 3, 0.25),
    ]
    assert found[1]["revised_prompt"] == "revised all the same"


def test_a_row_that_is_sent_again_keeps_its_success_and_counts_its_attempts(workspace: LedgerFolder) -> None:
    source = row_stream(prompts("a fox"))
    (row,) = rows_of(source)
    workspace.failure(row, KIND.TIMEOUT, RowStatus.PENDING)
    workspace.success(row, saved(digest="0a"), cost_usd=0.5)
    workspace.failure(row, KIND.MODERATION, RowStatus.FAILED)
    (line,) = lines(workspace, source)
    assert few(line, "status", "error_kind", "attempts", "maybe_billed", "sha256") == (
        *("succeeded", None, 3, 2, "0a" * 32),
    )


def test_a_row_that_has_one_image_and_is_asked_for_two_now_has_a_line_for_each(
    workspace: LedgerFolder,
) -> None:
    """`n` of the job is no field of the row's own: the row stays the same one."""
    (row,) = rows_of(row_stream(prompts("a fox")))
    workspace.success(row, saved(digest="0a"))
    found = lines(workspace, row_stream(prompts("a fox"), request={"model": "m", "n": 2}))
    assert [few(line, "image_index", "sha256") for line in found] == [(0, "0a" * 32), (1, None)]


def test_equal_images_are_flagged(workspace: LedgerFolder) -> None:
    source = row_stream(prompts("a", "b", "c"))
    for row, digest in zip(rows_of(source), ("01", "01", "02"), strict=True):
        workspace.success(row, saved(name=row.row_id, digest=digest))
    assert [line["flags"] for line in lines(workspace, source)] == [
        ["duplicate_image"],
        ["duplicate_image"],
        [],
    ]


def test_equal_images_and_those_of_one_colour_are_counted_by_rows(workspace: LedgerFolder) -> None:
    """Of each row what stands: not what a retry replaced, nor what was pruned."""
    source = row_stream([*prompts(*"abcdefg"), {"prompt": "h", "n": "2"}])
    *rows, pair = rows_of(source)
    for row, digest in zip(rows, ("01", "01", "01", "02", "02", "03", "04"), strict=True):
        flags = ("size_mismatch", "blank_image") if digest == "01" else ()
        workspace.success(row, saved(name=row.row_id, digest=digest, flags=flags))
    workspace.success(pair, saved(digest="04"), saved(1, digest="04"))
    _, counts = written(workspace, source)
    assert [repeated.rows for repeated in counts.repeated] == [3, 2, 2]
    assert (counts.repeated[0].file_name, counts.blank) == (
        f"images/0000/{min(row.row_id for row in rows[:3])}-0.png",
        3,
    )
    workspace.success(rows[0], saved(name="again", digest="05"))
    workspace.connection.execute("INSERT INTO pruned VALUES (3, 0, 1)")
    _, counts = written(workspace, source)
    assert ([repeated.rows for repeated in counts.repeated], counts.blank) == ([2, 2], 2)


INVALID: Sequence[Record] = (
    {"id": "a", "prompt": "x"},
    {"id": "a", "prompt": "y"},
    {"id": "b", "prompt": ""},
    {"id": "c", "prompt": "z", "n": "99", "size": "auto"},
    {"prompt": None, "id": None, MALFORMED: "line 6: unclosed quote"},
)


def test_rows_that_cannot_be_sent_are_lines_that_say_why(workspace: LedgerFolder) -> None:
    found = lines(workspace, row_stream(INVALID))
    assert [few(line, "row", "status", "error_kind") for line in found] == [
        (0, "pending", "stopped"),
        *((row, "invalid", "invalid_row") for row in range(1, 5)),
    ]
    assert [line["error_message"].partition(":")[0] for line in found[1:]] == [
        f"line {n}" for n in (3, 4, 5, 6)
    ]
    assert few(found[3], "prompt", "n", "size", "model") == ("z", 99, "auto", None)
    assert few(found[4], "prompt", "error_message") == (None, "line 6: unclosed quote")


def test_a_number_that_no_column_can_hold_is_left_out_of_an_invalid_row(workspace: LedgerFolder) -> None:
    records = [
        {"id": str(i), "prompt": "x", "n": n} for i, n in enumerate(["many", "1e9", "-40000", "9" * 30])
    ]
    assert [line["n"] for line in lines(workspace, row_stream(records))] == [None] * 4


def test_half_characters_of_a_row_that_cannot_be_sent_are_shown_as_escapes(workspace: LedgerFolder) -> None:
    (line,) = lines(
        workspace, row_stream([{"id": "x\ud800", "prompt": "", MALFORMED: "half a character \udcff"}])
    )
    assert few(line, "row_id", "error_message") == ("x\\ud800", "half a character \\udcff")


def test_counts_are_of_lines(workspace: LedgerFolder) -> None:
    source = row_stream([*INVALID, {"id": "d", "prompt": "w", "n": "3"}])
    workspace.success(rows_of(source)[1], saved(0), saved(1))
    _, counts = written(workspace, source)
    assert (counts.rows, counts.images) == (6, 8)
    assert dict(counts.by_status) == {"pending": 1, "invalid": 4, "succeeded": 2, "failed": 1}
    assert dict(counts.by_error) == {"invalid_row": 4, "bad_content": 1}, "pending rows are no errors"
    assert counts.by_kind["pending", "stopped"] == 1
    assert counts.pending_rows == 1


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


def test_other_columns_keep_their_types_and_their_nulls(workspace: LedgerFolder) -> None:
    table, _ = written(workspace, row_stream(prompts("a", "b", "c"), TYPED))
    assert table.select(TYPED.column_names).schema.equals(TYPED.schema)
    got, expected = table.select(TYPED.column_names).to_pylist(), TYPED.to_pylist()
    assert repr(got) == repr(expected)


def test_other_columns_are_repeated_for_each_image_of_a_row(workspace: LedgerFolder) -> None:
    records = [{"id": "a", "prompt": "x", "n": "2"}, {"id": "b", "prompt": ""}, {"id": "c", "prompt": "y"}]
    table, _ = written(workspace, row_stream(records, TYPED))
    assert table.column("weight").to_pylist() == [1, 1, None, 3]


def test_other_columns_follow_their_rows_through_a_selection(workspace: LedgerFolder) -> None:
    records = prompts(*"abcdefghij")
    extras = pa.table({"number": list(range(10))})
    chosen = row_stream(records, extras, batch=3, input={"sample": 4, "seed": 5})
    found = lines(workspace, chosen)
    assert len(found) == 4
    assert all(line["row_id"] == f"r{line['number']}" and line["row"] == line["number"] for line in found)


def test_a_clash_with_a_column_of_ours_gets_a_prefix(workspace: LedgerFolder) -> None:
    extras = pa.table(
        {"status": ["mine"], "manifest_status": ["also mine"], "sha256": [7], "Status": ["other"]}
    )
    table, _ = written(workspace, row_stream(prompts("a"), extras))
    (line,) = table.to_pylist()
    names = ["manifest_status", "manifest_manifest_status", "manifest_sha256", "Status"]
    assert table.schema.names == [*RESULTS_SCHEMA.names, *names]
    assert few(line, "status", "sha256", *names) == ("pending", None, "mine", "also mine", 7, "other")


def test_every_row_is_there_in_manifest_order_however_it_is_cut(workspace: LedgerFolder) -> None:
    texts = [f"prompt {i}" for i in range(200)]
    rows = rows_of(row_stream(prompts(*texts)))
    for row in reversed(rows[::3]):
        workspace.success(row, saved(name=row.row_id))
    for batch in (7, 1000):
        found = lines(workspace, row_stream(prompts(*texts), batch=batch))
        assert [line["prompt"] for line in found] == texts
        assert [line["status"] == "succeeded" for line in found] == [i % 3 == 0 for i in range(200)]


def test_the_table_is_a_pure_function_of_manifest_and_ledger(workspace: LedgerFolder) -> None:
    source = row_stream(INVALID)
    workspace.success(rows_of(source)[0], saved(digest="0c"))
    written(workspace, source)
    first = (workspace.root / RESULTS_NAME).read_bytes()
    written(workspace, source)
    assert (workspace.root / RESULTS_NAME).read_bytes() == first


def test_the_ledger_knows_the_digest_of_the_table_before_anybody_can_see_it(workspace: LedgerFolder) -> None:
    source = row_stream(prompts("a"))
    assert workspace.ledger.newest_table() is None
    seen: list[bool] = []

    def record(statements: Sequence[Any]) -> None:
        seen.append((workspace.root / RESULTS_NAME).exists())
        workspace.ledger.record(statements)

    table = ResultsTable(source, workspace.ledger)
    table.write(workspace.folder, record)
    table.write(workspace.folder, record)
    digest = hashlib.sha256((workspace.root / RESULTS_NAME).read_bytes()).hexdigest()
    newest = workspace.ledger.newest_table()
    assert newest is not None
    assert newest[0] == digest
    assert seen == [False]


def test_a_table_that_cannot_be_finished_leaves_the_old_one(workspace: LedgerFolder) -> None:
    written(workspace, row_stream(prompts("a")))
    before = (workspace.root / RESULTS_NAME).read_bytes()
    wrong = pa.table({"number": pa.array([1], pa.int64())})
    source = row_stream(prompts("a", "b"), wrong)
    with pytest.raises((pa.ArrowException, IndexError)):
        written(workspace, source)
    assert (workspace.root / RESULTS_NAME).read_bytes() == before
    assert list((workspace.root / ".tmp").iterdir()) == []


def test_rows_with_one_image_are_told_as_their_attempts_tell_them(workspace: LedgerFolder) -> None:
    """What is laid out column by column is what the fold of each row's attempts gives, value by value."""
    source = row_stream(
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
    workspace.success(f, saved(name="f", digest="aa"))
    workspace.success(a, saved(name="a", digest="aa", flags=("size_mismatch",)), reported=told, cost_usd=0.5)
    workspace.success(
        b,
        saved(name="b", digest="bb", revised_prompt="an old owl"),
        flags=("extra_images",),
        cost_estimated=True,
    )
    workspace.success(c, saved(0, "c", digest="cc"), saved(1, "c", digest="dd"))
    workspace.failure(d, KIND.SERVER_ERROR, RowStatus.PENDING)
    workspace.success(d, saved(name="d", digest="ee"))
    workspace.failure(e, KIND.TIMEOUT, RowStatus.PARKED)
    connection = workspace.connection
    query = workspace.ledger.result_query()
    facts = Facts(False, "", query.duplicates())
    items = ItemIndex(connection).items(rows)
    found = SingleRowReader(query, facts.duplicates).find(np.array(items), named=True)
    assert found is not None
    offsets = [workspace for workspace in found.indexes.tolist() if rows[workspace].request.n == 1]
    assert [rows[i].row_id for i in offsets] == ["a", "b", "f"]
    table = found.table(row=[rows[i].position for i in offsets])
    attempts = AttemptReader(connection).attempts_of(items)
    expected = [row_values(rows[i], fold(attempts[items[i]], 1), facts)[0] for i in offsets]
    columns = [
        pa.array([values.get(field.name) for values in expected], field.type) for field in RESULTS_SCHEMA
    ]
    assert table.to_pylist() == pa.Table.from_arrays(columns, schema=RESULTS_SCHEMA).to_pylist()
    shown = [(row["row_id"], row["status"]) for row in lines(workspace, source)]
    assert shown == [
        *(("a", "succeeded"), ("b", "succeeded"), ("c", "succeeded"), ("c", "succeeded")),
        *(("d", "succeeded"), ("e", "parked"), ("f", "succeeded")),
    ]
