"""What a Python program passes as its rows, as one Arrow table: DataFrames, Arrow tables, lists of prompts or of dicts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from runner.manifest.arrow_text import as_type, plain_type
from runner.manifest.columns import assign_roles
from runner.manifest.formats.dataframe import LABEL, arrow_table
from runner.manifest.records import ManifestError
from runner.manifest.tables import unique_names

TAKEN = (
    "a path, a pattern, a URL or a job file; a DataFrame of pandas or polars; an Arrow table; "
    "a list of prompts, or of dicts with a row's columns"
)
PROMPT = "prompt"


def values_table(rows: object, *, prompt_col: str | None = None, id_col: str | None = None) -> pa.Table:
    """The rows as a table that can be written as Parquet. prompt_col, id_col: as for `open_manifest`.

    Raises ManifestError (exit 2) for what is none of `TAKEN`, and where there is no column of prompts.
    """
    pandas = sys.modules.get("pandas")  # who passes a DataFrame has imported it
    if pandas is not None and isinstance(rows, pandas.Series):
        rows = rows.rename(PROMPT).to_frame()
    if pandas is None or not isinstance(rows, pandas.DataFrame):
        found = _arrow_of(rows)
        if found is not None:
            roles = assign_roles(found.column_names, LABEL, prompt_col=prompt_col, id_col=id_col)
            return _with_whole_ids(found, roles.get("id"))
        rows = _frame_of(rows)
    return arrow_table(rows, prompt_col=prompt_col, id_col=id_col)


def _arrow_of(rows: Any) -> pa.Table | None:
    """A table that Arrow knows, or that a library gives to it (polars, DuckDB); None for anything else."""
    if type(rows).__module__.partition(".")[0] == "polars" and hasattr(rows, "collect"):
        rows = rows.collect()
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    if not isinstance(rows, pa.Table):
        if not hasattr(rows, "__arrow_c_stream__"):
            return None
        try:
            rows = pa.table(rows)
        except (pa.ArrowException, TypeError, ValueError):  # one column alone, for one
            return None
    names = unique_names(rows.column_names, LABEL)
    columns = [column.combine_chunks() for column in rows.columns]
    whole = [
        pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
        for column in columns
    ]
    return pa.table([as_type(column, plain_type(column.type)) for column in whole], names=list(names))


def _with_whole_ids(table: pa.Table, name: str | None) -> pa.Table:
    """The table with ids that are floats only because one is missing as the whole numbers that they were."""
    if name is None or not pa.types.is_floating(table.column(name).type):
        return table
    try:
        whole = table.column(name).cast(pa.int64())  # refuses what would change
    except pa.ArrowInvalid:
        return table
    return table.set_column(table.column_names.index(name), name, whole)


def _frame_of(rows: object) -> Any:
    """A DataFrame of columns by name, of rows as dicts, or of prompts. It holds the very values: no id becomes a float."""
    import pandas as pd

    if isinstance(rows, Mapping):
        columns = {str(name): _listed(values, f"column {name!r}") for name, values in rows.items()}
        if len(set(map(len, columns.values()))) > 1:
            raise ManifestError("the columns are not of the same length", fix=f"pass {TAKEN}")
    else:
        columns = _columns_of(_listed(rows, "it"))
    made = {name: pd.Series(values, dtype=object) for name, values in columns.items()}
    return pd.DataFrame(made, dtype=object)


def _listed(values: object, what: str) -> list[Any]:
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, Mapping)):
        raise ManifestError(f"{what} is {_kind(values)}, and no rows", fix=f"pass {TAKEN}")
    return list(values)


def _columns_of(items: list[Any]) -> dict[str, list[Any]]:
    """The columns of rows that are dicts or prompts, in order of appearance."""
    names: dict[str, None] = {} if any(isinstance(item, Mapping) for item in items) else {PROMPT: None}
    for number, item in enumerate(items):
        if isinstance(item, Mapping):
            names.update(dict.fromkeys(map(str, item)))
        elif item is not None and not isinstance(item, str):
            raise ManifestError(
                f"item {number} of the list is {_kind(item)}; each must be a prompt, or a dict with a row's columns",
                fix=f"pass {TAKEN}",
            )
    rows = [_row(item) for item in items]
    names.update(dict.fromkeys(name for row in rows for name in row if name not in names))
    return {name: [row.get(name) for row in rows] for name in names}


def _row(item: Any) -> dict[str, Any]:
    return {str(key): value for key, value in item.items()} if isinstance(item, Mapping) else {PROMPT: item}


def _kind(value: object) -> str:
    return "None" if value is None else f"of the type {type(value).__name__}"
