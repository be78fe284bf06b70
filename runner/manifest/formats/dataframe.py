"""A pandas DataFrame as a manifest. An index with a name is columns too; object columns may hold anything."""

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
from runner.manifest.columns import assign_roles
from runner.manifest.records import Locations, RecordTexts, Values
from runner.manifest.tables import BATCH_RECORDS, Block, Table, batch_sizes, unique_names

if TYPE_CHECKING:
    import pandas as pd

LABEL = "DataFrame"

_NESTED = (list, dict, tuple, set, frozenset, np.ndarray)


def dataframe_table(frame: pd.DataFrame) -> Table:
    """The frame's columns, by their names as text; missing values (None, NaN, NA, NaT) are null."""
    frame = _with_index(frame)
    names = unique_names(map(_utf8, map(str, frame.columns)), LABEL)
    columns = {name: frame.iloc[:, at] for at, name in enumerate(names)}
    types = cache(lambda: {name: _carried_type(series) for name, series in columns.items()})
    return Table(LABEL, names, types, partial(_blocks, columns, len(frame), types))


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the levels of its index that have a name as its first columns, unless a column has that name."""
    named = [
        (level, name)
        for level, name in enumerate(frame.index.names)
        if name is not None and name not in frame.columns
    ]
    if named:
        frame = frame.copy(deep=False)
        for at, (level, name) in enumerate(named):
            frame.insert(at, name, frame.index.get_level_values(level), allow_duplicates=True)
    return frame


def arrow_table(frame: pd.DataFrame, *, prompt_col: str | None = None, id_col: str | None = None) -> pa.Table:
    """The whole frame as Arrow: columns of one type keep it, mixed and nested ones are text (nested: JSON).

    prompt_col, id_col: as for `open_manifest`. Columns with a role are text, and what is none there is null.
    Raises ManifestError where there are no prompts.
    """
    frame = _with_index(frame)
    table = dataframe_table(frame)
    roles = assign_roles(table.names, LABEL, prompt_col=prompt_col, id_col=id_col)
    arrays = []
    for at, (name, kind) in enumerate(table.types().items()):
        series = frame.iloc[:, at]
        if name == roles.get("id"):
            series = _whole(series)
        arrays.append(string_array(_role_text(series)[0]) if name in roles.values() else _arrow(series, kind))
    return pa.table(arrays, names=list(table.names))


def _whole(series: pd.Series) -> pd.Series:
    """Ids that pandas has made floats, as for a missing one among whole numbers, as the whole numbers that they were."""
    values = _objects(series)
    there = [value for value in values if value is not None]
    if not there or not all(isinstance(value, float) and value.is_integer() for value in there):
        return series
    return series.astype(object).where(
        series.isna(), [None if value is None else int(value) for value in values]
    )


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
        locations = Locations("row %d", range(start, start + count))
        yield Block(locations, partial(_texts, columns, part, roles), partial(_column, columns, part, types))
        start += count


def _texts(columns: Mapping[str, pd.Series], part: slice, roles: Mapping[str, str]) -> RecordTexts:
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
    if any(isinstance(value, _NESTED) for value in values):
        return _nested_type(values)
    if len(set(map(type, values))) > 1:
        return pa.string()
    try:
        kind = plain_type(pa.infer_type(values))
        if not is_text(kind):
            for start in range(0, len(values), BATCH_RECORDS):
                pa.array(values[start : start + BATCH_RECORDS], type=kind)
    except (pa.ArrowException, OverflowError):  # 30 digits, for one
        return pa.string()
    return kind


def _nested_type(values: list[Any]) -> pa.DataType:
    """The type of lists or dicts that come back from Parquet as they are; text, for JSON, where there is none.

    That is so where they are of different shapes: dicts would get each other's keys.
    """
    plain = [_listed(value) for value in values]
    try:
        array = pa.array(plain)
    except (pa.ArrowException, OverflowError):
        return pa.string()
    kind = plain_type(array.type)
    return kind if _is_written(kind) and array.to_pylist() == plain else pa.string()


def _listed(value: Any) -> Any:
    """Tuples and arrays as lists, throughout."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_listed(item) for item in value]
    return {key: _listed(item) for key, item in value.items()} if isinstance(value, dict) else value


def _is_written(kind: pa.DataType) -> bool:
    """Whether Parquet holds the type: nothing in it is without a type or without fields."""
    if pa.types.is_null(kind):
        return False
    parts = [kind.field(at).type for at in range(kind.num_fields)]
    return bool(parts or not pa.types.is_nested(kind)) and all(map(_is_written, parts))


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
    return pa.array(list(map(_listed, values)), type=kind)


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
