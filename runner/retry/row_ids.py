"""The files of row ids that `--rows` names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from schemas.errors import JobError

_ID_COLUMNS = ("row_id", "id")


def row_ids(path: Path) -> frozenset[str]:
    """The row ids in a file: one a line, or the column `row_id` or `id` of a CSV or Parquet file. Raises JobError."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            found = _parquet_ids(path)
        elif path.suffix.lower() in (".csv", ".tsv"):
            found = _csv_ids(path)
        else:
            lines = path.read_text("utf-8-sig").splitlines()
            found = [line.strip() for line in lines]
    except OSError as error:
        raise JobError(
            f"--rows {path}: cannot be read: {error.strerror or error}", fix="name a file of row ids"
        ) from None
    except ValueError as error:
        raise JobError(f"--rows {path}: {error}", fix="one row id a line, in UTF-8") from None
    ids = frozenset(filter(None, found))
    if not ids:
        raise JobError(f"--rows {path}: no row id in it", fix="one row id a line")
    return ids


def _csv_ids(path: Path) -> list[str]:
    import csv

    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        name = _id_column(reader.fieldnames or ())
        return [row[name] or "" for row in reader]


def _parquet_ids(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            name = _id_column(file.schema_arrow.names)
            values = file.read([name]).column(0).to_pylist()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None
    return ["" if value is None else str(value) for value in values]


def _id_column(names: Iterable[str]) -> str:
    there = list(names)
    found = next((name for name in _ID_COLUMNS if name in there), None)
    if found is None:
        raise ValueError(f"has no column row_id or id, but {', '.join(there)}")
    return found
