"""Attempts that a ledger has forgotten, read from the results table and from the names of files."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.naming import EXTENSIONS, PER_FOLDER, quarantine_name
from runner.artifacts.artifact_reader import LocalReader
from runner.artifacts.atomic_files import Folder, sync_above
from runner.artifacts.image_checks import PATIENCE_NS, SlowCheck, inspect_image, mismatch_flags
from runner.artifacts.spool import spool_files, spooled
from runner.workspace.recovery import RECOVERED
from schemas.artifacts import Check, NotAnImage, RequestedFormat
from schemas.failures import Failure, FailureKind, RowStatus
from schemas.outcome import Failed, KeptBody, MissingImage, Outcome, Reported, SavedImage, Success
from schemas.output_folder import IMAGES, QUARANTINE, RESULTS_NAME
from schemas.request import FIELDS
from schemas.results import COLUMNS
from schemas.row import Row

_FILE = re.compile(
    rf"(?P<slug>.*?)-?(?P<attempt>\d{{1,15}})(?:-(?P<index>\d{{1,9}})\.(?:{'|'.join(EXTENSIONS.values())})|\.body)"
)
_OF_THE_ROW = frozenset(
    {"estimated_cost", "duplicate_image", "edited", "fewer_images", "extra_images", RECOVERED}
)
"""Flags that are not of the image alone."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """One attempt. outcome: None where it was in flight, or a task. sent_ms: None where only the clock of today is known.

    status: of its row after it, where it failed. indexes: which of the row's images it asked for; None: all.
    """

    attempt: int
    row: Row
    outcome: Outcome | None
    endpoint: str = "unknown"
    status: RowStatus | None = None
    indexes: tuple[int, ...] | None = None
    task_id: str | None = None
    sent_ms: int | None = None
    finished_ms: int | None = None
    latency_s: float | None = None
    cost_usd: float | None = None
    cost_estimated: bool = False


@dataclass
class ToldByTable:
    """Lines of the table that tell of forgotten attempts, by row id."""

    lines: pa.Table
    places: Mapping[str, Sequence[int]]

    def of_row(self, row: Row) -> Iterator[Forgotten]:
        """What they tell of a row, unless it was edited since."""
        places = self.places.get(row.row_id)
        if places is None:
            return
        lines = [
            line for line in self.lines.take(pa.array(places)).to_pylist() if line["prompt"] == row.own_prompt
        ]
        lines.sort(key=lambda line: (line["attempt"], line["image_index"]))
        for attempt, group in groupby(lines, key=lambda line: line["attempt"]):
            yield _of_lines(attempt, row, list(group))


def from_table(out: Path, since: int) -> ToldByTable:
    """What the results table tells of attempts from this number on; nothing where it cannot be read."""
    with suppress(OSError, pa.ArrowException, KeyError):
        names = [name for name, _, _ in COLUMNS]
        table = pq.read_table(out / RESULTS_NAME, columns=names)
        table = table.filter(pc.greater_equal(table["attempt"], since))
        places: dict[str, list[int]] = defaultdict(list)
        for place, row_id in enumerate(table["row_id"].to_pylist()):
            places[row_id].append(place)
        return ToldByTable(table, places)
    return ToldByTable(pa.table({}), {})


def _of_lines(attempt: int, row: Row, lines: Sequence[Mapping[str, Any]]) -> Forgotten:
    first, n = lines[0], row.request.n
    others = tuple((name, value) for name, value in row.request.params if name not in FIELDS)
    params = (*((name, first[name]) for name in FIELDS if first[name] is not None), *others)
    request = row.request._replace(params=params)
    sent = row if first["sent_prompt"] is None else row._replace(manifest_prompt=row.own_prompt)
    if first["sent_prompt"] is not None:
        request = request._replace(prompt=first["sent_prompt"])
    costs = [line["cost_usd"] for line in lines if line["cost_usd"] is not None]
    indexes = tuple(line["image_index"] for line in lines)
    outcome, status = _outcome(lines)
    return Forgotten(
        attempt,
        sent._replace(request=request),
        outcome,
        first["endpoint"] or "unknown",
        status,
        None if len(indexes) == n else indexes,
        first["task_id"],
        _ms(first["started_at"]),
        _ms(first["finished_at"]),
        first["latency_s"],
        sum(costs) if costs else None,
        "estimated_cost" in (first["flags"] or ()),
    )


def _ms(moment: Any) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def _outcome(lines: Sequence[Mapping[str, Any]]) -> tuple[Outcome | None, RowStatus | None]:
    """How the attempt ended, and what became of its row; None for one that had not ended."""
    first = lines[0]
    reported = Reported(
        int(first["created"].timestamp()) if first["created"] else None,
        first["request_id"],
        first["task_id"],
        first["input_tokens"],
        first["output_tokens"],
    )
    images = tuple(_image(line) for line in lines if line["file_name"] is not None)
    if images:
        lacking = (line for line in lines if line["file_name"] is None)
        missing = tuple(
            MissingImage(
                line["image_index"], _kind(line) or FailureKind.BAD_CONTENT, line["error_message"] or ""
            )
            for line in lacking
        )
        flags = tuple(
            flag for flag in ("extra_images", "fewer_images", RECOVERED) if flag in (first["flags"] or ())
        )
        return Success(images, missing, reported, first["http_status"] or 200, flags), RowStatus.SUCCEEDED
    kind = _kind(first)
    if kind is None or first["finished_at"] is None:
        return None, None
    failure = Failure(kind, first["error_message"] or "", first["error_code"], first["http_status"])
    return Failed(failure, reported), RowStatus(first["status"])


def _kind(line: Mapping[str, Any]) -> FailureKind | None:
    return FailureKind(line["error_kind"]) if line["error_kind"] in {*FailureKind} else None


def _image(line: Mapping[str, Any]) -> SavedImage:
    named = ("file_name", "format", "width", "height", "bytes", "sha256", "revised_prompt")
    flags = tuple(flag for flag in line["flags"] or () if flag not in _OF_THE_ROW)
    return SavedImage(index=line["image_index"], flags=flags, **{name: line[name] for name in named})


@dataclass
class FoundFiles:
    """Files of one attempt: image paths by index, its body, and the spool file with the rest. slug: of its row's id."""

    slug: str
    images: dict[int, str] = field(default_factory=dict)
    body: str | None = None
    spool: str | None = None

    @property
    def paths(self) -> list[str]:
        """All of them."""
        return [*self.images.values(), *(path for path in (self.body, self.spool) if path is not None)]


