"""What dead runs left, taken in, so that what was paid for is not lost: images without a record, and spool files.

Between the moment an image stands under its final name and the moment its outcome is recorded, a kill leaves the file
without a record. The name tells the attempt and the index, and only whole, checked images ever get a final name. The
kill may have come before that name was synced, so that is done before it is recorded.

A spool file holds what its run could not put in its place. It goes once everything in it has an outcome that names it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from jobs.naming import EXTENSIONS, image_folder, image_name, quarantine_name, slug
from jobs.state import image_index
from runner.artifacts.artifact_reader import LocalReader
from runner.artifacts.atomic_files import Folder, save_unique
from runner.artifacts.image_checks import PATIENCE_NS, SlowCheck, inspect_image, mismatch_flags
from runner.artifacts.image_store import ImageStore, ToSave
from runner.artifacts.spool import SpooledFile, spool_files, spooled
from runner.ledger.ledger_file import DeadAttempt, LedgerFile
from runner.process.disk_errors import explaining
from schemas.artifacts import Check, Label, NotAnImage, RequestedFormat
from schemas.failures import Failure, FailureKind, RowStatus
from schemas.outcome import Failed, KeptBody, MissingImage, Outcome, Reported, SavedImage, Success, Unfetched
from schemas.request import ImageRequest

RECOVERED = "recovered"
"""Flag of an image adopted from a dead run; what the service said beside it (revised prompt, usage) is lost."""


@dataclass
class _Spools:
    """Everything that the folder's spool files hold, by attempt."""

    files: dict[int, list[SpooledFile]] = field(default_factory=lambda: defaultdict(list))
    empty: set[Path] = field(default_factory=set)

    @classmethod
    def of(cls, out: Path) -> _Spools:
        """Raises OSError where one cannot be read."""
        found = cls()
        for path in spool_files(out):
            if not path.stat().st_size:
                found.empty.add(path)
            for each in spooled(path):
                found.files[each.attempt].append(each)
        return found


def recover_images(ledger: LedgerFile, folder: Folder, *, check: Check, now_ms: int, since: int = 0) -> int:
    """Record the dead attempts whose answers stand on disk; their number. Nobody else may be running.

    since: the first attempt that may be dead. Raises OSError where this machine refuses to put a spooled file in its place.
    """
    adopted, spools = 0, _Spools.of(folder.root)
    whole = ledger.spooled_attempts()
    unfetched = {task.attempt: task.task for task in ledger.open_tasks() if isinstance(task.task, Unfetched)}
    for dead in ledger.dead_attempts(since):
        parts = spools.files.get(dead.attempt, [])
        outcome = _outcome(
            folder, dead, parts, check, whole=dead.attempt in whole or dead.attempt in unfetched
        )
        if outcome is None:
            continue
        if (waits := unfetched.get(dead.attempt)) is not None:
            if isinstance(outcome, Failed):
                continue  # its images are fetched
            outcome = _still_to_fetch(outcome, waits, dead)
        if isinstance(outcome, Success):
            LocalReader(folder.root).sync_names(image.file_name for image in outcome.images)
        ledger.record_recovered(dead, outcome, now_ms=now_ms)
        adopted += 1
    _remove_done(ledger, folder, spools)
    return adopted


def _outcome(
    folder: Folder, dead: DeadAttempt, parts: list[SpooledFile], check: Check, *, whole: bool
) -> Outcome | None:
    """What the attempt came to; None where not all of it is there. whole: nothing of its answer can be missing."""
    body = _body(folder, dead, parts)
    images = {image.index: image for image in _on_disk(LocalReader(folder.root), dead, check)}
    images |= {image.index: image for image in _from_spool(folder, dead, parts, check)}
    absent = [index for index in dead.indexes if index not in images]
    reported = next((_reported(part) for part in parts), None)
    if images and (not absent or whole or body is not None):
        missing = tuple(MissingImage(index, FailureKind.BAD_CONTENT, _NOT_THERE) for index in absent)
        flags = () if parts else (RECOVERED,)
        ordered = tuple(images[index] for index in sorted(images))
        return Success(ordered, missing, reported or Reported(), flags=flags, quarantined=body)
    if body is not None and not images:
        told = next(str(part.note.get("message") or _NOT_THERE) for part in parts if part.note.get("is_body"))
        return Failed(Failure(FailureKind.BAD_CONTENT, told), reported or Reported(), body)
    return None


