"""`imagemill prune`: removes image files that a newer success of the same image has superseded.

A removal is recorded in the ledger first, so that the file is not reported as missing later. A file is removed only if its
digest is the recorded one, and if the file that supersedes it is on disk and whole.
"""

from __future__ import annotations

from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from runner.artifacts.artifact_reader import LocalReader
from runner.config.loader import read_out_job
from runner.ledger.queries import Superseded
from runner.ledger.reader import LedgerReader
from runner.planning.prepare import prepare
from runner.planning.row_stream import RowStream
from runner.process.clock import wall_ms
from runner.results.table import ResultsTable
from runner.workspace.folder import open_workspace
from schemas.errors import JobError
from schemas.job import InputTable
from schemas.output_folder import RESULTS_NAME
from schemas.row import Row

_A_TIME = 500


@dataclass
class Pruning:
    """What a prune finds. files: may be removed. kept: superseded files that stay, path -> reason.

    leftover: files that were recorded as removed and still exist.
    """

    files: list[Superseded] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    leftover: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Total size of the files that may be removed."""
        return sum(file.bytes for file in self.files)


def find(ledger: LedgerReader, *, removed_of: RowStream | None = None) -> Pruning:
    """The files that may be removed. removed_of: a manifest; images of rows that it no longer has are among them then."""
    artifacts = LocalReader(ledger.out)
    found = Pruning(leftover=_leftovers(ledger, artifacts))
    files = ledger.superseded()
    if removed_of is not None:
        removed = ledger.images_of(_removed(ledger, removed_of))
        doomed = {_number(file) for file in removed}
        files = sorted([*removed, *(file for file in files if _number(file) not in doomed)], key=_number)
    for file in files:
        reason = _reason_to_keep(artifacts, file)
        if reason is None:
            found.files.append(file)
        else:
            found.kept[file.path] = reason
    return found


def _number(file: Superseded) -> tuple[int, int]:
    return file.attempt, file.index


def _removed(ledger: LedgerReader, row_stream: RowStream) -> list[int]:
    """Items with images whose row the manifest no longer has, unless they are the only image of an edited row."""
    every = ledger.items_with_images()
    index = ledger.item_index()
    own: set[int] = set()
    without: set[str] = set()
    for batch in row_stream.batches():
        rows = [row for row in batch.rows if isinstance(row, Row)]
        for row, item in zip(rows, index.items(rows), strict=True):
            if item in every:
                own.add(item)
            else:
                without.add(row.row_id)
    gone = [item for item, row_id in every.items() if item not in own and row_id not in without]
    if every and len(gone) == len(every):
        raise JobError(
            f"no image is of a row of {row_stream.manifest.label}: it looks like another manifest",
            fix="leave --removed out, or delete the folder by hand",
        )
    return gone


def _reason_to_keep(artifacts: LocalReader, file: Superseded) -> str | None:
    if not _holds(artifacts, file.path, file.sha256):
        return "is not the file that was recorded: see verify"
    if file.newer is not None and not _holds(artifacts, *file.newer):
        return f"the newer {file.newer[0]} is missing or altered: see verify"
    return None


def _holds(artifacts: LocalReader, name: str, digest: str) -> bool:
    with suppress(OSError):
        return artifacts.digest(name) == digest
    return False


def _leftovers(ledger: LedgerReader, artifacts: LocalReader) -> list[str]:
    """Files that were recorded as removed and still exist, because prune was killed in between."""
    return [path for path, digest in ledger.pruned_files().items() if _holds(artifacts, path, digest)]


def preview(out: Path, *, removed: bool) -> Pruning:
    """What a prune would remove; nothing is changed. Raises JobError when it is no such folder."""
    row_stream = _row_stream(out) if removed else None
    with LedgerReader.open(out) as ledger, ledger.snapshot():
        return find(ledger, removed_of=row_stream)


def prune(out: Path, *, removed: bool) -> Pruning:
    """Record and remove superseded files; returns them. Takes the folder's lock. Raises JobError (exit 2, 6, 7, 9).

    removed: also images of rows that the manifest no longer has.
    """
    job = read_out_job(out)
    row_stream = _row_stream(out) if removed else None
    with open_workspace(out, job) as workspace:
        found = find(workspace.ledger, removed_of=row_stream)
        artifacts = LocalReader(out)
        artifacts.remove(found.leftover)
        if _is_shown(out, {file.path for file in found.files if file.newer is not None}):
            ready = prepare(job, sends=False, recorded=True)
            ResultsTable(ready.row_stream, workspace.ledger).write(workspace.folder, workspace.ledger.record)
        for start in range(0, len(found.files), _A_TIME):
            files = found.files[start : start + _A_TIME]
            now_ms = wall_ms()
            workspace.ledger.record_pruned(map(_number, files), now_ms=now_ms)
            artifacts.remove(file.path for file in files)
    return found


def _is_shown(out: Path, superseded: Set[str]) -> bool:
    """Whether the results table names one of these. It does where a run was killed before it could write it anew."""
    path = out / RESULTS_NAME
    if not superseded or not path.is_file():
        return False
    shown = pc.is_in(
        pq.read_table(path, columns=["file_name"]).column(0),
        value_set=pa.array(sorted(superseded), pa.string()),
    )
    return bool(pc.any(shown).as_py())


def _row_stream(out: Path) -> RowStream:
    """All rows of the manifest, also those that `--limit` or `--sample` left out."""
    job = read_out_job(out)
    try:
        ready = prepare(job.model_copy(update={"input": InputTable()}), sends=False)
    except JobError as error:
        raise JobError(
            f"--removed needs the manifest: {error.message}", fix=error.fix or "leave --removed out"
        ) from None
    return ready.row_stream
