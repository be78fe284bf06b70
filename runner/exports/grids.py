"""`dpg-bench`: one picture a prompt, its four images in a 2×2 grid. The evaluator reads every file of the folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO

import pyarrow as pa
from PIL import Image

from runner.exports.destination import Destination
from runner.exports.layout import ExportSettings, ImageBatch, ImageRow
from runner.exports.naming import Names, safe_name
from runner.exports.parquet import read_image
from runner.text.wording import count_text
from schemas.errors import JobError

_FOLDER = "images"
_PARTS = 4
_SIDE = 2


@dataclass
class DpgBench:
    """`images/ITEM_ID.png`; the item id is the row's. In a folder of their own, so that nothing else is read as a grid."""

    settings: ExportSettings
    schema: pa.Schema
    _parts: dict[str, int] = field(default_factory=dict)
    _digests: dict[str, list[str]] = field(default_factory=dict)
    _seen: Names = field(default_factory=Names)

    def add(self, batch: ImageBatch) -> None:
        """See `Layout`."""
        for image in batch.images:
            digests = self._digests.setdefault(image.row_id, [])
            if len(digests) < _PARTS:
                digests.append(str(image.cells["sha256"]))

    def _whole(self, row_id: str) -> bool:
        return len(self._digests.get(row_id, ())) == _PARTS

    def files(self) -> Iterable[str]:
        """See `Layout`."""
        names = [_name(row_id) for row_id in self._digests if self._whole(row_id)]
        if self._digests and not names:
            raise JobError(
                "no row has four images, and dpg-bench takes a grid of four",
                fix="make them with --n 4, which `imagemill run` does for the rows that are there too",
            )
        for row_id in self._digests:
            self._seen.add(_name(row_id), row_id, 0)
        self._seen.refuse_clashes()
        return names

    def write(self, batches: Iterator[ImageBatch], dest: Destination) -> None:
        """See `Layout`."""
        parts: list[ImageRow] = []
        for batch in batches:
            for image in batch.images:
                if parts and parts[0].row_id != image.row_id:
                    parts = []
                parts.append(image)
                if len(parts) == _PARTS:
                    self._write(parts, dest)

    def _write(self, parts: list[ImageRow], dest: Destination) -> None:
        name, digest = _name(parts[0].row_id), ".".join(self._digests[parts[0].row_id])
        if not dest.has_shard(name, digest):
            with dest.new_file(name, digest, save=False) as file:
                file.write(_grid([read_image(part) for part in parts]))

    def notes(self) -> Iterable[str]:
        """See `Layout`."""
        left_out = sum(not self._whole(row_id) for row_id in self._digests)
        if left_out:
            yield f"{count_text(left_out, 'row')} left out: they have fewer than four images"

    def loading(self) -> str:
        """See `Layout`."""
        return "# compute_dpg_bench.py --image-root-path PATH/images --resolution SIDE --pic-num 4 --res-path results.txt"


def _name(row_id: str) -> str:
    return f"{_FOLDER}/{safe_name(row_id)}.png"


def _grid(contents: list[bytes]) -> bytes:
    """In reading order. Cells are as large as the first image; others are scaled to it."""
    grid: Image.Image | None = None
    for number, content in enumerate(contents):
        with Image.open(BytesIO(content)) as image:
            cell = image.convert("RGB")
        if grid is None:
            width, height = cell.size
            grid = Image.new("RGB", (_SIDE * width, _SIDE * height))
        elif cell.size != (width, height):
            cell = cell.resize((width, height), Image.Resampling.LANCZOS)
        grid.paste(cell, (number % _SIDE * width, number // _SIDE * height))
    assert grid is not None
    buffer = BytesIO()
    grid.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
