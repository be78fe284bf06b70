"""The files of a folder held against its ledger: missing, altered, exchanged, foreign; and put back by renaming."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from jobs.naming import EXTENSIONS, image_name, quarantine_name
from runner.artifacts.artifact_reader import LocalReader
from runner.artifacts.atomic_files import Folder, sha256_of, sync_above
from runner.ledger.queries import RecordedFile
from runner.ledger.reader import LedgerReader
from schemas.failures import RowStatus

_ALTERED = re.compile(r"(.+)\.altered(?:-\d+)?")
"""The name that a repair gives a file that stood in the place of another; it is kept as it was."""

_ATTEMPT = re.compile(
    rf"\b(?P<attempt>\d{{1,18}})(?:-(?P<index>\d{{1,9}})\.(?:{'|'.join(EXTENSIONS.values())})|\.body)$"
)
_TOPS = ("images", "quarantine")


class Problem(NamedTuple):
    """Something that is not as the ledger says. path: relative to OUT. repaired: whether it is now as it should be."""

    path: str
    problem: str
    repaired: bool = False


def check_files(
    ledger: LedgerReader, *, repair_in: Folder | None, before_s: float | None
) -> tuple[int, list[Problem]]:
    """How many files the ledger names, and what is wrong with them and beside them.

    repair_in: put back what stands under another name. before_s: leave out foreign files changed since (Unix seconds).
    """
    out = ledger.out
    named: set[str] = set()
    lost: dict[str, tuple[RecordedFile, str]] = {}
    for expected in ledger.recorded_files():
        named.add(expected.path)
        problem = _file_problem(out / expected.path, expected)
        if problem is not None:
            lost[expected.path] = expected, problem
    strays = _digests(
        out, (path for path in _stray_files(out) if path not in named and _is_older(out / path, before_s))
    )
    homes = _homes((expected for expected, _ in lost.values()), strays | _digests(out, lost))
    restored = _put_back(repair_in, homes) if repair_in else set()
    problems = [
        Problem(
            path, problem + (f"; its bytes are at {homes[path]}" if path in homes else ""), path in restored
        )
        for path, (_, problem) in lost.items()
    ]
    used = {homes[path] for path in restored}
    pruned = ledger.pruned_files()
    leftover = {path for path, digest in strays.items() if pruned.get(path) == digest and path not in used}
    if repair_in is not None:
        LocalReader(repair_in.root).remove(leftover)  # a prune that was killed is finished
    used |= leftover
    left = (path for path in strays if path not in used and _kept_for(path) not in named)
    told = ((path, _stray_problem(ledger, path)) for path in left)
    problems += [Problem(path, problem) for path, problem in told if problem is not None]
    problems += [
        Problem(path, "a symbolic link stands in place of a folder") for path in _linked_folders(out)
    ]
    return len(named), problems


def _is_older(path: Path, before_s: float | None) -> bool:
    return before_s is None or path.lstat().st_mtime < before_s


def _stray_problem(ledger: LedgerReader, path: str) -> str | None:
    """What is wrong with a file that no record names. None: an attempt that is settled as unknown left it.

    A kill leaves such files: some of an answer's images, or a body, whose outcome was not recorded. They were paid for.
    """
    match = _ATTEMPT.search(path)
    row = None if match is None else ledger.row_of_attempt(int(match["attempt"]))
    if match is None or row is None or path not in _names(match, row[0]):
        return "not in the ledger: no file of imagemill's"
    if row[1] is None:
        return "left by a run that was killed; the next run, or --repair, takes it in where it is whole"
    return None if row[1] is RowStatus.PARKED else "not in the ledger: no file of imagemill's"


def _names(match: re.Match[str], row_id: str) -> set[str]:
    """The names that files of this attempt have."""
    number = int(match["attempt"])
    if match["index"] is None:
        return {quarantine_name(number, row_id)}
    return {image_name(number, int(match["index"]), row_id, kind) for kind in EXTENSIONS}


def _file_problem(path: Path, expected: RecordedFile) -> str | None:
    if path.is_symlink():
        return "a symbolic link stands in its place"
    if not path.is_file():
        return "missing"
    if expected.size is None:
        return None
    try:
        size = path.stat().st_size
        if size != expected.size:
            return f"has {size:,} bytes instead of {expected.size:,}"
        return None if sha256_of(path) == expected.sha256 else "altered: its sha256 is not the recorded one"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _stray_files(out: Path) -> Iterator[str]:
    """Everything under images/ and quarantine/ that is no folder."""
    for top in _TOPS:
        for folder, _, names in os.walk(out / top):
            for name in sorted(names):
                yield (Path(folder) / name).relative_to(out).as_posix()


def _linked_folders(out: Path) -> Iterator[str]:
    for top in _TOPS:
        if (out / top).is_symlink():
            yield top
        for folder, names, _ in os.walk(out / top):
            for path in (Path(folder) / name for name in sorted(names)):
                if path.is_symlink():
                    yield path.relative_to(out).as_posix()


def _digests(out: Path, paths: Iterable[str]) -> dict[str, str]:
    """Path -> sha256 of what stands there; "" for what is no readable regular file."""
    found = {}
    for name in paths:
        path = out / name
        found[name] = ""
        if path.is_file() and not path.is_symlink():
            with suppress(OSError):
                found[name] = sha256_of(path)
    return found


def _homes(lost: Iterable[RecordedFile], standing: dict[str, str]) -> dict[str, str]:
    """Path of a lost file -> path where its bytes stand now, each used once."""
    places = defaultdict(list)
    for path, digest in standing.items():
        places[digest].append(path)
    return {each.path: places[each.sha256].pop() for each in lost if each.sha256 and places[each.sha256]}


def _put_back(folder: Folder, homes: dict[str, str]) -> set[str]:
    """Rename files to where they belong; those that are there now. What stood there is kept beside.

    First everything in the way steps aside, so that files which took each other's places can both go home.
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
    """Rename what stands there to a name that is free; the new name."""
    name, number = f"{path}.altered", 1
    while os.path.lexists(root / name):
        number += 1
        name = f"{path}.altered-{number}"
    (root / path).rename(root / name)
    return name


def _kept_for(path: str) -> str | None:
    """The path from which a repair set this file aside; None for any other."""
    found = _ALTERED.fullmatch(path)
    return found[1] if found else None
