"""Expressions of `retry --where`, held against a table of results: checked once, then answered batch by batch."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs import where
from jobs.where import AnyOf, Column, Compare, Holds, IsNull, Match, Not, OneOf, Tree, Truth
from schemas.errors import JobError

Mask = npt.NDArray[np.bool_]

_COMPARISONS = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_MATCHES = {
    "contains": pc.match_substring,
    "startswith": pc.starts_with,
    "endswith": pc.ends_with,
    "like": pc.match_like,
}
_FIX = "imagemill schema results tells the columns"


def listed(names: Iterable[str]) -> str:
    """Column names for a message."""
    return f"the columns are: {', '.join(names)}"


def unknown_column(name: str, names: list[str]) -> JobError:
    """There is no such column; the nearest one, and all there are."""
    near = get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return JobError(f"--where: no column {name!r}{hint}", fix=listed(names))


def parsed(text: str) -> Tree:
    """The tree of `--where`. Raises JobError."""
    try:
        return where.parse(text)
    except where.WhereError as error:
        raise JobError(
            f"--where {text[:200]!r}: {error}",
            fix="write it like: error_kind == 'moderation' and quality == 'high'",
        ) from None


def check(tree: Tree, schema: pa.Schema) -> None:
    """Raises JobError for columns that are not there and for values that their columns cannot equal."""
    for name in where.columns(tree):
        if name not in schema.names:
            raise unknown_column(name, list(schema.names))
    empty = schema.empty_table()
    mask(tree, empty)


def mask(tree: Tree, table: pa.Table) -> Mask:
    """For which of the table's rows the expression holds. Raises JobError for values that do not fit."""
    try:
        return np.asarray(_holds(tree, table), dtype=np.bool_)
    except (pa.ArrowException, OverflowError, TypeError) as error:
        raise JobError(f"--where cannot be answered: {error}", fix=_FIX) from None


def _holds(tree: Tree, table: pa.Table) -> Mask:
    match tree:
        case Not(part):
            return ~_holds(part, table)
        case where.All(parts):
            return reduce(np.logical_and, (_holds(part, table) for part in parts))
        case AnyOf(parts):
            return reduce(np.logical_or, (_holds(part, table) for part in parts))
        case IsNull(column):
            return _flags(pc.is_null(table.column(column.name)))
        case Truth(column):
            if not pa.types.is_boolean(_type(table, column)):
                raise _misfit(table, column, "is not true or false; compare it with a value")
            return _flags(table.column(column.name))
        case Holds(column, value):
            return _listed(table, column, value)
        case Match(function, column, text):
            if not _is_text(_type(table, column)):
                raise _misfit(table, column, f"holds no text, which {function} needs")
            return _flags(_MATCHES[function](table.column(column.name), text))
        case OneOf(column, values):
            none = np.zeros(table.num_rows, dtype=np.bool_)
            return reduce(np.logical_or, (_compared(table, column, "==", value) for value in values), none)
        case Compare(column, operator, other):
            return _compared(table, column, operator, other)


def _flags(values: Any) -> Mask:
    """Nulls are false."""
    found: Mask = np.asarray(pc.fill_null(values, False), dtype=np.bool_)
    return found


def _compared(table: pa.Table, column: Column, operator: str, other: Column | where.Value) -> Mask:
    left = table.column(column.name)
    if isinstance(other, Column):
        right = table.column(other.name)
        if _family(left.type) is None or _family(left.type) != _family(right.type):
            raise _misfit(table, column, f"is not of the type of column {other.name!r} ({right.type})")
    else:
        right = _scalar(table, column, other)
    if operator == "!=":
        return ~_flags(pc.equal(left, right))
    return _flags(_COMPARISONS[operator](left, right))


def _scalar(table: pa.Table, column: Column, value: where.Value) -> pa.Scalar:
    """The value as the column's type can be compared with."""
    family = _family(_type(table, column))
    if family == "time" and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise _misfit(table, column, f"is a time; write {value!r} like '2026-11-22T02:00:00'") from None
        return pa.scalar(moment if moment.tzinfo else moment.replace(tzinfo=UTC), pa.timestamp("us", "UTC"))
    kinds: dict[str | None, tuple[type, ...]] = {"text": (str,), "truth": (bool,), "number": (int, float)}
    fits = (
        family in kinds
        and isinstance(value, kinds[family])
        and (family == "truth") == isinstance(value, bool)
    )
    if not fits:
        words = {"text": "text in quotes", "truth": "True or False", "number": "a number", "time": "a time"}
        told = f"compare it with {words[family]}" if family in words else "only `is null` can be asked of it"
        raise _misfit(table, column, f"cannot equal {value!r}; {told}")
    return pa.scalar(value)


def _listed(table: pa.Table, column: Column, value: where.Value) -> Mask:
    kind = _type(table, column)
    if not pa.types.is_list(kind) and not pa.types.is_large_list(kind):
        raise _misfit(table, column, "holds no lists, in which a value could be")
    if _family(kind.value_type) != _family(pa.scalar(value).type):
        raise _misfit(table, column, f"holds nothing like {value!r}")
    found = np.zeros(table.num_rows, dtype=np.bool_)
    lists = table.column(column.name).combine_chunks()
    equal = _flags(pc.equal(pc.list_flatten(lists), pa.scalar(value)))
    found[np.asarray(pc.list_parent_indices(lists), dtype=np.int64)[equal]] = True
    return found


def _family(kind: pa.DataType) -> str | None:
    if _is_text(kind):
        return "text"
    if pa.types.is_boolean(kind):
        return "truth"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    return "time" if pa.types.is_timestamp(kind) and kind.tz is not None else None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _type(table: pa.Table, column: Column) -> pa.DataType:
    return table.column(column.name).type


def _misfit(table: pa.Table, column: Column, why: str) -> JobError:
    return JobError(f"--where: column {column.name!r} ({_type(table, column)}) {why}", fix=_FIX)
