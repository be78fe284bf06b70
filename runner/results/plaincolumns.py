"""Plain rows of the ledger as Arrow columns, put together by SQLite: no Python object is made for a value.

A column of many rows comes out of `group_concat` as one string, cut here into values; SQLite works meanwhile without the
interpreter's lock. Two bytes that no UTF-8 text holds stand for the end of a value and for null. A column whose values are
all the same is compared, not read. A float comes as a whole number, its product with a power of two, because SQLite's text
of one need not be exact; it says itself for which that product is not either, and then they are read one by one.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from runner.results.plainquery import (
    COLUMNS,
    END,
    FROM,
    INEXACT,
    LIST,
    NULL,
    OF_ATTEMPTS,
    ONE_BY_ONE,
    RANGE,
    SENT,
    SENT_AGAIN,
    Column,
    Kind,
    aggregate,
)

Numbers = npt.NDArray[np.int64]

_DENSE = 4
"""A range is read whole when it holds at most so many items for each one that is wanted."""
_NEEDED = {"item", "ahead", "params"}
"""Columns that are cut when they are read: how to go on hangs on them."""
_DIGEST_BYTES = 32
_USUAL_SCALE = 2.0**53
"""Exact for seconds from a half to a thousand, which no whole number of 64 bits holds with a larger one."""
_SCALED_BITS, _LARGEST_SCALE = 62, 1000
"""The largest float of a block becomes a number of so many bits; no power of two is larger than this one."""


@dataclass(frozen=True, slots=True)
class _Joined:
    """The values of a column as SQLite put them together, of so many rows. scale: what floats were multiplied with."""

    text: bytes
    count: int
    column: Column
    scale: float

    def cut(self) -> pa.Array:
        """The values. Raises sqlite3.DatabaseError where they are not so many, or no texts."""
        if self.column.kind is Kind.DIGEST:
            return _in_hex(self.text, self.count)
        values = _texts(self.text, self.count, nullable=self.column.nullable)
        if self.column.kind is Kind.TEXT:
            return values
        numbers = values.cast(pa.int64())
        if self.column.kind is Kind.INTEGER:
            return numbers
        return pc.divide(numbers.cast(pa.float64(), safe=False), self.scale)


@dataclass(frozen=True, slots=True)
class Plain:
    """Plain rows, by ascending item number. params: what was asked for with them, each number once or more.

    size: bytes of text, about.
    """

    items: Numbers
    params: Sequence[int]
    size: int
    _told: dict[str, Any]
    _order: pa.Array | None = None

    def columns(self) -> dict[str, Any]:
        """An array of all rows by a column's name, or the one value that each of them has.

        Asks nothing of the ledger. Raises sqlite3.DatabaseError where it held no texts.
        """
        columns = {}
        for name, told in self._told.items():
            values = told.cut() if isinstance(told, _Joined) else told
            ordered = self._order is None or not isinstance(values, pa.Array)
            columns[name] = values if ordered else values.take(self._order)
        return columns


class PlainReader:
    """Reads them from one ledger. Learns from what it reads which columns vary, and how large the floats are."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._varying = {name for name, column in COLUMNS.items() if column.differs}
        self._scales = {name: _USUAL_SCALE for name, column in COLUMNS.items() if column.kind is Kind.REAL}

    def read(self, items: Numbers, *, named: bool) -> Plain | None:
        """The plain ones among these items, and maybe some others; None where there are none.

        named: with `row_id` and `prompt`. Raises sqlite3.DatabaseError for a damaged ledger.
        """
        if not len(items):
            return None
        try:
            return self._read(items, COLUMNS if named else OF_ATTEMPTS)
        except sqlite3.DataError:  # more text than SQLite puts into one value
            if len(items) == 1:
                raise
        ordered, half = np.sort(items), len(items) // 2
        parts = [self.read(part, named=named) for part in (ordered[:half], ordered[half:])]
        return _together([part for part in parts if part is not None])

    def _read(self, items: Numbers, columns: Mapping[str, Column]) -> Plain | None:
        low, high = int(items.min()), int(items.max())
        dense = high - low < _DENSE * len(items)
        joined = "JOIN items t ON t.item = a.item " if "prompt" in columns else ""
        which = RANGE if dense else LIST
        source = FROM.format(which=which, items=joined)
        values: dict[str, Any] = {
            "low": low,
            "high": high,
            "list": None if dense else json.dumps(items.tolist()),
        }
        every = ", ".join(column.sql for column in columns.values())
        first = self._connection.execute(f"SELECT {every} {source} LIMIT 1", values).fetchone()
        if first is None:
            return None
        values |= zip(columns, first, strict=True)
        while True:
            varying = [name for name in columns if name in self._varying]
            alike = [name for name in columns if name not in self._varying]
            values |= {f"{name}_scale": scale for name, scale in self._scales.items()}
            same = " AND ".join(f"{columns[name].sql} IS :{name}" for name in alike) or "1"
            read = ", ".join(aggregate(name, columns[name]) for name in varying)
            sql = f"SELECT {SENT.format(which=which)}, count(*), sum({same}), {read} {source}"
            sent, count, agreeing, *found = self._connection.execute(sql, values).fetchone()
            if not count:
                return None
            if agreeing == count:
                break
            differing = ", ".join(f"sum({columns[name].sql} IS NOT :{name})" for name in alike)
            many = self._connection.execute(f"SELECT {differing} {source}", values).fetchone()
            self._varying |= {name for name, differ in zip(alike, many, strict=True) if differ}
        told = {name: values[name] for name in alike}
        told |= self._joined(dict(zip(varying, found, strict=True)), count)
        told["attempt"] = pc.add(told["item"], told.pop("ahead"))
        for name in self._scales:
            if isinstance(told.get(name), _Joined) and INEXACT in told[name].text:
                told[name] = self._one_by_one(name, told["attempt"])
        again: list[tuple[int]] = []
        if sent > count or not _ascends(told["item"].to_numpy()):
            again = self._connection.execute(SENT_AGAIN.format(which=which), values).fetchall()
        return _ordered(told, [item for (item,) in again])

    def _joined(self, found: Mapping[str, bytes | None], count: int) -> dict[str, Any]:
        """The columns of so many rows; those that are needed now are cut."""
        told: dict[str, Any] = {}
        for name, text in found.items():
            joined = _Joined(text or b"", count, COLUMNS[name], self._scales.get(name, 1.0))
            told[name] = joined.cut() if name in _NEEDED else joined
        return told

    def _one_by_one(self, name: str, attempts: pa.Array) -> pa.Array:
        """The floats of these attempts; the next ones are scaled by what these are like."""
        sql = ONE_BY_ONE.format(sql=COLUMNS[name].sql)
        found = self._connection.execute(sql, (json.dumps(attempts.to_pylist()),)).fetchall()
        values = pa.array([value for (value,) in found], pa.float64())
        _, bits = math.frexp(pc.max(pc.abs(values)).as_py())
        self._scales[name] = 2.0 ** min(_SCALED_BITS - bits, _LARGEST_SCALE)
        return values


