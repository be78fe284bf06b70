"""Which lines of a table an expression chooses, what SQLite is kept from, and which lines hinge on a column."""

from __future__ import annotations

import datetime
import decimal
import sqlite3
from contextlib import closing, suppress

import pyarrow as pa
import pytest
from hypothesis import given

from runner.results.filter import RowFilter, authorizer
from schemas.errors import JobError
from tests.support.expressions import ANY_WORDS

UTC_MS = pa.timestamp("ms", "UTC")
TABLE = pa.table(
    {
        "size": ["x", "y", None],
        "other": ["y", "y", None],
        "seed": ["7", "10", None],
        "width": pa.array([2, 9, None], pa.int32()),
        "ok": [True, None, False],
        "flags": [["odd"], [], ["a", "odd"]],
        "ids": [[1], None, [2, 3]],
        "at": pa.array([0, 1_795_312_800_000, None], UTC_MS),
        "status": ["parked", "failed", "parked"],
        "error_kind": ["timeout", "moderation", "gateway"],
    }
)


def chosen(text: str, table: pa.Table = TABLE) -> list[int]:
    """The lines of the table for which it holds; the same whether it comes whole, in chunks or as record batches."""
    row_filter = RowFilter(text, table.schema)
    lines: list[int] = row_filter.matches(table).nonzero()[0].tolist()
    halves = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert row_filter.matches(halves).nonzero()[0].tolist() == lines
    assert row_filter.matches(table.combine_chunks().to_batches()[0]).nonzero()[0].tolist() == lines
    return lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("size == 'x'", [0]),
        ("size = 'x'", [0]),
        ("size != 'x'", [1]),
        ("size is not 'x'", [1, 2]),
        ("not (size == 'x')", [1]),
        ("size not in ('x', 'z')", [1]),
        ("size is null", [2]),
        ("size is not null and width is not null", [0, 1]),
        ("width > 3 or ok", [0, 1]),
        ("not ok", [2]),
        ("ok == false", [2]),
        ("width == 2.5", []),
        ("width > 99999999999999999999999", []),
        ("width in (2, 9)", [0, 1]),
        ("width in ()", []),
        ("width / 2 > 3", [1]),
        ("max(width, 3) == 3", [0]),
        ("contains(flags, 'odd')", [0, 2]),
        ("not contains(flags, 'odd')", [1]),
        ("contains(flags, 'od')", []),
        ("contains(ids, 3)", [2]),
        ("json_array_length(flags) > 1", [2]),
        ("at >= '2026-11-22T00:00:00' and at < '2026-11-23'", [1]),
        ("at == '2026-11-22T11:00:00+09:00'", [1]),
        ("at like '1970%'", [0]),
        ("size like '_' and width < 9", [0]),
        ("size like 'X'", []),
        ("contains(size, 'x') or endswith(size, 'y')", [0, 1]),
        ("startswith(size, 'xx')", []),
        ("not contains(size, 'z')", [0, 1]),
        ("size == other", [1]),
        ("seed in (7, 8)", [0]),
        ("cast(seed as integer) > 8", [1]),
        ("lower('X') == size", [0]),
        ("iif(ok, size, other) == 'x'", [0]),
    ],
)
def test_an_expression_chooses_the_lines_for_which_it_is_true(text: str, lines: list[int]) -> None:
    """A comparison with null is null, which is not true, nor is its opposite."""
    assert chosen(text) == lines


@pytest.mark.parametrize(
    ("values", "text", "lines"),
    [
        (pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("10.25")]), "c > 2", [2]),
        (pa.array([2**64 - 1, 1, None], pa.uint64()), "c > 5", [0]),
        (pa.array([1.5, None, float("nan")], pa.float16()), "c == 1.5", [0]),
        (pa.array([1.5, None, float("nan")]), "c is null", [1, 2]),
        (pa.array([float("inf"), float("-inf"), 0.0]), "c > 1e300", [0]),
        (pa.array([{"a": 1}, None, {"a": 2}]), "json_extract(c, '$.a') == 2", [2]),
        (pa.array([{"a": "ü"}, None, None]), 'c == \'{"a": "ü"}\'', [0]),
        (pa.array([b"\x01\xff", None, b""]), "c == '01ff'", [0]),
        (pa.array([datetime.date(2026, 1, 2), None, datetime.date(2027, 1, 1)]), "c > '2026-06-01'", [2]),
        (pa.array(["p", "q", None]).dictionary_encode(), "c == 'q'", [1]),
        (pa.array([decimal.Decimal("1.5"), None, decimal.Decimal("9.0")]).dictionary_encode(), "c > 2", [2]),
        (pa.array(["p", "q", None], pa.large_string()), "c == 'q'", [1]),
        (pa.array([["odd"], ["od"], None], pa.large_list(pa.string())), "contains(c, 'od')", [1]),
        (pa.array([0, 1_500, None], pa.timestamp("ns")), "c == '1970-01-01T00:00:00.000001'", [1]),
        (pa.array([0, 90, None], pa.timestamp("s", "Asia/Tokyo")), "c > '1970-01-01T00:01:00Z'", [1]),
        (pa.array(["a\0b", "a", "é"]), "c == 'a'", [1]),
        (pa.array(["a\0b", "a", "é"]), "contains(c, 'b')", [0]),
        (pa.nulls(3), "c is null", [0, 1, 2]),
    ],
)
def test_columns_of_every_type_can_be_asked_for(values: pa.Array, text: str, lines: list[int]) -> None:
    assert chosen(text, pa.table({"c": values})) == lines


