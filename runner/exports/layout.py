"""What the layouts of an export share: the settings, the images that they are given, and the interface of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from runner.exports.naming import NameTemplate

if TYPE_CHECKING:
    from runner.exports.destination import Destination

MEGABYTE = 10**6
MAX_SHARD_MB = 500
"""Of the Hub's advice: shards of at most 500 MB."""


@dataclass(frozen=True)
class ExportSettings:
    """What decides the bytes of an export, but for the rows that it takes.

    columns: of the results, in this order; None: all. metadata: `parquet` or `jsonl`, of imagefolder. index: the column with
    a prompt's number in an evaluator's list. subset: the evaluator's own (a language, a part of an arena).
    """

    to: str
    name: NameTemplate
    columns: tuple[str, ...] | None = None
    metadata: str = "parquet"
    split: str = "train"
    license: str | None = None
    index: str = "row"
    subset: str | None = None
    shard_mb: int = MAX_SHARD_MB
    copy: bool = False

    @property
    def shard_bytes(self) -> int:
        """The most that a shard may hold."""
        return self.shard_mb * MEGABYTE


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image that is there. path: its file. text: the prompt that was sent. extension: without a dot.

    index: its prompt's number in an evaluator's list; None where that is no number. cells: all columns of its results row.
    """

    row_id: str
    image_index: int
    path: Path
    size: int
    extension: str
    text: str
    index: int | None
    cells: Mapping[str, Any]

    @property
    def model(self) -> str:
        """As requested."""
        return self.cells.get("model") or "default"


@dataclass(frozen=True)
class ImageBatch:
    """Some images, and what is told of each. table: the columns to export, `text` first, a line an image."""

    images: list[ImageRow]
    table: pa.Table

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The table's lines."""
        records: list[dict[str, Any]] = self.table.to_pylist()
        return records


class Layout(Protocol):
    """One shape of dataset. First `add` gets every batch, then `write` the same ones again."""

    def add(self, batch: ImageBatch) -> None:
        """Learn of these images: names, shards. Nothing is written. Raises JobError for names that are none."""

    def write(self, batches: Iterator[ImageBatch], dest: Destination) -> None:
        """Write them all. What is whole already is left as it is."""

    def files(self) -> Iterable[str]:
        """All that it will write, relative to the destination, once all batches were added."""

    def notes(self) -> Iterable[str]:
        """What the user should know of what was left out or renamed."""

    def loading(self) -> str:
        """How it is loaded, in Markdown, for the dataset card."""


def json_text(value: Any) -> str:
    """One line of JSON of cells: times as ISO 8601 in UTC, bytes in hex."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo is not None else value
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return str(value)
    return str(value)


@dataclass
class Shard:
    """One file of an export that holds many images. digest: of all that decides its bytes."""

    images: int = 0
    bytes: int = 0
    digest: str = ""


class ShardPlan:
    """Cuts a row of images into shards: a new one begins where the next image would exceed the most bytes."""

    def __init__(self, most_bytes: int) -> None:
        self.shards: list[Shard] = []
        self._most = most_bytes

    def add(self, image: ImageRow, record: Mapping[str, Any], name: str) -> None:
        """Take in the next image. record: what is told of it."""
        told = f"{name}\n{image.cells.get('sha256')}\n{image.size}\n{json_text(record)}"
        length = image.size + 2 * len(told.encode("utf-8", "surrogatepass")) + 4096
        if not self.shards or self.shards[-1].bytes + length > self._most:
            self.shards.append(Shard())
        shard = self.shards[-1]
        shard.images += 1
        shard.bytes += length
        chain = blake2b(digest_size=16)
        chain.update(shard.digest.encode())
        chain.update(told.encode("utf-8", "surrogatepass"))
        shard.digest = chain.hexdigest()

    def cut(self, batches: Iterator[ImageBatch]) -> Iterator[tuple[int, Iterator[ImageBatch]]]:
        """The batches of each shard, by its number. Read, or leave, those of one before the next."""
        source = _Pieces(batches)
        for number, shard in enumerate(self.shards):
            left = source.take(shard.images)
            yield number, left
            for _ in left:
                pass


class _Pieces:
    """Batches that can be taken by any number of lines."""

    def __init__(self, batches: Iterator[ImageBatch]) -> None:
        self._batches = batches
        self._rest: ImageBatch | None = None

    def take(self, images: int) -> Iterator[ImageBatch]:
        while images:
            batch = self._rest if self._rest is not None else next(self._batches)
            count = min(images, len(batch.images))
            self._rest = _slice(batch, count, len(batch.images)) if count < len(batch.images) else None
            images -= count
            yield _slice(batch, 0, count)


def _slice(batch: ImageBatch, first: int, end: int) -> ImageBatch:
    if first == 0 and end == len(batch.images):
        return batch
    return ImageBatch(batch.images[first:end], batch.table.slice(first, end - first))