def _still_to_fetch(outcome: Success, waits: Unfetched, dead: DeadAttempt) -> Success:
    """The outcome of an answer with images behind URLs: those that are not on disk are fetched."""
    there = {image.index for image in outcome.images}
    indexes = tuple(dead.indexes)
    links = [link for link in waits.links if image_index(link.position, indexes) not in there]
    awaited = {image_index(link.position, indexes) for link in links}
    missing = tuple(absent for absent in outcome.missing if absent.index not in awaited)
    left = replace(waits, links=tuple(links), saved=len(outcome.images)) if links else None
    return replace(outcome, missing=missing, reported=waits.reported, unfetched=left)


_NOT_THERE = "no usable image in the answer"


def _from_spool(
    folder: Folder, dead: DeadAttempt, parts: list[SpooledFile], check: Check
) -> Iterator[SavedImage]:
    """The attempt's spooled images, each put in its place. Raises OSError."""
    store, asked = ImageStore(folder, check), RequestedFormat.of_request(dead.request)
    for part in parts:
        data = None if part.note.get("is_body") else part.read()
        if data is None:
            continue
        label = Label(dead.attempt, part.image, slug(dead.row_id))
        try:
            with explaining(folder.root / image_folder(dead.attempt)):
                image = _saved(store, ToSave((data,), asked, label))
        except NotAnImage:
            continue
        revised = part.note.get("revised_prompt")
        yield image if revised is None else replace(image, revised_prompt=str(revised))


def _saved(store: ImageStore, order: ToSave) -> SavedImage:
    """Saved, whatever its check would take: it had passed before it was spooled."""
    try:
        return store.save(order)
    except SlowCheck as slow:
        return store.save(order._replace(info=slow.info))


def _body(folder: Folder, dead: DeadAttempt, parts: list[SpooledFile]) -> KeptBody | None:
    """The attempt's spooled body, put in its place. Raises OSError."""
    for part in parts:
        data = part.read() if part.note.get("is_body") else None
        if data is not None:
            return _kept(folder, quarantine_name(dead.attempt, dead.row_id), data)
    return None


def _kept(folder: Folder, name: str, data: bytes) -> KeptBody:
    name = save_unique(folder, name, lambda: (data,), private=True)
    return KeptBody(name, len(data), hashlib.sha256(data).hexdigest())


def _reported(part: SpooledFile) -> Reported:
    told = part.note.get("reported")
    return Reported(*told) if isinstance(told, list) and len(told) == len(Reported._fields) else Reported()


def _remove_done(ledger: LedgerFile, folder: Folder, spools: _Spools) -> None:
    """Remove the spool files of which everything has been put in its place."""
    left = {
        part.path
        for attempt, parts in spools.files.items()
        for part in parts
        if not _is_done(ledger, attempt)
    }
    done = spools.empty | {part.path for parts in spools.files.values() for part in parts} - left
    LocalReader(folder.root).remove(path.relative_to(folder.root).as_posix() for path in sorted(done))


def _is_done(ledger: LedgerFile, attempt: int) -> bool:
    known = ledger.row_of_attempt(attempt)
    return known is not None and known[1] in (RowStatus.SUCCEEDED, RowStatus.FAILED)


def _on_disk(artifacts: LocalReader, dead: DeadAttempt, check: Check) -> Iterator[SavedImage]:
    for index in dead.indexes:
        for image_format in EXTENSIONS:
            name = image_name(dead.attempt, index, dead.row_id, image_format)
            image = _read(artifacts, name, index, dead.request, check)
            if image is not None:
                yield image
                break


def _read(
    artifacts: LocalReader, name: str, index: int, request: ImageRequest, check: Check
) -> SavedImage | None:
    try:
        with artifacts.open(name) as file:
            data = file.read()
    except FileNotFoundError:
        return None
    try:
        info = inspect_image(
            data, asked_format=request.get("output_format"), check=check, patience_ns=PATIENCE_NS
        )
    except NotAnImage:
        return None
    except SlowCheck as slow:
        info = slow.info  # it was checked before it got its name
    return SavedImage(
        index,
        name,
        info.format,
        info.width,
        info.height,
        len(data),
        hashlib.sha256(data).hexdigest(),
        None,
        mismatch_flags(info, RequestedFormat.of_request(request)),
    )