def test_names_that_differ_in_case_are_two_columns() -> None:
    table = pa.table({"Mood": ["a", "b"], "mood": ["b", "a"], "rowid": ["a", "a"], "c0": ["b", "b"]})
    assert [chosen(f"{name} == 'a'", table) for name in ("Mood", "mood", "rowid", "c0")] == [
        [0],
        [1],
        [0, 1],
        [],
    ]


@pytest.mark.parametrize(
    ("text", "told", "fix"),
    [
        ("size size", 'near "size": syntax error', "write it like"),
        ("size == ", "something is missing at the end", "write it like"),
        ("size == 'x', ok", "row value misused", "write it like"),
        ("nope(size)", "no such function: nope", "the functions are: abs, coalesce, contains"),
        ("contains(flags)", "wrong number of arguments to function contains()", "the functions are"),
        ("max(width) > 1", "misuse of aggregate function max()", "the functions are"),
        ("size == printf('%*d', 1000000000, 1)", "not authorized to use function: printf", "the functions"),
        ("size == hex(randomblob(1000000000))", "not authorized to use function", "the functions are"),
        ("load_extension('x') == size", "not authorized to use function: load_extension", "the functions"),
        ("writefile('x', size) == 1", "no such function: writefile", "the functions are"),
        ("sum(width) over () > 1", "not authorized to use function: sum", "the functions are"),
        (" or ".join(["ok"] * 1_500), "Expression tree is too large (maximum depth", "write it like"),
    ],
)
def test_what_sqlite_refuses_is_told_with_the_users_names(text: str, told: str, fix: str) -> None:
    with pytest.raises(JobError) as refused:
        RowFilter(text, TABLE.schema)
    assert told in refused.value.message
    assert refused.value.fix.startswith(fix)


@pytest.mark.parametrize("text", ["json_extract(size, '$.a') == 1", f"size like '{'%a' * 600}'"])
def test_a_value_that_sqlite_cannot_work_with_is_told(text: str) -> None:
    row_filter = RowFilter(text, TABLE.schema)
    with pytest.raises(JobError, match=r"malformed JSON|pattern too complex"):
        row_filter.matches(TABLE)


def test_a_pattern_that_backtracks_is_answered_at_once() -> None:
    """SQLite gives up a `%` for good once the next one has been reached: 12 of them over 30,000 characters."""
    table = pa.table({"c": ["a" * 30_000]})
    assert RowFilter(f"c like '{'%a' * 12}%b'", table.schema).matches(table).tolist() == [False]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT c FROM r WHERE (c IN (SELECT 1))",
        "SELECT c FROM r WHERE (1) UNION SELECT c FROM r",
        "SELECT c FROM r WHERE (c == (SELECT sql FROM sqlite_master))",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "SELECT c FROM r WHERE (c == randomblob(9))",
        "SELECT c FROM other",
        "PRAGMA writable_schema=ON",
        "ATTACH 'x' AS y",
        "DROP TABLE r",
        "DELETE FROM r",
        "CREATE TABLE s (c)",
    ],
)
def test_the_authorizer_alone_keeps_sqlite_to_reading_one_table(sql: str) -> None:
    """A second wall: no expression can say this, because words and signs of it do not pass the first."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("CREATE TABLE r (c); CREATE TABLE other (c)")
        connection.set_authorizer(authorizer())
        with pytest.raises(sqlite3.DatabaseError, match=r"not authorized|prohibited"):
            connection.execute(sql).fetchall()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("error_kind == 'timeout'", [0]),
        ("error_kind in ('timeout', 'moderation') and width > 0", [0, 1]),
        ("status == 'parked'", [0, 2]),
        ("status = 'parked' and ok", [0]),
        ("status == 'parked' or size == 'y'", [0, 2]),
        ("status == 'parked' or size == 'x'", [2]),
        ("error_kind like 'time%'", [0]),
        ("lower(status) == 'parked'", [0, 2]),
        ("size == 'x'", []),
        ("not (error_kind == 'timeout')", []),
        ("error_kind != 'moderation'", []),
        ("error_kind not in ('moderation')", []),
        ("error_kind is not null", []),
        ("status != 'succeeded'", []),
        ("status is not null and error_kind is not 'bad'", []),
        ("error_kind > 'a'", []),
        ("error_kind < 'z'", []),
        ("error_kind like '%'", []),
        ("length(error_kind) > 3", []),
        ("coalesce(error_kind, 'timeout') == 'timeout'", []),
        ("contains(error_kind, '')", []),
    ],
)
def test_a_line_hinges_on_columns_that_are_asked_for_outright(text: str, lines: list[int]) -> None:
    """So parked rows are named: an expression that holds for other states and errors too names none."""
    row_filter = RowFilter(text, TABLE.schema)
    assert row_filter.hinges_on(("status", "error_kind"), TABLE).nonzero()[0].tolist() == lines


def test_a_state_does_not_hinge_on_the_error() -> None:
    row_filter = RowFilter("status == 'parked' and error_kind == 'gateway'", TABLE.schema)
    assert row_filter.hinges_on(("error_kind",), TABLE).tolist() == [False, False, True]
    assert not RowFilter("status == 'parked'", TABLE.schema).hinges_on(("error_kind",), TABLE).any()


@given(ANY_WORDS)
def test_any_words_choose_lines_or_are_refused(text: str) -> None:
    table = TABLE.append_column("mood", pa.array(["x", None, "y"]))
    with suppress(JobError):
        assert len(RowFilter(text, table.schema).matches(table)) == 3
