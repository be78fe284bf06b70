"""Evaluates a `--where` expression over results, batch by batch, with an in-memory SQLite behind its authorizer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from runner.results.expression import FUNCTIONS, HAS_ITEM, MAX_CHARS, Family, read

Mask = npt.NDArray[np.bool_]
_Cells = dict[str, list[Any]]

_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 1_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 10 * MAX_CHARS,
}
_OTHER_TEXTS = (None, "", "\U0010ffff is the kind of nothing")
"""Values that replace a column, to see whether a line is chosen because of it: null, and the first and last of all texts."""


class RowFilter:
    """Chooses the lines of a table for which an expression is true. It has SQL's three values: null is not true."""

    def __init__(self, text: str, schema: pa.Schema) -> None:
        """schema: of the batches to come. Raises JobError when `text` is no expression over these columns."""
        self._expression = read(text, {field.name: _family(field.type) for field in schema})
        self._affinities = [_affinity(schema.field(name).type) for name in self._expression.columns.values()]
        self.matches(schema.empty_table())

    def matches(self, batch: pa.RecordBatch | pa.Table) -> Mask:
        """Which lines are chosen. Raises JobError where a value cannot be worked with."""
        return self._chosen(self._cells(batch), batch.num_rows)

    def hinges_on(self, columns: Iterable[str], batch: pa.RecordBatch | pa.Table) -> Mask:
        """Which lines are chosen only because of the values of these text columns."""
        cells, rows = self._cells(batch), batch.num_rows
        chosen = self._chosen(cells, rows)
        for text in _OTHER_TEXTS:
            chosen &= ~self._chosen(cells | {name: [text] * rows for name in columns if name in cells}, rows)
        return chosen

    def _cells(self, batch: pa.RecordBatch | pa.Table) -> _Cells:
        try:
            return {name: _as_sqlite(batch.column(name)) for name in self._expression.columns.values()}
        except ValueError as error:
            raise self._expression.refusal(str(error)) from None

    def _chosen(self, cells: _Cells, rows: int) -> Mask:
        chosen = np.zeros(rows, dtype=np.bool_)
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            try:
                self._fill(connection, cells)
                connection.set_authorizer(authorizer())
                found = connection.execute(f"SELECT rowid FROM r WHERE (\n{self._expression.sql}\n)")
                chosen[[line - 1 for (line,) in found]] = True
            except (sqlite3.Error, ValueError) as error:
                raise self._expression.refusal(str(error)) from None
        return chosen

    def _fill(self, connection: sqlite3.Connection, cells: _Cells) -> None:
        """Create table r with only the columns that the expression reads."""
        for limit, value in _LIMITS.items():
            connection.setlimit(limit, value)
        for name, function in _OWN_FUNCTIONS.items():
            connection.create_function(name, 2, function, deterministic=True)
        connection.execute("PRAGMA case_sensitive_like=ON")
        columns = zip(self._expression.columns, self._affinities, strict=True)
        connection.execute(f"CREATE TABLE r ({', '.join(map(' '.join, columns))})")
        connection.execute("BEGIN")
        values = ",".join("?" * len(cells))
        connection.executemany(f"INSERT INTO r VALUES ({values})", zip(*cells.values(), strict=True))


def authorizer() -> Callable[..., int]:
    """Allows to read table r in one SELECT with the functions of expressions, and nothing else."""
    functions = frozenset((*FUNCTIONS, HAS_ITEM, "like"))
    selects = 0

    def allow(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        nonlocal selects
        selects += action == sqlite3.SQLITE_SELECT
        allowed = {
            sqlite3.SQLITE_SELECT: selects == 1,
            sqlite3.SQLITE_READ: first == "r",
            sqlite3.SQLITE_FUNCTION: second in functions,
        }
        return sqlite3.SQLITE_OK if allowed.get(action, False) else sqlite3.SQLITE_DENY

    return allow


def _text_test(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool | None]:
    return lambda text, part: None if text is None or part is None else test(str(text), str(part))


def _has_item(items: str | None, item: Any) -> bool | None:
    return None if items is None or item is None else item in json.loads(items)


_OWN_FUNCTIONS: dict[str, Callable[[Any, Any], bool | None]] = {
    "contains": _text_test(str.__contains__),
    "startswith": _text_test(str.startswith),
    "endswith": _text_test(str.endswith),
    HAS_ITEM: _has_item,
}


def _family(kind: pa.DataType) -> Family:
    types = pa.types
    if types.is_dictionary(kind):
        return _family(kind.value_type)
    if types.is_boolean(kind):
        return Family.TRUTH
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return Family.NUMBER
    if types.is_timestamp(kind):
        return Family.TIME
    return Family.LIST if types.is_list(kind) or types.is_large_list(kind) else Family.TEXT


def _affinity(kind: pa.DataType) -> str:
    return "NUMERIC" if _family(kind) in (Family.NUMBER, Family.TRUTH) else "TEXT"


def _as_sqlite(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Values as SQLite has them: times as ISO text in UTC to the microsecond, lists and structures as JSON, bytes as hex."""
    kind, types = column.type, pa.types
    if types.is_dictionary(kind):
        return _as_sqlite(column.cast(kind.value_type))
    if types.is_timestamp(kind):
        naive = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.timestamp("us"))
        column = pc.replace_substring(naive.cast(pa.string()), " ", "T", max_replacements=1)
    elif types.is_decimal(kind) or types.is_uint64(kind):
        column = column.cast(pa.string())
    values: list[Any] = column.to_pylist()
    is_plain = types.is_string(kind) or _family(kind) in (Family.NUMBER, Family.TRUTH, Family.TIME)
    return values if is_plain else [_shown(value) for value in values]


def _shown(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case bytes():
            return value.hex()
        case list() | dict():
            return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
