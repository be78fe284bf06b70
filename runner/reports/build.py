"""Builds a report: all its files beside an older one, then one rename that makes it the report.

DEST/index.html      the page; names the folder of its files
DEST/files-TOKEN/    scripts, styles and data of one build
DEST/thumbs/         sheets of thumbnails and their index, which later builds go on with
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from runner.process.disk_errors import explaining
from runner.process.version import VERSION
from runner.reports.charts import draw_charts
from runner.reports.folder_data import FolderData
from runner.reports.pages import SCRIPTS, STYLES, asset, page, single_page
from runner.reports.script_data import script
from runner.reports.thumbnails import Thumbnails, geometry, inline_images
from runner.results.selection import ResultsSelection
from runner.results.snapshot import open_results
from schemas.errors import ExitCode, JobError
from schemas.output_folder import REPORT
from schemas.report import BuiltReport

INDEX, SINGLE = "index.html", "report.html"
MOST_INLINE = 500
"""Images in a single file, at about 60 KB each."""
_INLINE_SIDE = 720
_FILES = re.compile(r"files-[0-9a-f]{12}")
_LOCK = ".lock"

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What a report is of. outs: one folder or several, as typed. dest: None for OUT/report.

    single_file: one HTML file with all in it. png: draw the charts as pictures too.
    """

    outs: Sequence[Path]
    dest: Path | None = None
    where: str | None = None
    sample: int | None = None
    seed: int = 0
    single_file: bool = False
    png: bool = False


def build_report(request: ReportRequest, told: Told = lambda _line: None) -> BuiltReport:
    """Build it. told: hears how far it is.

    Raises JobError: no output folder (2), no such expression (2), too many images for a single file (2), another report is
    being built there (6), the disk refuses (9).
    """
    dest = request.dest if request.dest is not None else request.outs[0] / REPORT
    page_file = dest / (SINGLE if request.single_file else INDEX)
    if request.single_file and dest.suffix.lower() in (".html", ".htm"):
        page_file, dest = dest, dest.parent
    with ExitStack() as stack:
        folders = [stack.enter_context(open_results(out)) for out in request.outs]
        stack.enter_context(explaining(dest, "the report cannot be written"))
        dest.mkdir(parents=True, exist_ok=True)
        stack.enter_context(_locked(dest))
        data = [
            FolderData(
                number,
                folder,
                ResultsSelection(request.where, sample=request.sample, seed=request.seed),
                str(out),
            )
            for number, (out, folder) in enumerate(zip(request.outs, folders, strict=True))
        ]
        build = _single if request.single_file else _in_folder
        charts = build(data, dest, page_file, told)
        if request.png:
            charts = draw_charts(data, dest / "charts")
        return BuiltReport(
            dest=str(dest if not request.single_file else page_file),
            page=str(page_file),
            images=sum(folder.figures.statuses["succeeded"] for folder in data),
            failures=sum(
                folder.figures.statuses[status]
                for folder in data
                for status in ("failed", "parked", "invalid")
            ),
            rows=sum(chunk.rows for folder in data for chunk in folder.chunks),
            charts=tuple(str(path) for path in charts),
            simulated=any(folder.job.simulate for folder in folders),
        )


def _in_folder(data: list[FolderData], dest: Path, page_file: Path, told: Told) -> list[Path]:
    thumbs = Thumbnails.open(dest / "thumbs")
    token = f"files-{secrets.token_hex(6)}"
    files = dest / token
    files.mkdir()
    try:
        for folder in data:
            for name, text in folder.scripts():
                (files / name).write_text(text, "ascii")
            told(f"{folder.out}: rows read")
        thumbs.draw(_images(data), lambda count: told(f"{count:,} thumbnails drawn"))
        for folder in data:
            for number, chunk in enumerate(folder.chunks):
                places = [_place(thumbs, digest) for digest in chunk.digests]
                text = script("thumbs", folder.number, number, places)
                (files / f"thumbs-{folder.number}-{number}.js").write_text(text, "ascii")
        (files / "head.js").write_text(script("head", _head(data, dest, token)), "ascii")
        for name in (*SCRIPTS, *STYLES):
            (files / name).write_text(asset(name), "utf-8")
        before = _named_by(page_file)
        _replace(page_file, page(_title(data), token, ["head.js"]))
    except BaseException:
        shutil.rmtree(files, ignore_errors=True)
        raise
    for old in dest.iterdir():
        if _FILES.fullmatch(old.name) and old.name not in (token, before):
            shutil.rmtree(old, ignore_errors=True)
    return []


def _single(data: list[FolderData], dest: Path, page_file: Path, told: Told) -> list[Path]:
    scripts = [text for folder in data for _, text in folder.scripts()]
    images = list(dict(_images(data)).items())
    if len(images) > MOST_INLINE:
        raise JobError(
            f"{len(images):,} images are too many for a single file, which takes {MOST_INLINE}",
            fix=f"leave out --single-file, or choose some: --sample {MOST_INLINE} or --where",
        )
    drawn = inline_images(images, _INLINE_SIDE)
    told(f"{len(images):,} images drawn")
    for folder in data:
        for number, chunk in enumerate(folder.chunks):
            places = [drawn.get(digest, None) if digest else None for digest in chunk.digests]
            scripts.append(script("thumbs", folder.number, number, places))
    head = script("head", _head(data, dest, "") | {"single": True})
    _replace(page_file, single_page(_title(data), [head, *scripts, "Mill.start();\n"]))
    return []


def _images(data: list[FolderData]) -> Iterator[tuple[str, Path]]:
    """Digest and file of every image on a disk."""
    for folder in data:
        for chunk in folder.chunks:
            for digest, name in zip(chunk.digests, chunk.files, strict=True):
                if digest and name and "://" not in name:
                    yield digest, folder.results.out / name


def _place(thumbs: Thumbnails, digest: str) -> Any:
    if not digest:
        return None
    found = thumbs.known.get(digest)
    return list(found) if found is not None else thumbs.broken.get(digest)


def _head(data: list[FolderData], dest: Path, token: str) -> dict[str, Any]:
    return {
        "version": VERSION,
        "made": int(time.time() * 1000),
        "files": token,
        "single": False,
        "thumbs": geometry(),
        "folders": [folder.head(dest) for folder in data],
    }


def _title(data: list[FolderData]) -> str:
    return " · ".join(folder.results.out.resolve().name for folder in data) + " – imagemill report"


def _named_by(page_file: Path) -> str:
    """The folder that the present page reads; it stays until the next build, for whoever has it open."""
    with suppress(OSError):
        found = _FILES.search(page_file.read_text("utf-8", "replace"))
        return found.group() if found is not None else ""
    return ""


def _replace(page_file: Path, text: str) -> None:
    draft = page_file.with_name(f".{page_file.name}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text, "utf-8", "replace")  # the name of a folder may be no text
        draft.replace(page_file)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _locked(dest: Path) -> Iterator[None]:
    lock = FileLock(dest / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise JobError(
            f"another report is being built in {dest}",
            fix="wait for it to end, or choose another folder: --dest DIR",
            exit_code=ExitCode.LOCKED,
        ) from None
    try:
        yield
    finally:
        lock.release()