@dataclass
class ToldByNames:
    """Files of forgotten attempts. slugs: of the ids of rows that may have sent them."""

    by_attempt: dict[int, FoundFiles] = field(default_factory=dict)

    @property
    def slugs(self) -> frozenset[str]:
        """See above."""
        return frozenset(found.slug for found in self.by_attempt.values())


def of_files(out: Path, since: int) -> ToldByNames:
    """Files whose names tell of attempts from this number on; two rows' files under one number tell nothing."""
    found, reader = ToldByNames(), LocalReader(out)
    doubtful: set[int] = set()

    def noted(name: str) -> tuple[FoundFiles, re.Match[str]] | None:
        match = _FILE.fullmatch(name)
        if match is None or (attempt := int(match["attempt"])) < since:
            return None
        files = found.by_attempt.setdefault(attempt, FoundFiles(match["slug"]))
        if files.slug != match["slug"]:
            doubtful.add(attempt)
        return files, match

    for path in (*reader.list(IMAGES), *reader.list(QUARANTINE)):
        place = Path(path)
        if (each := noted(place.name)) is None:
            continue
        files, match = each
        if match["index"] is None:
            files.body = path
        elif place.parent.name == f"{int(match['attempt']) // PER_FOLDER:04d}":
            files.images[int(match["index"])] = path
    for spool in spool_files(out):
        for part in spooled(spool):
            if (each := noted(part.name)) is not None:
                each[0].spool = spool.relative_to(out).as_posix()
    for attempt in doubtful:
        del found.by_attempt[attempt]
    return found


def from_names(folder: Folder, attempt: int, found: FoundFiles, row: Row, check: Check) -> Forgotten | None:
    """What the files tell of an attempt for this row; None where none of them is what its name says. Raises OSError.

    What a spool file holds is put in its place by the recovery, which finds an attempt without an outcome.
    """
    if found.spool is not None:
        return Forgotten(attempt, row, None)
    body = None
    if found.body == quarantine_name(attempt, row.row_id):
        data = (folder.root / found.body).read_bytes()
        body = KeptBody(found.body, len(data), hashlib.sha256(data).hexdigest())
    images = tuple(
        image
        for index, path in sorted(found.images.items())
        if (image := _whole(folder.root / path, path, index, row, check)) is not None
    )
    if images:
        for image in images:
            sync_above(folder.root, image.file_name)
        there = {image.index for image in images}
        missing = tuple(
            MissingImage(index, FailureKind.BAD_CONTENT, "no file tells what became of it")
            for index in range(row.request.n)
            if index not in there
        )
        return Forgotten(attempt, row, Success(images, missing, flags=(RECOVERED,), quarantined=body))
    if body is None:
        return None
    failure = Failure(FailureKind.BAD_CONTENT, "paid, but the answer held no usable image")
    return Forgotten(attempt, row, Failed(failure, quarantined=body), status=RowStatus.FAILED)


def _whole(path: Path, name: str, index: int, row: Row, check: Check) -> SavedImage | None:
    if path.is_symlink() or not path.is_file():
        return None
    data = path.read_bytes()
    try:
        seen = inspect_image(
            data, asked_format=row.request.get("output_format"), check=check, patience_ns=PATIENCE_NS
        )
    except NotAnImage:
        return None
    except SlowCheck as slow:
        seen = slow.info  # it was checked before it got its name
    digest = hashlib.sha256(data).hexdigest()
    image = SavedImage(index, name, seen.format, seen.width, seen.height, len(data), digest)
    return replace(image, flags=mismatch_flags(seen, RequestedFormat.of_request(row.request)))
