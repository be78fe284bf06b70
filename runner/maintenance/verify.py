"""`imagemill verify`: compares every image and table with the ledger, and repairs what costs nothing."""

from __future__ import annotations

import io
import shlex
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from runner.artifacts.artifact_reader import LocalReader
from runner.artifacts.atomic_files import Folder, sha256_of
from runner.ledger.ledger_file import LedgerFile
from runner.ledger.queries import RunRecord
from runner.ledger.reader import LedgerReader
from runner.maintenance.audit import KILLED, MISSING, FileProblem, check_files
from runner.maintenance.decoding import undecodable
from runner.planning.row_stream import RowStream
from runner.results.table import ResultsTable
from runner.workspace.newest_attempt import newest_trace
from schemas.counts import Counts
from schemas.errors import ExitCode
from schemas.output_folder import BALLAST, IMAGES, LEDGER_NAME, QUARANTINE, RESULTS_NAME, TEMPORARY, TRIAL

_ALTERED = "altered"


@dataclass
class Verification:
    """The result. checked: files and tables that were read. problems: all of them, repaired ones included.

    notes: what a run that was killed left, which the next run, or a repair, puts in order; no damage.
    """

    checked: int = 0
    problems: list[FileProblem] = field(default_factory=list)
    row_ids: dict[str, str] = field(default_factory=dict)
    notes: list[FileProblem] = field(default_factory=list)

    @property
    def repaired(self) -> int:
        """How many problems and leftovers are gone."""
        return sum(problem.repaired for problem in (*self.problems, *self.notes))

    @property
    def gone(self) -> bool:
        """Whether an image is gone: nothing but paying for it again brings it back."""
        return any(
            problem.problem == MISSING and problem.path.startswith(f"{IMAGES}/") for problem in self.problems
        )

    @property
    def tidy(self) -> bool:
        """Whether nothing is left of a run that was killed."""
        return all(note.repaired for note in self.notes)

    @property
    def damaged(self) -> bool:
        """Whether anything is left that is not as the ledger says."""
        return any(not problem.repaired for problem in self.problems)


def verify(
    out: Path,
    row_stream: RowStream | None,
    *,
    repair_in: Folder | None = None,
    live: bool = False,
    decode: bool = False,
) -> Verification:
    """Check a folder. repair_in: restore what needs no payment; only while holding the folder's lock.

    row_stream: None if the manifest cannot be read; then the results table is compared with its digest only.
    live: a run is working on the folder, so that files younger than the run, temporary ones, and a results table that
    the ledger has overtaken are no problems.
    decode: every image's pixels too.

    Raises JobError when there is no ledger, or it cannot be read at all.
    """
    found = Verification(checked=1)
    with _opened(out, repair_in) as ledger:
        found.problems += [FileProblem(LEDGER_NAME, text) for text in ledger.problems()]
        if found.problems:
            return found
        known, trace = ledger.next_attempt(), newest_trace(out)
        if not live and trace is not None and trace.attempt >= known:
            text = f"knows {known:,} of {trace.attempt + 1:,} requests of which files tell; --repair takes them in"
            found.problems.append(FileProblem(LEDGER_NAME, text))
        last = ledger.last_run()
        since_s = None if not live else 0.0 if last is None else last.started_ms / 1000
        count, problems = check_files(ledger, repair_in=repair_in, before_s=since_s)
        found.checked += count + 1
        found.problems += (each for each in problems if not each.problem.startswith(KILLED))
        found.notes += (each for each in problems if each.problem.startswith(KILLED))
        if decode:
            found.problems += undecodable(ledger, {problem.path for problem in problems})
        if not live:
            found.notes += _temporary_files(out, repair_in)
        table = _check_results(ledger, row_stream, repair_in, live)
        unfinished = not live and _was_cut_short(last)
        for each in table:
            (found.notes if unfinished and not each.problem.startswith(_ALTERED) else found.problems).append(
                each
            )
        found.row_ids = ledger.rows_of_images([problem.path for problem in found.problems])
    return found


