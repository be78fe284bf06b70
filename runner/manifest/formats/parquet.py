"""Parquet: what is asked for is read, columns of roles apart from the others."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import accumulate

import pyarrow as pa
import pyarrow.parquet as pq

from runner.manifest.arrow_text import merged_roles, plain_type, text_values
from runner.manifest.records import Locations, ManifestError, RecordTexts
from runner.manifest.sources import SourceFile, reading
from runner.manifest.tables import BATCH_RECORDS, Block, Table, batch_sizes, unique_names

BUFFER_BYTES = 1024 * 1024
"""How much of a column chunk is read at once; without it whole column chunks would be in memory."""

MAX_BATCH_BYTES = 16 * 1024 * 1024
"""So few rows are read at once that all of their columns, in the mean of the file, take no more."""

_SAMPLED_GROUPS = 32


def open_parquet(source: SourceFile) -> Table:
    """A Parquet file by its footer. Columns keep their types; dictionaries are decoded."""
    with reading(source.name), closing(_open(source)) as file:
        schema = file.schema_arrow
        names = unique_names(schema.names, source.name)
        types = {name: plain_type(field.type) for name, field in zip(names, schema, strict=True)}
    fields = {name: _occurrence(schema, index) for index, name in enumerate(names)}
    return Table(source.name, names, types.copy, partial(_blocks, source, fields))


def _open(source: SourceFile) -> pq.ParquetFile:
    return pq.ParquetFile(
        source.seekable(), pre_buffer=False, buffer_size=BUFFER_BYTES, page_checksum_verification=True
    )


def _occurrence(schema: pa.Schema, index: int) -> tuple[str, int]:
    """A column's name in the file, and which of the columns of that name it is, from 0."""
    name = schema.names[index]
    return name, schema.names[:index].count(name)


def _blocks(
    source: SourceFile, fields: Mapping[str, tuple[str, int]], columns: Mapping[str, str]
) -> Iterator[Block]:
    others = {name: field for name, field in fields.items() if name not in columns.values()}
    with (
        reading(source.name),
        closing(_Rows(source, {role: fields[name] for role, name in columns.items()})) as role_rows,
        closing(_Rows(source, others)) as other_rows,
    ):
        start, total = 0, role_rows.begin(0)
        sizes = batch_sizes()
        while start < total:
            count = min(next(sizes), total - start)
            texts = partial(_texts, role_rows, columns, start, count)
            extra = partial(_other_column, other_rows, others, start, count)
            yield Block(Locations("row %d", range(start, start + count)), texts, extra)
            start += count


def _texts(rows: _Rows, columns: Mapping[str, str], start: int, count: int) -> RecordTexts:
    return merged_roles({role: text_values(rows.column(role, start, count)) for role in columns}, columns)


def _other_column(
    rows: _Rows, others: Mapping[str, object], start: int, count: int, name: str
) -> pa.Array | None:
    return rows.column(name, start, count) if name in others else None


class _Rows:
    """Some columns of a file by ranges of rows: reads on from the last range, or opens the file again where that is behind,
    or in a row group ahead.

    fields: any key -> the column's name in the file and which one of that name it is.
    """

    def __init__(self, source: SourceFile, fields: Mapping[str, tuple[str, int]]) -> None:
        self._source = source
        self._fields = fields
        self._file: pq.ParquetFile | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._held: deque[pa.RecordBatch] = deque()
        self._start = self._stop = 0
        self._starts: list[int] = []

    def begin(self, row: int) -> int:
        """Opens the file where `row` can be read from; returns how many rows it has."""
        self.close()
        self._file = _open(self._source)
        metadata = self._file.metadata
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._starts = [0, *accumulate(sizes)][:-1]
        group, first = self._group(row)
        self._batches = self._file.iter_batches(
            batch_size=_batch_rows(metadata),
            row_groups=range(group, metadata.num_row_groups),
            columns=list({name for name, _ in self._fields.values()}),
            use_threads=False,  # each thread would keep tens of MiB of Arrow's memory pool
        )
        self._start = self._stop = first
        return int(metadata.num_rows)

    def column(self, key: str, start: int, count: int) -> pa.Array:
        """`count` values (one at least) from row `start` on. Raises ManifestError where the file ends before them."""
        self._hold(start, count)
        name, occurrence = self._fields[key]
        parts = []
        first = self._start
        for batch in self._held:
            low, high = max(start - first, 0), min(start + count - first, len(batch))
            if low < high:
                index = batch.schema.get_all_field_indices(name)[occurrence]
                parts.append(batch.column(index).slice(low, high - low))
            first += len(batch)
        return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)

    def _group(self, row: int) -> tuple[int, int]:
        """The row group that a row is in, and its first row."""
        group = max(0, bisect_right(self._starts, row) - 1)
        return group, self._starts[group] if self._starts else 0

    def close(self) -> None:
        """Closes the file; the next `column` opens it again."""
        self._held.clear()
        self._batches = iter(())
        if self._file is not None:
            self._file.close()
            self._file = None

    def _hold(self, start: int, count: int) -> None:
        if self._file is None or start < self._start or self._group(start)[1] > self._stop:
            self.begin(start)
        while self._stop < start + count:
            batch = next(self._batches, None)
            if batch is None:
                raise ManifestError(
                    f"{self._source.name} has fewer rows than its footer says", fix="write the file again"
                )
            self._held.append(batch)
            self._stop += len(batch)
            while self._held and self._start + len(self._held[0]) <= start:
                self._start += len(self._held.popleft())


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """How many rows take `MAX_BATCH_BYTES` with all columns, going by the first row groups.

    The sizes of single columns would be nearer, but asking for them ends the process on a damaged footer (pyarrow 26).
    """
    groups = [metadata.row_group(group) for group in range(min(metadata.num_row_groups, _SAMPLED_GROUPS))]
    rows = sum(group.num_rows for group in groups)
    size = sum(group.total_byte_size for group in groups)
    return max(1, min(BATCH_RECORDS, int(MAX_BATCH_BYTES * max(rows, 1) // max(size, 1))))
