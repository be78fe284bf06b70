"""`imagefolder`: files by split, at most 10,000 a folder, beside a table with a line for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from runner.exports.destination import Destination
from runner.exports.layout import ExportSettings, ImageBatch, ImageRow, json_text
from runner.exports.naming import Names, safe_name

MOST_FILES = 9_999
"""In a folder, so that with the table it has no more than 10,000, which is what the Hub takes."""


@dataclass
class ImageFolder:
    """`train/NAME.png`, or `train/0000/NAME.png` where there are many, and `train/metadata.parquet` (or `.jsonl`)."""

    settings: ExportSettings
    schema: pa.Schema
    most_files: int = MOST_FILES
    _names: list[str] = field(default_factory=list)
    _seen: Names = field(default_factory=Names)

    def add(self, batch: ImageBatch) -> None:
        """See `Layout`."""
        for image in batch.images:
            name = f"{safe_name(self.settings.name.of(image.cells))}.{image.extension}"
            self._seen.add(name, image.row_id, image.image_index)
            self._names.append(name)

    def files(self) -> Iterable[str]:
        """See `Layout`."""
        self._seen.refuse_clashes()
        split = self.settings.split
        return [*(f"{split}/{self._within(number)}" for number in range(len(self._names))), self._table]

    @property
    def _table(self) -> str:
        return f"{self.settings.split}/metadata.{self.settings.metadata}"

    def _within(self, number: int) -> str:
        name = self._names[number]
        return name if len(self._names) <= self.most_files else f"{number // self.most_files:04d}/{name}"

    def write(self, batches: Iterator[ImageBatch], dest: Destination) -> None:
        """See `Layout`."""
        number = 0

        def placed() -> Iterator[tuple[ImageBatch, list[str]]]:
            nonlocal number
            for batch in batches:
                names = [self._within(number + each) for each in range(len(batch.images))]
                number += len(names)
                self._place(batch.images, names, dest)
                yield batch, names

        if self.settings.metadata == "jsonl":
            self._write_lines(placed(), dest)
        else:
            self._write_table(placed(), dest)

    def _place(self, images: list[ImageRow], names: list[str], dest: Destination) -> None:
        for image, name in zip(images, names, strict=True):
            dest.place(image.path, image.size, f"{self.settings.split}/{name}")

    def _write_lines(self, placed: Iterator[tuple[ImageBatch, list[str]]], dest: Destination) -> None:
        with dest.new_file(self._table) as file:
            for batch, names in placed:
                for record, name in zip(batch.records, names, strict=True):
                    line = json_text({"file_name": name, **record})
                    file.write(line.encode("utf-8", "backslashreplace") + b"\n")

    def _write_table(self, placed: Iterator[tuple[ImageBatch, list[str]]], dest: Destination) -> None:
        schema = pa.schema([pa.field("file_name", pa.string()), *self.schema])
        with (
            dest.new_file(self._table) as file,
            pq.ParquetWriter(file, schema, compression="zstd") as table,
        ):
            for batch, names in placed:
                columns = [pa.array(names, pa.string()), *batch.table.columns]
                table.write_table(pa.Table.from_arrays(columns, schema=schema))

    def notes(self) -> Iterable[str]:
        """See `Layout`."""
        return ()

    def loading(self) -> str:
        """See `Layout`."""
        return 'from datasets import load_dataset\n\nload_dataset("imagefolder", data_dir="PATH")'
