"""The rows that an export takes: those that were chosen, have an image, and whose image is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from runner.artifacts.artifact_reader import LinkInPlace, LocalReader
from runner.exports.layout import ExportSettings, ImageBatch, ImageRow
from runner.results.selection import ResultsSelection
from runner.results.snapshot import FolderResults
from schemas.errors import JobError
from schemas.results import passthrough_name

TEXT = "text"
RESERVED = frozenset({TEXT, "image"})
"""Columns that loaders give a meaning: a manifest's own of such a name gets a prefix."""
_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Damage:
    """An image that cannot be exported. problem: what is the matter with its file."""

    row_id: str
    image_index: int
    file_name: str
    problem: str


@dataclass
class Found:
    """What one reading of the rows has met. without_image: chosen lines that have none. cost_usd: of the images."""

    images: int = 0
    without_image: int = 0
    cost_usd: float = 0.0
    models: set[str] = field(default_factory=set)
    damaged: list[Damage] = field(default_factory=list)


class ImageRows:
    """The chosen images of a folder, batch by batch, as often as they are asked for."""

    def __init__(self, results: FolderResults, selection: ResultsSelection, settings: ExportSettings) -> None:
        """Raises JobError for a column that is not there."""
        self._results = results
        self._selection = selection
        self._reader = LocalReader(results.out)
        self._index = settings.index
        self.schema = selection.schema(results.schema)
        self.columns = tuple(settings.columns or (name for name in self.schema.names if name != "file_name"))
        _check_columns((*self.columns, settings.index), self.schema)
        settings.name.check(self.schema.names)
        self._damaged: set[tuple[str, int]] = set()

    @property
    def stale_picks(self) -> int:
        """Picks of images that are others by now."""
        return 0 if self._selection.picks is None else self._selection.picks.stale

    def tables(self) -> Iterator[pa.Table]:
        """All chosen lines, those without an image too."""
        if self._selection.picks is not None:
            self._selection.picks.used = self._selection.picks.stale = 0
        yield from self._selection.select(self._results.schema, self._results.tables)

    def survey(self, found: Found) -> Iterator[ImageBatch]:
        """First reading: looks at every file, and leaves out the damaged ones for good."""
        for table in self.tables():
            cells = table.to_pylist()
            lines = [line for line, each in enumerate(cells) if _has_image(each)]
            found.without_image += len(cells) - len(lines)
            whole = [line for line in lines if self._is_whole(cells[line], found)]
            for line in whole:
                found.cost_usd += cells[line]["cost_usd"] or 0.0
                found.models.add(cells[line]["model"] or "default")
            found.images += len(whole)
            if whole:
                yield self._batch(table, cells, whole)

    def batches(self) -> Iterator[ImageBatch]:
        """The same images again."""
        for table in self.tables():
            cells = table.to_pylist()
            lines = [
                line
                for line, each in enumerate(cells)
                if _has_image(each) and (each["row_id"], each["image_index"]) not in self._damaged
            ]
            if lines:
                yield self._batch(table, cells, lines)

    def _is_whole(self, cells: dict[str, Any], found: Found) -> bool:
        problem = self._problem(cells["file_name"], cells["bytes"])
        if problem:
            found.damaged.append(Damage(cells["row_id"], cells["image_index"], cells["file_name"], problem))
            self._damaged.add((cells["row_id"], cells["image_index"]))
        return not problem

    def _problem(self, name: str, size: int | None) -> str:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            return "its name leads out of the folder"
        try:
            there = self._reader.size(name)
        except FileNotFoundError:
            return "the file is gone"
        except (LinkInPlace, OSError) as error:
            return str(error)
        return "" if there == size else f"the file has {there:,} bytes, and had {size or 0:,}"

    def _batch(self, table: pa.Table, cells: list[dict[str, Any]], lines: Sequence[int]) -> ImageBatch:
        images = [self._image(cells[line]) for line in lines]
        chosen = table.take(pa.array(lines, pa.int64()))
        texts = pa.array([image.text for image in images], pa.string())
        names = exported_names(self.columns)
        return ImageBatch(
            images,
            pa.Table.from_arrays(
                [texts, *(chosen.column(name) for name in self.columns)],
                schema=pa.schema(
                    [
                        pa.field(TEXT, pa.string()),
                        *(
                            self.schema.field(name).with_name(new).with_nullable(True)
                            for name, new in zip(self.columns, names, strict=True)
                        ),
                    ]
                ),
            ),
        )

    def table_schema(self) -> pa.Schema:
        """The columns of each batch's table."""
        return self._batch(self.schema.empty_table(), [], []).table.schema

    def _image(self, cells: dict[str, Any]) -> ImageRow:
        name = PurePosixPath(cells["file_name"])
        sent = cells["sent_prompt"]
        return ImageRow(
            row_id=cells["row_id"],
            image_index=cells["image_index"],
            path=Path(self._results.out, name),
            size=cells["bytes"],
            extension=name.suffix[1:],
            text=(cells["prompt"] or "") if sent is None else sent,
            index=_number(cells[self._index]),
            cells=cells,
        )


def exported_names(columns: Iterable[str]) -> list[str]:
    """The names that these results columns have in an export."""
    taken = {*RESERVED, "file_name", *columns}
    return [
        passthrough_name(name, taken) if name in RESERVED or name == "file_name" else name for name in columns
    ]


def _has_image(cells: dict[str, Any]) -> bool:
    return cells["status"] == "succeeded" and cells["file_name"] is not None


def _number(value: Any) -> int | None:
    """A number from 0: of whole numbers, and of texts that are nothing but one (`007` is 7)."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def _check_columns(columns: Iterable[str], schema: pa.Schema) -> None:
    for name in columns:
        if name not in schema.names:
            like = get_close_matches(name, schema.names, 1)
            raise JobError(
                f"there is no column {name!r} in the results",
                fix=f"did you mean {like[0]!r}?" if like else "`imagemill schema results` lists them",
            )
