"""`webdataset`: tar shards of `KEY.png`, `KEY.txt` and `KEY.json`, the same bytes at every call."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from runner.exports.destination import Destination
from runner.exports.layout import ExportSettings, ImageBatch, ImageRow, ShardPlan, json_text
from runner.exports.naming import Names, safe_name
from runner.exports.parquet import read_image


@dataclass
class WebDataset:
    """`train-000000.tar` and so on. A key holds no dot: what is behind a name's first one is its ending."""

    settings: ExportSettings
    schema: pa.Schema
    _plan: ShardPlan = field(init=False)
    _seen: Names = field(default_factory=Names)

    def __post_init__(self) -> None:
        self._plan = ShardPlan(self.settings.shard_bytes)

    def _key(self, image: ImageRow) -> str:
        return safe_name(self.settings.name.of(image.cells), also=".")

    def add(self, batch: ImageBatch) -> None:
        """See `Layout`."""
        for image, record in zip(batch.images, batch.records, strict=True):
            key = self._key(image)
            self._seen.add(key, image.row_id, image.image_index)
            self._plan.add(image, record, key)

    def _shard(self, number: int) -> str:
        return f"{self.settings.split}-{number:06d}.tar"

    def files(self) -> Iterable[str]:
        """See `Layout`."""
        self._seen.refuse_clashes()
        return [self._shard(number) for number in range(len(self._plan.shards))]

    def write(self, batches: Iterator[ImageBatch], dest: Destination) -> None:
        """See `Layout`."""
        for number, pieces in self._plan.cut(batches):
            name, digest = self._shard(number), self._plan.shards[number].digest
            if not dest.has_shard(name, digest):
                with (
                    dest.new_file(name, digest) as file,
                    tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
                ):
                    for piece in pieces:
                        self._write(piece, tar)

    def _write(self, piece: ImageBatch, tar: tarfile.TarFile) -> None:
        for image, record in zip(piece.images, piece.records, strict=True):
            key = self._key(image)
            _add(tar, f"{key}.{image.extension}", read_image(image))
            _add(tar, f"{key}.txt", image.text.encode("utf-8", "backslashreplace"))
            _add(tar, f"{key}.json", json_text(record).encode("utf-8", "backslashreplace"))

    def notes(self) -> Iterable[str]:
        """See `Layout`."""
        return ()

    def loading(self) -> str:
        """See `Layout`."""
        shards = f"{self.settings.split}-{{000000..{max(len(self._plan.shards) - 1, 0):06d}}}.tar"
        return (
            f'import webdataset\n\nwebdataset.WebDataset("PATH/{shards}", shardshuffle=False).decode("pil")'
        )


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """With a header in which nothing of this machine or moment stands."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    header.mode = 0o644
    tar.addfile(header, io.BytesIO(content))
