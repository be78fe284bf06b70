"""Results as script files: a page opened from `file://` may not fetch, but it may load scripts.

A script calls `Mill.NAME(…)` with JSON values in plain ASCII, without `<`, `>` and `&`, so that it can stand inside a
page. A chunk holds the columns of some rows: `{"c": value}` where all are alike, `{"d": values, "i": places}` where few
differ, else the plain list.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from runner.process.redaction import REDACTOR

FIRST_ROWS, CHUNK_ROWS = 500, 5000
"""Rows of a folder's first chunk, which the first paint waits for, and of the later ones."""
MOST_VALUES = 60
"""A column with more different values than this is not offered as a filter."""
_SAFE_INTEGER = 2**53
_MARKUP = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def script(name: str, *values: Any) -> str:
    """The text of a script that hands the values to `Mill.NAME`."""
    return f"Mill.{name}({','.join(map(literal, values))});\n"


def literal(value: Any) -> str:
    """A value as JSON that is also safe inside HTML."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_MARKUP)


def cell(value: Any) -> Any:
    """A cell of an Arrow table as JSON knows it. Whole numbers that JavaScript would round become text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return REDACTOR.hide(value)
    if isinstance(value, int):
        return value if abs(value) < _SAFE_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return REDACTOR.hide(json.dumps(value, default=str, ensure_ascii=False))


def column_kind(kind: pa.DataType) -> str:
    """`number`, `time`, `list` or `text`."""
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_timestamp(kind):
        return "time"
    return "list" if pa.types.is_list(kind) and pa.types.is_string(kind.value_type) else "text"


def cells(column: pa.ChunkedArray) -> list[Any]:
    """The cells of a column. Times are Unix milliseconds; lists of texts are one text, divided by `, `."""
    kind = column_kind(column.type)
    if kind == "time":
        return list(column.cast(pa.timestamp("ms")).cast(pa.int64()).to_pylist())
    if kind == "list":
        return [None if not value else ", ".join(map(str, value)) for value in column.to_pylist()]
    return [cell(value) for value in column.to_pylist()]


def packed(values: Sequence[Any]) -> Any:
    """The shortest of a chunk's three forms of a column."""
    places: dict[Any, int] = {}
    most = len(values) // 3 + 1
    for value in values:
        places.setdefault((type(value), value), len(places))
        if len(places) > most:
            return list(values)
    different = [value for _, value in places]
    if len(different) == 1:
        return {"c": different[0]}
    return {"d": different, "i": [places[type(value), value] for value in values]}


class ValueCounts:
    """The different values of each column, for as long as they are few enough to filter by."""

    def __init__(self, names: Iterable[str]) -> None:
        self._values: dict[str, dict[Any, int] | None] = {name: {} for name in names}

    def add(self, name: str, values: Iterable[Any]) -> None:
        """Count one chunk's values."""
        counts = self._values[name]
        for value in values if counts is not None else ():
            assert counts is not None
            counts[value] = counts.get(value, 0) + 1
            if len(counts) > MOST_VALUES:
                self._values[name] = None
                return

    def few(self, name: str) -> bool:
        """Whether it has at least two and not too many."""
        counts = self._values[name]
        return counts is not None and len(counts) > 1