class UnreadableError(sqlite3.DatabaseError):
    """What the ledger holds is not what imagemill writes."""


def _texts(joined: bytes, count: int, *, nullable: bool) -> pa.Array:
    """Texts, some of them null. Raises sqlite3.DatabaseError where they are not so many, or no texts."""
    ends = pa.py_buffer(np.array([0, len(joined)], dtype=np.int32))
    whole = pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(joined)])
    values = pc.split_pattern(whole, END).values
    if len(values) != count:
        raise UnreadableError(f"{count} values expected, {len(values)} found")
    if nullable and NULL in joined:
        values = pc.if_else(pc.equal(values, NULL), None, values)
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise UnreadableError(f"a text is none: {error}") from error


def _in_hex(digests: bytes, count: int) -> pa.Array:
    """Digests as text."""
    if len(digests) != count * _DIGEST_BYTES:
        raise UnreadableError(f"{count} digests expected, {len(digests)} bytes found")
    ends = np.arange(count + 1, dtype=np.int32) * (2 * _DIGEST_BYTES)
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(digests.hex().encode()))


def _ascends(numbers: Numbers) -> bool:
    return bool((numbers[1:] > numbers[:-1]).all())


def _ordered(told: dict[str, Any], sent_again: Sequence[int]) -> Plain | None:
    """By item, without those that were sent more than once."""
    items = told["item"].to_numpy()
    order = None if _ascends(items) else np.argsort(items, kind="stable")
    if sent_again:
        order = np.arange(len(items)) if order is None else order
        order = order[~np.isin(items[order], sent_again)]
        if not len(order):
            return None
    size = sum(len(joined.text) for joined in told.values() if isinstance(joined, _Joined))
    params = told["params"]
    numbers = params.unique().to_pylist() if isinstance(params, pa.Array) else [params]
    if order is None:
        return Plain(items, numbers, size, told)
    return Plain(items[order], numbers, size, told, pa.array(order))


def _together(parts: Sequence[Plain]) -> Plain | None:
    """Parts in order of their items, as one."""
    if not parts:
        return None
    columns = [part.columns() for part in parts]
    told = {}
    for name in columns[0]:
        each = [of_part[name] for of_part in columns]
        if not any(isinstance(values, pa.Array) for values in each) and len(set(each)) == 1:
            told[name] = each[0]
            continue
        lists = [
            values.to_pylist() if isinstance(values, pa.Array) else [values] * len(part.items)
            for part, values in zip(parts, each, strict=True)
        ]
        told[name] = pa.array([value for values in lists for value in values])
    numbers = sorted({number for part in parts for number in part.params})
    items = np.concatenate([part.items for part in parts])
    return Plain(items, numbers, sum(part.size for part in parts), told)
