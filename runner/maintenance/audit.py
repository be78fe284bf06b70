"""Compares the files of a folder with its ledger: missing, altered, swapped and foreign ones; repairs by renaming."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from jobs.naming import EXTENSIONS, image_name, quarantine_name
from runner.artifacts.artifact_reader import LinkInPlace, LocalReader
from runner.artifacts.atomic_files import Folder, sync_above
from runner.artifacts.spool import is_spool
from runner.ledger.queries import RecordedFile
from runner.ledger.reader import LedgerReader
from schemas.failures import RowStatus
from schemas.output_folder import IMAGES, QUARANTINE

_ALTERED = re.compile(r"(.+)\.altered(?:-\d+)?")
"""A repair gives this name to a file that had another file's name; its bytes are kept."""

_ATTEMPT = re.compile(
    rf"\b(?P<attempt>\d{{1,18}})(?:-(?P<index>\d{{1,9}})\.(?:{'|'.join(EXTENSIONS.values())})|\.body)$"
)
_TOPS = (IMAGES, QUARANTINE)
MISSING = "missing"
KILLED = "left by a run that was killed"


class FileProblem(NamedTuple):
    """Something that is not as the ledger says. path: relative to OUT. repaired: whether it is now as it should be."""

    path: str
    problem: str
    repaired: bool = False


def check_files(
    ledger: LedgerReader, *, repair_in: Folder | None, before_s: float | None
) -> tuple[int, list[FileProblem]]:
    """How many files the ledger names, and the problems of these and of foreign files.

    repair_in: rename files back to their recorded names. before_s: leave out foreign files changed since (Unix seconds).
    """
    artifacts = LocalReader(ledger.out)
    named: set[str] = set()
    lost: dict[str, tuple[RecordedFile, str]] = {}
    for expected in ledger.recorded_files():
        named.add(expected.path)
        problem = _file_problem(artifacts, expected)
        if problem is not None:
            lost[expected.path] = expected, problem
    _forget_superseded(ledger, lost)
    found = (path for top in _TOPS for path in artifacts.list(top) if path not in named)
    strays = _digests(
        artifacts, (path for path in found if before_s is None or artifacts.written_s(path) < before_s)
    )
    homes = _homes((expected for expected, _ in lost.values()), strays | _digests(artifacts, lost))
    restored = _put_back(repair_in, homes) if repair_in else set()
    problems = [
        FileProblem(
            path, problem + (f"; its bytes are at {homes[path]}" if path in homes else ""), path in restored
        )
        for path, (_, problem) in lost.items()
    ]
    used = {homes[path] for path in restored}
    pruned = ledger.pruned_files()
    leftover = {path for path, digest in strays.items() if pruned.get(path) == digest and path not in used}
    if repair_in is not None:
        artifacts.remove(leftover)  # a prune that was killed is finished
    used |= leftover
    left = (path for path in strays if path not in used and _kept_for(path) not in named)
    strays_left = ((path, _stray_problem(ledger, path)) for path in left)
    problems += [FileProblem(path, problem) for path, problem in strays_left if problem is not None]
    linked = (path for top in _TOPS for path in artifacts.linked_folders(top))
    problems += [FileProblem(path, "a symbolic link stands in place of a folder") for path in linked]
    return len(named), problems


def _forget_superseded(ledger: LedgerReader, lost: dict[str, tuple[RecordedFile, str]]) -> None:
    """An image that is gone is no damage where a newer one has superseded it, unless that one is damaged too."""
    if any(problem == MISSING for _, problem in lost.values()):
        for file in ledger.superseded():
            expected = lost.get(file.path)
            if expected and expected[1] == MISSING and file.newer and file.newer[0] not in lost:
                del lost[file.path]


def _stray_problem(ledger: LedgerReader, path: str) -> str | None:
    """The problem of a file that no record names. None: it belongs to a parked attempt.

    A killed run leaves such files: some of an answer's images, or a body, whose outcome was not recorded. They were paid
    for.
    """
    if is_spool(Path(path).name):
        return "holds paid answers that were refused their place; the next run, or --repair, puts them there"
    match = _ATTEMPT.search(path)
    row = None if match is None else ledger.row_of_attempt(int(match["attempt"]))
    if match is None or row is None or path not in _names(match, row[0]):
        return "not in the ledger: no file of imagemill's"
    if row[1] is None:
        return f"{KILLED}; the next run, or --repair, takes it in where it is whole"
    return None if row[1] is RowStatus.PARKED else "not in the ledger: no file of imagemill's"


def _names(match: re.Match[str], row_id: str) -> set[str]:
    """The names that files of this attempt can have."""
    number = int(match["attempt"])
    if match["index"] is None:
        return {quarantine_name(number, row_id)}
    return {image_name(number, int(match["index"]), row_id, kind) for kind in EXTENSIONS}


def _file_problem(artifacts: LocalReader, expected: RecordedFile) -> str | None:
    try:
        size = artifacts.size(expected.path)
        if expected.size is None:
            return None
        if size != expected.size:
            return f"has {size:,} bytes instead of {expected.size:,}"
        if artifacts.digest(expected.path) != expected.sha256:
            return "altered: its sha256 is not the recorded one"
    except LinkInPlace:
        return "a symbolic link stands in its place"
    except FileNotFoundError:
        return MISSING
    except PermissionError as error:
        return None if expected.private else f"cannot be read: {error.strerror}"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def _digests(artifacts: LocalReader, paths: Iterable[str]) -> dict[str, str]:
    """Path -> sha256 of the file; "" if it is no readable regular file."""
    found = dict.fromkeys(paths, "")
    for path in found:
        with suppress(OSError):
            found[path] = artifacts.digest(path)
    return found


def _homes(lost: Iterable[RecordedFile], standing: dict[str, str]) -> dict[str, str]:
    """Path of a lost file -> path of a file with its bytes, each used once."""
    by_digest = defaultdict(list)
    for path, digest in standing.items():
        by_digest[digest].append(path)
    return {
        each.path: by_digest[each.sha256].pop() for each in lost if each.sha256 and by_digest[each.sha256]
    }


def _put_back(folder: Folder, homes: dict[str, str]) -> set[str]:
    """Rename files to their recorded paths; returns these. A file that had such a path is kept beside it.

    All files in the way are renamed first, so that files that have each other's names can both be restored.
    """
    reachable = [path for path, now in homes.items() if _reachable(folder, path) and _reachable(folder, now)]
    aside = {path: _set_aside(folder.root, path) for path in reachable if os.path.lexists(folder.root / path)}
    for path in reachable:
        (folder.root / aside.get(homes[path], homes[path])).rename(folder.root / path)
        sync_above(folder.root, path)
    return set(reachable)


def _reachable(folder: Folder, path: str) -> bool:
    try:
        folder.make(str(Path(path).parent))
    except OSError:
        return False
    return True


def _set_aside(root: Path, path: str) -> str:
    """Rename this file to a free name. Returns that name."""
    name, number = f"{path}.altered", 1
    while os.path.lexists(root / name):
        number += 1
        name = f"{path}.altered-{number}"
    (root / path).rename(root / name)
    return name


def _kept_for(path: str) -> str | None:
    """The path that this file had before a repair set it aside; None for any other file."""
    found = _ALTERED.fullmatch(path)
    return found[1] if found else None
