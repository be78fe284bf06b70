"""`imagemill verify`: every image and table re-read and held against the ledger; repairs that cost nothing."""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from runner.intake import Intake
from runner.store import ledger
from runner.store.durable import TEMPORARY, Folder
from runner.store.results import RESULTS_NAME, Counts, ResultsTable, newest_digest


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as the ledger says. path: relative to OUT. repaired: whether it is now as it should be."""

    path: str
    problem: str
    repaired: bool = False


@dataclass
class Verification:
    """What was found. checked: files and ledger tables looked at. problems: all of them, repaired ones included."""

    checked: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def repaired(self) -> int:
        """How many problems are gone."""
        return sum(problem.repaired for problem in self.problems)

    @property
    def damaged(self) -> bool:
        """Whether anything is left that is not as the ledger says."""
        return any(not problem.repaired for problem in self.problems)


@dataclass(frozen=True, slots=True)
class _Expected:
    path: str
    size: int | None
    sha256: str | None


def verify(out: Path, intake: Intake, *, repair_in: Folder | None = None) -> Verification:
    """Check a folder. repair_in: restore what needs no payment; only while holding the folder's lock.

    Raises JobError when there is no ledger, or it cannot be read at all.
    """
    connection = (
        ledger.create_or_open(out, simulated=intake.job.simulate) if repair_in else ledger.open_reader(out)
    )
    found = Verification()
    try:
        for problem in _ledger_problems(connection):
            found.problems.append(Problem(ledger.LEDGER_NAME, problem))
        found.checked += 1
        if found.problems:
            return found
        _check_files(out, connection, found, repair_in)
        _check_temporary(out, found, repair_in)
        _check_results(out, intake, connection, found, repair_in)
    finally:
        connection.close()
    return found


_CONSISTENT = {
    "an outcome without its attempt": "SELECT attempt FROM outcomes WHERE attempt NOT IN (SELECT attempt FROM attempts)",
    "an image without its outcome": (
        "SELECT attempt FROM images WHERE attempt NOT IN (SELECT attempt FROM outcomes WHERE status = 'succeeded')"
    ),
    "an attempt without its row": "SELECT attempt FROM attempts WHERE item NOT IN (SELECT item FROM items)",
    "an attempt without its parameters": "SELECT attempt FROM attempts WHERE params NOT IN (SELECT params FROM params)",
    "an attempt without its run": "SELECT attempt FROM attempts WHERE run NOT IN (SELECT run FROM runs)",
    "a success without an image": (
        "SELECT attempt FROM outcomes WHERE status = 'succeeded' AND attempt NOT IN (SELECT attempt FROM images)"
    ),
}


def _ledger_problems(connection: sqlite3.Connection) -> Iterator[str]:
    try:
        for (line,) in connection.execute("PRAGMA integrity_check(20)"):
            if line != "ok":
                yield f"SQLite says: {line}"
        for name, query in _CONSISTENT.items():
            row = connection.execute(f"{query} LIMIT 1").fetchone()
            if row is not None:
                yield f"{name} (attempt {row[0]})"
    except sqlite3.DatabaseError as error:
        yield f"cannot be read: {error}"


def _expected(connection: sqlite3.Connection) -> Iterator[_Expected]:
    for name, size, digest in connection.execute(
        "SELECT file_name, bytes, sha256 FROM images ORDER BY attempt, idx"
    ):
        yield _Expected(name, size, digest.hex())
    for (name,) in connection.execute("SELECT quarantined FROM outcomes WHERE quarantined IS NOT NULL"):
        yield _Expected(name, None, None)


def _check_files(
    out: Path, connection: sqlite3.Connection, found: Verification, repair_in: Folder | None
) -> None:
    wanted: dict[str, str] = {}
    lost: list[tuple[_Expected, str]] = []
    for expected in _expected(connection):
        found.checked += 1
        wanted[expected.path] = ""
        problem = _file_problem(out / expected.path, expected)
        if problem is not None:
            lost.append((expected, problem))
    foreign = dict(_foreign(out, wanted))
    for expected, problem in lost:
        twin = next((name for name, digest in foreign.items() if digest == expected.sha256), None)
        restored = repair_in is not None and twin is not None and _move(repair_in, twin, expected.path)
        if twin is not None:
            problem += f"; the same bytes are at {twin}"
        if restored and twin is not None:
            del foreign[twin]
        found.problems.append(Problem(expected.path, problem, restored))
    for name in foreign:
        found.problems.append(Problem(name, "not in the ledger: no file of imagemill's"))


def _file_problem(path: Path, expected: _Expected) -> str | None:
    if path.is_symlink():
        return "a symbolic link stands in its place"
    if not path.is_file():
        return "missing"
    if expected.size is None:
        return None
    size = path.stat().st_size
    if size != expected.size:
        return f"has {size:,} bytes instead of {expected.size:,}"
    return None if _sha256(path) == expected.sha256 else "altered: its sha256 is not the recorded one"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _foreign(out: Path, wanted: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Files under images/ and quarantine/ that no record names, with their digests."""
    for top in ("images", "quarantine"):
        for folder, _, names in os.walk(out / top):
            for name in sorted(names):
                path = Path(folder) / name
                relative = path.relative_to(out).as_posix()
                if relative not in wanted:
                    yield relative, "" if path.is_symlink() else _sha256(path)


def _move(folder: Folder, source: str, target: str) -> bool:
    """Put the file back under its own name; the altered file that stood there is kept beside it."""
    root = folder.root
    with suppress(FileNotFoundError):
        (root / target).rename(root / f"{target}.altered")
    folder.make(str(Path(target).parent))
    (root / source).rename(root / target)
    return True


def _check_temporary(out: Path, found: Verification, repair_in: Folder | None) -> None:
    for entry in sorted((out / TEMPORARY).glob("*")):
        found.problems.append(
            Problem(f"{TEMPORARY}/{entry.name}", "left by a run that was killed", repair_in is not None)
        )
    if repair_in is not None:
        repair_in.clear_temporary()


def _check_results(
    out: Path, intake: Intake, connection: sqlite3.Connection, found: Verification, repair_in: Folder | None
) -> None:
    found.checked += 1
    table = ResultsTable(intake, connection)
    problem = _results_problem(out / RESULTS_NAME, table, connection)
    if problem is None:
        return
    if repair_in is not None:
        table.write(repair_in, partial(ledger.record_now, connection))
    found.problems.append(Problem(RESULTS_NAME, problem, repair_in is not None))


def _results_problem(path: Path, table: ResultsTable, connection: sqlite3.Connection) -> str | None:
    if path.is_symlink() or not path.is_file():
        return "missing"
    if _sha256(path) != newest_digest(connection):
        known = {row[0].hex() for row in connection.execute("SELECT sha256 FROM tables")}
        return (
            "older than the ledger"
            if _sha256(path) in known
            else "altered: not the bytes that imagemill wrote"
        )
    fresh = io.BytesIO()
    table.stream(fresh, Counts())
    fresh.seek(0)
    try:
        same = pq.read_table(fresh).equals(pq.read_table(path))
    except (pa.ArrowException, OSError) as error:
        return f"cannot be read: {error}"
    return None if same else "not what manifest and ledger say now"


def as_json(found: Verification) -> dict[str, object]:
    """What `verify --json` prints."""
    problems = [{"path": problem.path, "problem": problem.problem} for problem in found.problems]
    return {"checked": found.checked, "problems": problems, "repaired": found.repaired}
