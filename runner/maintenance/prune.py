"""`imagemill prune`: image files that a newer success of the same image has superseded are removed.

What is removed is recorded in the ledger first, so that nobody takes it for lost. A file goes only when it is the very
one that was recorded, and when the one that supersedes it stands on disk, whole.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from runner.artifacts.artifact_reader import LocalReader
from runner.artifacts.atomic_files import sha256_of
from runner.config.loader import read_out_job
from runner.ledger.queries import Superseded
from runner.ledger.reader import LedgerReader
from runner.planning.prepare import prepare
from runner.planning.row_stream import Intake
from runner.process.clock import wall_ms
from runner.workspace.folder import opened
from schemas.errors import JobError
from schemas.job import InputTable
from schemas.row import Row

_A_TIME = 500


@dataclass
class Pruning:
    """What may go, and why other superseded files stay: path -> reason. leftover: recorded as gone, still there."""

    files: list[Superseded] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    leftover: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Of the files that may go."""
        return sum(file.bytes for file in self.files)


def find(ledger: LedgerReader, *, removed_of: Intake | None = None) -> Pruning:
    """What may go. removed_of: the manifest; images of rows that are not in it any more go too."""
    found = Pruning(leftover=_leftovers(ledger))
    files = ledger.superseded()
    if removed_of is not None:
        removed = ledger.images_of(_removed(ledger, removed_of))
        doomed = {_place(file) for file in removed}
        files = sorted([*removed, *(file for file in files if _place(file) not in doomed)], key=_place)
    for file in files:
        reason = _reason_to_keep(ledger.out, file)
        if reason is None:
            found.files.append(file)
        else:
            found.kept[file.path] = reason
    return found


def _place(file: Superseded) -> tuple[int, int]:
    return file.attempt, file.index


def _removed(ledger: LedgerReader, intake: Intake) -> list[int]:
    """Items with images that are no row of the manifest now, nor an earlier version of one that has no image itself."""
    every = ledger.items_with_images()
    index = ledger.item_index()
    own: set[int] = set()
    without: set[str] = set()
    for batch in intake.batches():
        rows = [row for row in batch.rows if isinstance(row, Row)]
        for row, item in zip(rows, index.items(rows), strict=True):
            if item in every:
                own.add(item)
            else:
                without.add(row.row_id)
    gone = [item for item, row_id in every.items() if item not in own and row_id not in without]
    if every and len(gone) == len(every):
        raise JobError(
            f"no image is of a row of {intake.manifest.label}: it looks like another manifest",
            fix="leave --removed out, or delete the folder by hand",
        )
    return gone


def _reason_to_keep(out: Path, file: Superseded) -> str | None:
    if not _holds(out / file.path, file.sha256):
        return "is not the file that was recorded: see verify"
    if file.newer is not None and not _holds(out / file.newer[0], file.newer[1]):
        return f"the newer {file.newer[0]} is missing or altered: see verify"
    return None


def _holds(path: Path, digest: str) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with suppress(OSError):
        return sha256_of(path) == digest
    return False


def _leftovers(ledger: LedgerReader) -> list[str]:
    """Files that were recorded as gone and still stand: a kill came between."""
    return [path for path, digest in ledger.pruned_files().items() if _holds(ledger.out / path, digest)]


def look(out: Path, *, removed: bool) -> Pruning:
    """What a prune would remove; nothing is changed. Raises JobError when it is no such folder."""
    intake = _intake(out) if removed else None
    with LedgerReader.open(out) as ledger, ledger.one_view():
        return find(ledger, removed_of=intake)


def prune(out: Path, *, removed: bool) -> Pruning:
    """Record and remove what is superseded; what was removed. Takes the folder's lock. Raises JobError (exit 2, 6, 7, 9).

    removed: images of rows that are not in the manifest any more, too.
    """
    job = read_out_job(out)
    intake = _intake(out) if removed else None
    with opened(out, job) as place:
        found = find(place.ledger, removed_of=intake)
        artifacts = LocalReader(out)
        artifacts.remove(found.leftover)
        for start in range(0, len(found.files), _A_TIME):
            files = found.files[start : start + _A_TIME]
            now_ms = wall_ms()
            place.ledger.record_pruned(map(_place, files), now_ms=now_ms)
            artifacts.remove(file.path for file in files)
    return found


def _intake(out: Path) -> Intake:
    """All rows of the manifest, also those that `--limit` or `--sample` left out."""
    job = read_out_job(out)
    try:
        ready = prepare(job.model_copy(update={"input": InputTable()}), sends=False)
    except JobError as error:
        raise JobError(
            f"--removed needs the manifest: {error.message}", fix=error.fix or "leave --removed out"
        ) from None
    return ready.intake
