"""The folders that evaluators read: names that their own listing takes, and nothing else where they read every file.

The rules are those of the evaluators' code, as of the commits that docs/how-to/export.md names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from runner.exports.destination import Destination
from runner.exports.layout import ExportSettings, ImageBatch, ImageRow, json_text
from runner.exports.naming import Names, safe_name
from runner.text.wording import count_text
from schemas.errors import JobError
from schemas.results import RESULT_NAMES

_PROMPT_BYTES = 200
_USER = "imagemill"
_NO_DATE = "undated"


@dataclass
class EvaluatorFolder:
    """What those layouts share whose files are the images themselves, under other names."""

    settings: ExportSettings
    schema: pa.Schema
    _seen: Names = field(default_factory=Names)
    _files: list[str] = field(default_factory=list)
    _left_out: int = 0

    def add(self, batch: ImageBatch) -> None:
        """See `Layout`."""
        for image in batch.images:
            self._check(image)
            name = self._name(image)
            if name is None:
                self._left_out += 1
                continue
            self._seen.add(name, image.row_id, image.image_index)
            self._files.append(name)

    def _check(self, image: ImageRow) -> None:
        if image.extension != "png":
            raise JobError(
                f"{image.path} is no PNG, and --to {self.settings.to} takes no other format",
                fix="make the images with --output-format png, or choose them: --where \"format = 'png'\"",
            )

    def _index(self, image: ImageRow) -> int:
        if image.index is None:
            raise JobError(
                f"row {image.row_id!r}: {self.settings.index!r} is no number from 0",
                fix="--index COLUMN names the column with the prompt's number in the evaluator's list",
            )
        return image.index

    def _name(self, image: ImageRow) -> str | None:
        """Where the image goes; None where the evaluator has no place for it."""
        raise NotImplementedError

    def files(self) -> Iterable[str]:
        """See `Layout`."""
        self._seen.refuse_clashes()
        return self._files

    def write(self, batches: Iterator[ImageBatch], dest: Destination) -> None:
        """See `Layout`."""
        for batch in batches:
            for image in batch.images:
                name = self._name(image)
                if name is not None:
                    dest.place(image.path, image.size, name)

    def notes(self) -> Iterable[str]:
        """See `Layout`."""
        if self._left_out:
            yield f"{count_text(self._left_out, 'image')} left out: {self.settings.to} takes one image a prompt"

    def loading(self) -> str:
        """See `Layout`."""
        return f"# the folder is what {self.settings.to} takes as its images"


@dataclass
class GenEval(EvaluatorFolder):
    """`00000/metadata.jsonl` and `00000/samples/0000.png`: the number is the prompt's line, from 0, in the prompt file."""

    _metadata: set[int] = field(default_factory=set)

    def _name(self, image: ImageRow) -> str:
        return f"{self._index(image):05d}/samples/{image.image_index:04d}.png"

    def _check(self, image: ImageRow) -> None:
        super()._check(image)
        self._metadata.add(self._index(image))

    def files(self) -> Iterable[str]:
        """See `Layout`."""
        return [*super().files(), *(f"{index:05d}/metadata.jsonl" for index in self._metadata)]

    def write(self, batches: Iterator[ImageBatch], dest: Destination) -> None:
        """See `Layout`."""
        told: set[int] = set()
        for batch in batches:
            super().write(iter([batch]), dest)
            for image in batch.images:
                index = self._index(image)
                if index not in told:
                    told.add(index)
                    with dest.new_file(f"{index:05d}/metadata.jsonl") as file:
                        file.write(json_text(_question(image)).encode("utf-8", "backslashreplace") + b"\n")


def _question(image: ImageRow) -> dict[str, Any]:
    """The line of the prompt file: the manifest's own columns, and the prompt."""
    own = {name: _decoded(value) for name, value in image.cells.items() if name not in RESULT_NAMES}
    return {
        **{name: value for name, value in own.items() if value is not None},
        "prompt": image.cells["prompt"],
    }


def _decoded(value: Any) -> Any:
    """Nested values as they were before the manifest's reader made them text."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


@dataclass
class T2ICompBench(EvaluatorFolder):
    """`examples/samples/PROMPT_000000.png`: the evaluator takes the prompt from the name, up to its first underscore.

    The number is the prompt's; where prompts have several images, it counts them all.
    """

    _kept: list[tuple[int, int, str, str]] = field(default_factory=list)
    _most: int = 1
    _renamed: int = 0

    def add(self, batch: ImageBatch) -> None:
        """See `Layout`. Numbers depend on how many images a prompt has: the names are made once all are known."""
        for image in batch.images:
            self._check(image)
            name = _prompt_name(image)
            self._renamed += name != image.cells["prompt"]
            self._most = max(self._most, image.image_index + 1)
            self._kept.append((self._index(image), image.image_index, name, image.row_id))

    def _numbered(self, name: str, index: int, image_index: int) -> str:
        number = index * self._most + image_index
        if number > 999_999:
            raise JobError(
                f"the number {number:,} has more than the six digits that t2i-compbench reads",
                fix="--index COLUMN names a column with smaller numbers",
            )
        return f"examples/samples/{name}_{number:06d}.png"

    def files(self) -> Iterable[str]:
        """See `Layout`."""
        for index, image_index, name, row_id in self._kept:
            file = self._numbered(name, index, image_index)
            self._seen.add(f"{index:06d}/{image_index}", row_id, image_index)
            self._files.append(file)
        return super().files()

    def _name(self, image: ImageRow) -> str:
        return self._numbered(_prompt_name(image), self._index(image), image.image_index)

    def notes(self) -> Iterable[str]:
        """See `Layout`."""
        if self._renamed:
            yield (
                f"{count_text(self._renamed, 'image')} whose prompt no file name can hold as it is: the evaluator will read "
                "what was made of it"
            )


def _prompt_name(image: ImageRow) -> str:
    prompt: str = image.cells["prompt"] or ""
    return (
        safe_name(prompt, also="_.", most_bytes=_PROMPT_BYTES, mark=False).replace("_", " ").strip() or "none"
    )


@dataclass
class UniGenBench(EvaluatorFolder):
    """`eval_data/en/MODEL/PROMPTID_IMAGEID.png`, four images a prompt. subset: en, en_long, zh or zh_long."""

    def _name(self, image: ImageRow) -> str:
        subset = self.settings.subset or "en"
        return f"eval_data/{subset}/{safe_name(image.model)}/{self._index(image)}_{image.image_index}.png"


@dataclass
class GenArena(EvaluatorFolder):
    """`arena/SUBSET/models/USER_MODEL_DATE/MODEL/000000.png`: one image a prompt; dated as a model's first image."""

    _dates: dict[str, str] = field(default_factory=dict)

    def _name(self, image: ImageRow) -> str | None:
        if image.image_index:
            return None
        finished = image.cells["finished_at"]
        date = self._dates.setdefault(image.model, f"{finished:%Y%m%d}" if finished else _NO_DATE)
        model = safe_name(image.model, also="_")
        folder = f"arena/{self.settings.subset or 'basic'}/models/{_USER}_{model}_{date}/{model}"
        return f"{folder}/{self._index(image):06d}.png"
