"""A pandas DataFrame as a manifest. Its index is left out; object columns may hold anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from runner.manifest.arrow_text import (
    Problems,
    as_type,
    is_text,
    json_text,
    merged_roles,
    plain_type,
    string_array,
    text_values,
)
from runner.manifest.records import Places, Texts, Values
from runner.manifest.tables import BATCH_RECORDS, Block, Table, batch_sizes, unique_names

if TYPE_CHECKING:
    import pandas as pd

LABEL = "DataFrame"

_NESTED = (list, dict, tuple, set, frozenset, np.ndarray)


def dataframe_table(frame: pd.DataFrame) -> Table:
    """The frame's columns, by their names as text; missing values (None, NaN, NA, NaT) are null."""
    names = unique_names(map(_utf8, map(str, frame.columns)), LABEL)
    columns = {name: frame.iloc[:, at] for at, name in enumerate(names)}
    types = cache(lambda: {name: _carried_type(series) for name, series in columns.items()})
    return Table(LABEL, names, types, partial(_blocks, columns, len(frame), types))


def arrow_table(frame: pd.DataFrame) -> pa.Table:
    """The whole frame as Arrow: columns of one type keep it, mixed and nested ones are text (nested: JSON)."""
    table = dataframe_table(frame)
    kinds = table.types().values()
    arrays = [_arrow(frame.iloc[:, at], kind) for at, kind in enumerate(kinds)]
    return pa.table(arrays, names=list(table.names))


def _blocks(
    columns: Mapping[str, pd.Series],
    rows: int,
    types: Callable[[], Mapping[str, pa.DataType]],
    roles: Mapping[str, str],
) -> Iterator[Block]:
    start = 0
    sizes = batch_sizes()
    while start < rows:
        count = min(next(sizes), rows - start)
        part = slice(start, start + count)
        places = Places("row %d", range(start, start + count))
        yield Block(places, partial(_texts, columns, part, roles), partial(_column, columns, part, types))
        start += count


def _texts(columns: Mapping[str, pd.Series], part: slice, roles: Mapping[str, str]) -> Texts:
    return merged_roles({role: _role_text(columns[name].iloc[part]) for role, name in roles.items()}, roles)


def _column(
    columns: Mapping[str, pd.Series], part: slice, types: Callable[[], Mapping[str, pa.DataType]], name: str
) -> pa.Array | None:
    return _arrow(columns[name].iloc[part], types()[name]) if name in columns else None


def _carried_type(series: pd.Series) -> pa.DataType:
    """The column's own type; for objects the type that all of them have, and text where there is none."""
    own = _own_array(series.iloc[:0])
    if own is not None:
        return plain_type(own.type)
    values = [value for value in _objects(series) if value is not None]
    if len(set(map(type, values))) > 1 or isinstance(next(iter(values), None), _NESTED):
        return pa.string()
    try:
        kind = plain_type(pa.infer_type(values))
        if not is_text(kind):
            for start in range(0, len(values), BATCH_RECORDS):
                pa.array(values[start : start + BATCH_RECORDS], type=kind)
    except (pa.ArrowException, OverflowError):  # 30 digits, for one
        return pa.string()
    return kind


def _own_array(series: pd.Series) -> pa.Array | None:
    """The values in the type of the column; None where they have to be looked at one by one."""
    if series.dtype == object:
        return None
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, UnicodeEncodeError):  # complex, sparse; lone surrogates
        return None
    if isinstance(array.type, pa.BaseExtensionType):  # periods, intervals
        return None
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _objects(series: pd.Series) -> list[Any]:
    """The values as Python objects, missing ones as None."""
    missing = series.isna().tolist()
    values = series.to_numpy(dtype=object)
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]


def _arrow(series: pd.Series, kind: pa.DataType) -> pa.Array:
    own = _own_array(series)
    if own is not None:
        return as_type(own, kind)
    values = _objects(series)
    if is_text(kind):
        return string_array([None if value is None else _carried(value) for value in values]).cast(kind)
    return pa.array(values, type=kind)


def _role_text(series: pd.Series) -> tuple[Values, Problems]:
    own = _own_array(series)
    if own is not None:
        return text_values(own)
    values: Values = []
    problems: Problems = {}
    for offset, value in enumerate(_objects(series)):
        text, problem = (None, None) if value is None else _text(value)
        values.append(text)
        if problem is not None:
            problems[offset] = problem
    return values, problems


def _text(value: object) -> tuple[str | None, str | None]:
    """A value as text, or why it is none."""
    if isinstance(value, _NESTED):
        return None, f"holds a {type(value).__name__}, not text; write it as text"
    try:
        text = value.decode() if isinstance(value, bytes) else _plain(value)
        text.encode()
    except UnicodeDecodeError:
        return None, "holds bytes that are not UTF-8; write it as text"
    except UnicodeEncodeError:
        return None, "holds half a character (an unpaired surrogate); remove it"
    return text, None


def _carried(value: object) -> str:
    """A value as text for the results: nested values as JSON, what is not UTF-8 escaped."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return _utf8(json_text(value) if isinstance(value, _NESTED) else _plain(value))


def _utf8(text: str) -> str:
    """The text with lone surrogates escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, (bool, np.bool_)) else str(value)