def _was_cut_short(run: RunRecord | None) -> bool:
    """Whether the newest run was killed, or ended in such haste that the next command writes its results table."""
    if run is None:
        return False
    return run.exit_code is None or run.exit_code in (
        ExitCode.HUNG_UP,
        ExitCode.INTERRUPTED,
        ExitCode.TERMINATED,
    )


def _opened(out: Path, repair_in: Folder | None) -> AbstractContextManager[LedgerReader]:
    if repair_in is None:
        return LedgerReader.open(out)
    with LedgerReader.open(out) as ledger:
        simulated = ledger.is_simulated()
    return LedgerFile.create_or_open(out, simulated=simulated)


def _temporary_files(out: Path, repair_in: Folder | None) -> list[FileProblem]:
    left = [
        path.relative_to(out).as_posix()
        for pattern in (
            f"{TEMPORARY}/*",
            f"{IMAGES}/{TEMPORARY}/*",
            TRIAL,
            f"{IMAGES}/*/{TRIAL}",
            f"{QUARANTINE}/{TRIAL}",
        )
        for path in sorted(out.glob(pattern))
    ]
    if repair_in is not None:
        repair_in.clear_temporary()
        LocalReader(out).remove(path for path in left if path.endswith(TRIAL))
    return [
        FileProblem(path, f"{KILLED}{_what(path)}", repair_in is not None and not (out / path).exists())
        for path in left
    ]


def _what(path: str) -> str:
    """What a temporary file was for, where its name tells."""
    return " (disk space that it had set aside)" if path == f"{TEMPORARY}/{BALLAST}" else ""


def _check_results(
    ledger: LedgerReader, row_stream: RowStream | None, repair_in: Folder | None, live: bool
) -> list[FileProblem]:
    table = None if row_stream is None else ResultsTable(row_stream, ledger)
    problem = _results_problem(ledger, table, live)
    if problem is None:
        return []
    if repair_in is None or table is None or not isinstance(ledger, LedgerFile):
        return [FileProblem(RESULTS_NAME, problem)]
    table.write(repair_in, ledger.record)
    return [FileProblem(RESULTS_NAME, problem, repaired=True)]


def _results_problem(ledger: LedgerReader, table: ResultsTable | None, live: bool) -> str | None:
    path = ledger.out / RESULTS_NAME
    if path.is_symlink() or not path.is_file():
        return None if live else "missing"
    digest = sha256_of(path)
    if digest not in ledger.table_digests():
        return f"{_ALTERED}: not the bytes that imagemill wrote"
    if live:
        return None
    newest = ledger.newest_table()
    if newest is None or digest != newest[0]:
        return "older than the ledger"
    if table is None or _manifest_is_newer(table.row_stream, newest[1]):
        return None
    fresh = io.BytesIO()
    table.stream(fresh, Counts())
    fresh.seek(0)
    try:
        same = pq.read_table(fresh).equals(pq.read_table(path))
    except (pa.ArrowException, OSError) as error:
        return f"cannot be read: {error}"
    return None if same else "not what manifest and ledger say now"


def _manifest_is_newer(row_stream: RowStream, written_ms: int) -> bool:
    """Whether the manifest was changed after the table was written, so that the next run will write another."""
    manifest = Path(row_stream.job.manifest or "")
    return manifest.is_file() and manifest.stat().st_mtime * 1000 > written_ms


def as_json(found: Verification, out: str) -> dict[str, object]:
    """What `verify --json` prints."""
    return {
        "checked": found.checked,
        "problems": [
            {
                "path": problem.path,
                "row_id": found.row_ids.get(problem.path),
                "problem": problem.problem,
                "fix": "" if problem.repaired else _fix(problem, shlex.quote(out)),
            }
            for problem in found.problems
        ],
        "notes": [{"path": note.path, "note": note.problem} for note in found.notes],
        "repaired": found.repaired,
    }


def _fix(problem: FileProblem, out: str) -> str:
    """What may mend it. An image that is gone or altered costs what it cost before."""
    if problem.path.startswith(f"{IMAGES}/") and problem.problem == MISSING:
        return f"imagemill retry {out} --missing"
    return f"imagemill verify {out} --repair"
