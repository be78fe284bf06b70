"""The use case of `imagemill export`: the images of a folder as a dataset, whole at every moment."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

import pyarrow as pa

from runner.exports import hub
from runner.exports.card import CardFacts, card_text
from runner.exports.destination import UNFINISHED, Destination, locked
from runner.exports.evaluators import GenArena, GenEval, T2ICompBench, UniGenBench
from runner.exports.grids import DpgBench
from runner.exports.imagefolder import ImageFolder
from runner.exports.layout import ExportSettings, Layout
from runner.exports.parquet import ParquetShards
from runner.exports.rows import Damage, Found, ImageRows
from runner.exports.spreadsheet import file_name, write_tables
from runner.exports.webdataset import WebDataset
from runner.process.version import VERSION
from runner.results.picks import read_picks
from runner.results.selection import ResultsSelection
from runner.results.snapshot import FolderResults, open_results
from schemas.errors import JobError

LAYOUTS: Mapping[str, Callable[[ExportSettings, pa.Schema], Layout]] = {
    "imagefolder": ImageFolder,
    "parquet": ParquetShards,
    "webdataset": WebDataset,
    "geneval": GenEval,
    "t2i-compbench": T2ICompBench,
    "dpg-bench": DpgBench,
    "unigenbench": UniGenBench,
    "genarena": GenArena,
}
CSV = "csv"
_CARD = "README.md"
_MOST_SHEETS = 1_000


@dataclass(frozen=True)
class Chosen:
    """Which rows. where: SQL over the results columns. picks: a file of them. sample: so many rows, drawn by the seed."""

    where: str | None = None
    picks: Path | None = None
    sample: int | None = None
    seed: int = 0

    def selection(self) -> ResultsSelection:
        """Raises JobError for picks that cannot be read."""
        picks = None if self.picks is None else read_picks(self.picks)
        return ResultsSelection(self.where, picks, self.sample, self.seed)

    def on_record(self) -> dict[str, Any]:
        """What of it decides the export: of a picks file its content."""
        found = asdict(self)
        if self.picks is not None:
            with self.picks.open("rb") as file:
                found["picks"] = file_digest(file, "sha256").hexdigest()
        return found


@dataclass(frozen=True)
class Exported:
    """What an export holds. images: CSV: lines. linked: files that share their blocks with OUT. notes: what was left out."""

    images: int
    files: int
    bytes: int
    linked: int
    without_image: int
    stale_picks: int
    damaged: tuple[Damage, ...]
    notes: tuple[str, ...]
    simulated: bool
    pushed: str = ""


def export_folder(
    out: Path, dest: Path, settings: ExportSettings, chosen: Chosen, push: str | None = None
) -> Exported:
    """Export a folder's images; going on where an earlier call stopped.

    push: `hf://datasets/OWNER/NAME`, to send it there. Raises JobError: no such folder, names that clash, another export in
    DEST (exit 2), another call at work there (6), an image that changes meanwhile (7), a full disk (9).
    """
    repository = None if push is None else hub.repository(push, settings.to)
    selection = chosen.selection()
    with open_results(out) as results:
        _check_place(out, dest)
        rows = ImageRows(results, selection, settings)
        target = Destination(dest, _record(out, settings, chosen), copy=settings.copy)
        work = _export_table if settings.to == CSV else _export_images
        found = work(rows, results, target, settings, chosen)
    if repository is not None:
        hub.push(dest, repository)
        found = Exported(**{**vars(found), "pushed": push})
    return found


def _record(out: Path, settings: ExportSettings, chosen: Chosen) -> dict[str, Any]:
    found = {
        **asdict(settings),
        "name": settings.name.text,
        **chosen.on_record(),
        "source": str(out.resolve()),
    }
    loaded: dict[str, Any] = json.loads(json.dumps(found))
    return loaded


def _check_place(out: Path, dest: Path) -> None:
    inside, around = dest.resolve(), out.resolve()
    if inside.is_relative_to(around) or around.is_relative_to(inside):
        raise JobError(f"{dest} and {out} are one in the other", fix="name a DEST beside the folder")


def _export_images(
    rows: ImageRows, results: FolderResults, target: Destination, settings: ExportSettings, chosen: Chosen
) -> Exported:
    layout = LAYOUTS[settings.to](settings, rows.table_schema())
    found = Found()
    for batch in rows.survey(found):
        layout.add(batch)
    if not found.images and not found.damaged:
        raise JobError(
            "no image was chosen; nothing was written", fix="see `imagemill status`, or choose others"
        )
    names = {*layout.files(), _CARD}
    card = _card(rows, results, settings, chosen, found, layout)
    with locked(target.root):
        try:
            target.start(names)
            layout.write(rows.batches(), target)
            with target.new_file(_CARD) as file:
                file.write(card.encode("utf-8", "backslashreplace"))
            target.finish()
        finally:
            shutil.rmtree(target.root / UNFINISHED, ignore_errors=True)
    return _exported(rows, results, target, found, found.images, tuple(layout.notes()))


def _export_table(
    rows: ImageRows, results: FolderResults, target: Destination, settings: ExportSettings, chosen: Chosen
) -> Exported:
    columns = settings.columns or tuple(rows.schema.names)
    found = Found()
    with locked(target.root):
        try:
            target.start({file_name(number) for number in range(1, _MOST_SHEETS)})
            lines, _ = write_tables(rows.tables(), columns, target)
            target.finish()
        finally:
            shutil.rmtree(target.root / UNFINISHED, ignore_errors=True)
    return _exported(rows, results, target, found, lines, ())


def _exported(
    rows: ImageRows,
    results: FolderResults,
    target: Destination,
    found: Found,
    images: int,
    notes: tuple[str, ...],
) -> Exported:
    return Exported(
        images=images,
        files=target.files,
        bytes=target.bytes,
        linked=target.linked,
        without_image=found.without_image,
        stale_picks=rows.stale_picks,
        damaged=tuple(found.damaged),
        notes=notes,
        simulated=results.job.simulate,
    )


def _card(
    rows: ImageRows,
    results: FolderResults,
    settings: ExportSettings,
    chosen: Chosen,
    found: Found,
    layout: Layout,
) -> str:
    return card_text(
        CardFacts(
            to=settings.to,
            split=settings.split,
            license=settings.license,
            images=found.images,
            models=tuple(sorted(found.models)),
            cost_usd=found.cost_usd,
            simulated=results.job.simulate,
            where=chosen.where,
            columns={each.name: str(each.type) for each in rows.table_schema()},
            loading=layout.loading(),
            version=VERSION,
        )
    )
