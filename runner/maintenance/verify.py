"""`imagemill verify`: every image and table re-read and held against the ledger; repairs that cost nothing."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from runner.artifacts.atomic_files import Folder, sha256_of
from runner.ledger.ledger_file import LedgerFile
from runner.ledger.reader import LedgerReader
from runner.maintenance.audit import Problem, check_files
from runner.planning.row_stream import Intake
from runner.results.table import ResultsTable
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
    with _opened(out, repair_in) as ledger:
        found.problems += [Problem(LEDGER_NAME, text) for text in ledger.problems()]
        if found.problems:
            return found
        last = ledger.last_run()
        since_s = None if not live else 0.0 if last is None else last.started_ms / 1000
        count, problems = check_files(ledger, repair_in=repair_in, before_s=since_s)
        found.checked += count + 1
        found.problems += problems
        if not live:
            found.problems += _temporary_files(out, repair_in)
        found.problems += _check_results(ledger, intake, repair_in, live)
    return found


def _opened(out: Path, repair_in: Folder | None) -> AbstractContextManager[LedgerReader]:
    if repair_in is None:
        return LedgerReader.open(out)
    with LedgerReader.open(out) as ledger:
        simulated = ledger.is_simulated()
    return LedgerFile.create_or_open(out, simulated=simulated)


def _temporary_files(out: Path, repair_in: Folder | None) -> list[Problem]:
    left = [f"{TEMPORARY}/{entry.name}" for entry in sorted((out / TEMPORARY).glob("*"))]
    if repair_in is not None:
        repair_in.clear_temporary()
    return [
        Problem(path, "left by a run that was killed", repair_in is not None and not (out / path).exists())
        for path in left
    ]


def _check_results(
    ledger: LedgerReader, intake: Intake | None, repair_in: Folder | None, live: bool
) -> list[Problem]:
    table = None if intake is None else ResultsTable(intake, ledger)
    problem = _results_problem(ledger, table, live)
    if problem is None:
        return []
    if repair_in is None or table is None or not isinstance(ledger, LedgerFile):
        return [Problem(RESULTS_NAME, problem)]
    table.write(repair_in, ledger.record)
    return [Problem(RESULTS_NAME, problem, repaired=True)]


def _results_problem(ledger: LedgerReader, table: ResultsTable | None, live: bool) -> str | None:
    path = ledger.out / RESULTS_NAME
    if path.is_symlink() or not path.is_file():
        return None if live else "missing"
    digest = sha256_of(path)
    if digest not in ledger.table_digests():
        return "altered: not the bytes that imagemill wrote"
    if live:
        return None
    newest = ledger.newest_table()
    if newest is None or digest != newest[0]:
        return "older than the ledger"
    if table is None or _manifest_is_newer(table.intake, newest[1]):
        return None
    fresh = io.BytesIO()
    table.stream(fresh, Counts())
    fresh.seek(0)
    try:
        same = pq.read_table(fresh).equals(pq.read_table(path))
    except (pa.ArrowException, OSError) as error:
        return f"cannot be read: {error}"
    return None if same else "not what manifest and ledger say now"


def _manifest_is_newer(intake: Intake, written_ms: int) -> bool:
    """Whether the manifest was changed after the table was written, so that the next run will write another."""
    manifest = Path(intake.job.manifest or "")
    return manifest.is_file() and manifest.stat().st_mtime * 1000 > written_ms


def as_json(found: Verification) -> dict[str, object]:
    """What `verify --json` prints."""
    problems = [{"path": problem.path, "problem": problem.problem} for problem in found.problems]
    return {"checked": found.checked, "problems": problems, "repaired": found.repaired}
