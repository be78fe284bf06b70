"""`parquet`: shards of at most 500 MB with the images in them, as the Hub's viewer and `datasets` read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from runner.exports.destination import Destination, changed
from runner.exports.layout import ExportSettings, ImageBatch, ImageRow, ShardPlan
from runner.exports.naming import Names, safe_name

_GROUP_BYTES = 32 * 10**6
_GROUP_IMAGES = 1000
"""A row group holds no more, for it is held in memory, and a viewer reads all of it."""
_IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
_FEATURES = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})
"""Columns without a feature here get that of their Arrow type."""


@dataclass
class ParquetShards:
    """`data/train-00000-of-00002.parquet`: column `image` (bytes and name), `text`, and the others."""

    settings: ExportSettings
    schema: pa.Schema
    _plan: ShardPlan = field(init=False)
    _seen: Names = field(default_factory=Names)

    def __post_init__(self) -> None:
        self._plan = ShardPlan(self.settings.shard_bytes)
        fields = [pa.field("image", _IMAGE), *self.schema]
        self._schema = pa.schema(fields, metadata={"huggingface": _FEATURES})

    def add(self, batch: ImageBatch) -> None:
        """See `Layout`."""
        for image, record in zip(batch.images, batch.records, strict=True):
            name = self._name(image)
            self._seen.add(name, image.row_id, image.image_index)
            self._plan.add(image, record, name)

    def _name(self, image: ImageRow) -> str:
        return f"{safe_name(self.settings.name.of(image.cells))}.{image.extension}"

    def _shard(self, number: int) -> str:
        return f"data/{self.settings.split}-{number:05d}-of-{len(self._plan.shards):05d}.parquet"

    def files(self) -> Iterable[str]:
        """See `Layout`."""
        self._seen.refuse_clashes()
        return [self._shard(number) for number in range(len(self._plan.shards))]

    def write(self, batches: Iterator[ImageBatch], dest: Destination) -> None:
        """See `Layout`."""
        for number, pieces in self._plan.cut(batches):
            name, digest = self._shard(number), self._plan.shards[number].digest
            if not dest.has_shard(name, digest):
                with dest.new_file(name, digest) as file:
                    self._write_shard(file, pieces)

    def _write_shard(self, file: IO[bytes], pieces: Iterator[ImageBatch]) -> None:
        columns = [name for name in self._schema.names if name != "image"]
        how = dict.fromkeys(_leaves(self._schema), "ZSTD") | {"image.bytes": "NONE", "image.path": "ZSTD"}
        with pq.ParquetWriter(file, self._schema, compression=how, use_dictionary=columns) as writer:
            for piece in pieces:
                for first, end in _groups(piece.images):
                    writer.write_table(self._with_images(piece, first, end))

    def _with_images(self, piece: ImageBatch, first: int, end: int) -> pa.Table:
        images = [
            {"bytes": read_image(image), "path": self._name(image)} for image in piece.images[first:end]
        ]
        columns = [pa.array(images, _IMAGE), *piece.table.slice(first, end - first).columns]
        return pa.Table.from_arrays(columns, schema=self._schema)

    def notes(self) -> Iterable[str]:
        """See `Layout`."""
        return ()

    def loading(self) -> str:
        """See `Layout`."""
        return (
            'from datasets import load_dataset\n\nload_dataset("parquet", data_files="PATH/data/*.parquet")'
        )


def read_image(image: ImageRow) -> bytes:
    """The file's bytes. Raises JobError where it is not what it was when the export began."""
    try:
        content = image.path.read_bytes()
    except FileNotFoundError:
        raise changed(image.path) from None
    if len(content) != image.size:
        raise changed(image.path)
    return content


def _groups(images: list[ImageRow]) -> Iterator[tuple[int, int]]:
    first = size = 0
    for number, image in enumerate(images):
        if number > first and (size + image.size > _GROUP_BYTES or number - first >= _GROUP_IMAGES):
            yield first, number
            first, size = number, 0
        size += image.size
    if images:
        yield first, len(images)


def _leaves(schema: pa.Schema) -> Iterator[str]:
    """Paths of the columns as Parquet has them."""
    yield from (column.path for column in _parquet_columns(schema))


def _parquet_columns(schema: pa.Schema) -> Iterable[pq.ColumnSchema]:
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    found = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    return (found.column(number) for number in range(len(found)))
