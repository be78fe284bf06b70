"""`imagemill verify`: every image and table re-read and held against the ledger; repairs that cost nothing."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from runner.artifacts.atomic_files import Folder, sha256_of
from runner.ledger import schema, writer
from runner.ledger.reader import reading
from runner.ledger.result_query import ResultQuery
from runner.maintenance.audit import Problem, check_files
from runner.planning.row_stream import Intake
from runner.results.table import ResultsTable
from schemas.failures import FailureKind, RowStatus
from schemas.output_folder import LEDGER_NAME, RESULTS_NAME, TEMPORARY
from schemas.reports import Counts


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


def verify(
    out: Path, intake: Intake | None, *, repair_in: Folder | None = None, live: bool = False
) -> Verification:
    """Check a folder. repair_in: restore what needs no payment; only while holding the folder's lock.

    intake: None where the manifest cannot be read: then the results table is held against its digest only.
    live: a run is working on the folder, so that files younger than the run, temporary ones, and a results table that
    the ledger has overtaken are no problems.

    Raises JobError when there is no ledger, or it cannot be read at all.
    """
    found = Verification(checked=1)
    with _opened(out, repair_in) as connection:
        found.problems += [Problem(LEDGER_NAME, text) for text in _ledger_problems(connection)]
        if found.problems:
            return found
        since_s = _newest_start_s(connection) if live else None
        count, problems = check_files(out, connection, repair_in=repair_in, before_s=since_s)
        found.checked += count + 1
        found.problems += problems
        if not live:
            found.problems += _temporary_files(out, repair_in)
        found.problems += _check_results(out, intake, connection, repair_in, live)
    return found


def _opened(out: Path, repair_in: Folder | None) -> AbstractContextManager[sqlite3.Connection]:
    if repair_in is None:
        return reading(out)
    with reading(out) as connection:
        simulated = schema.was_simulated(connection)
    return closing(writer.create_or_open(out, simulated=simulated))


def _newest_start_s(connection: sqlite3.Connection) -> float:
    started = connection.execute("SELECT started_ms FROM runs ORDER BY run DESC LIMIT 1").fetchone()
    return started[0] / 1000 if started else 0.0


def _quoted(names: Iterable[str]) -> str:
    return ",".join(f"'{name}'" for name in names)


_STATUSES = _quoted(status for status in RowStatus)
_KINDS = _quoted(kind for kind in FailureKind)
_INCONSISTENT = {
    "attempt {} has an outcome and no intent": (
        "SELECT attempt FROM outcomes WHERE attempt NOT IN (SELECT attempt FROM attempts)"
    ),
    "attempt {} has an image and no success": (
        "SELECT attempt FROM images WHERE attempt NOT IN (SELECT attempt FROM outcomes WHERE status = 'succeeded')"
    ),
    "attempt {} is a success without an image": (
        "SELECT attempt FROM outcomes WHERE status = 'succeeded' AND attempt NOT IN (SELECT attempt FROM images)"
    ),
    "attempt {} has a task and no intent": (
        "SELECT attempt FROM tasks WHERE attempt NOT IN (SELECT attempt FROM attempts)"
    ),
    "attempt {} has a pruned image that it never had": (
        "SELECT attempt FROM pruned WHERE NOT EXISTS "
        "(SELECT 1 FROM images i WHERE i.attempt = pruned.attempt AND i.idx = pruned.idx)"
    ),
    "attempt {} has no row": "SELECT attempt FROM attempts WHERE item NOT IN (SELECT item FROM items)",
    "attempt {} has no parameters": "SELECT attempt FROM attempts WHERE params NOT IN (SELECT params FROM params)",
    "attempt {} has no run": "SELECT attempt FROM attempts WHERE run NOT IN (SELECT run FROM runs)",
    "attempt {} has an unknown outcome": (
        f"SELECT attempt FROM outcomes WHERE status NOT IN ({_STATUSES}) OR kind NOT IN ({_KINDS})"
    ),
    "attempt {} has flags that are no JSON": (
        "SELECT attempt FROM outcomes WHERE flags IS NOT NULL AND NOT json_valid(flags) "
        "UNION ALL SELECT attempt FROM images WHERE flags IS NOT NULL AND NOT json_valid(flags)"
    ),
    "parameters {} are no JSON": "SELECT params FROM params WHERE NOT json_valid(body)",
    "row {} has no whole fingerprint": (
        "SELECT item FROM items WHERE typeof(fingerprint) <> 'blob' OR length(fingerprint) <> 16"
    ),
    "attempt {} has no whole digest": (
        "SELECT attempt FROM images WHERE typeof(sha256) <> 'blob' OR length(sha256) <> 32"
    ),
}
"""What cannot be in a whole ledger, and a query for the first number of it."""


def _ledger_problems(connection: sqlite3.Connection) -> Iterator[str]:
    try:
        for (line,) in connection.execute("PRAGMA integrity_check(20)"):
            if line != "ok":
                yield f"SQLite says: {line}"
        if not schema.has_its_columns(connection):
            yield "its tables are not laid out as they were made"
            return
        for text, query in _INCONSISTENT.items():
            row = connection.execute(f"{query} LIMIT 1").fetchone()
            if row is not None:
                yield text.format(row[0])
    except schema.DAMAGE as error:
        yield f"cannot be read: {error}"


def _temporary_files(out: Path, repair_in: Folder | None) -> list[Problem]:
    left = [f"{TEMPORARY}/{entry.name}" for entry in sorted((out / TEMPORARY).glob("*"))]
    if repair_in is not None:
        repair_in.clear_temporary()
    return [
        Problem(path, "left by a run that was killed", repair_in is not None and not (out / path).exists())
        for path in left
    ]


def _check_results(
    out: Path, intake: Intake | None, connection: sqlite3.Connection, repair_in: Folder | None, live: bool
) -> list[Problem]:
    table = None if intake is None else ResultsTable(intake, connection)
    problem = _results_problem(out / RESULTS_NAME, table, connection, live)
    if problem is None:
        return []
    repairable = repair_in is not None and table is not None
    if repair_in is not None and table is not None:
        table.write(repair_in, partial(writer.record_now, connection))
    return [Problem(RESULTS_NAME, problem, repairable)]


def _results_problem(
    path: Path, table: ResultsTable | None, connection: sqlite3.Connection, live: bool
) -> str | None:
    if path.is_symlink() or not path.is_file():
        return None if live else "missing"
    digest = sha256_of(path)
    known = {row[0].hex() for row in connection.execute("SELECT sha256 FROM tables")}
    if digest not in known:
        return "altered: not the bytes that imagemill wrote"
    if live:
        return None
    if digest != ResultQuery(connection).newest_digest():
        return "older than the ledger"
    if table is None or _manifest_is_newer(table.intake, connection):
        return None
    fresh = io.BytesIO()
    table.stream(fresh, Counts())
    fresh.seek(0)
    try:
        same = pq.read_table(fresh).equals(pq.read_table(path))
    except (pa.ArrowException, OSError) as error:
        return f"cannot be read: {error}"
    return None if same else "not what manifest and ledger say now"


def _manifest_is_newer(intake: Intake, connection: sqlite3.Connection) -> bool:
    """Whether the manifest was changed after the table was written, so that the next run will write another."""
    written_ms = connection.execute("SELECT max(written_ms) FROM tables").fetchone()[0]
    manifest = Path(intake.job.manifest or "")
    return manifest.is_file() and manifest.stat().st_mtime * 1000 > written_ms


def as_json(found: Verification) -> dict[str, object]:
    """What `verify --json` prints."""
    problems = [{"path": problem.path, "problem": problem.problem} for problem in found.problems]
    return {"checked": found.checked, "problems": problems, "repaired": found.repaired}
