"""What `plan`, `failures`, `verify` and `report` return from Python: frozen values with `to_dict()` and forms for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.cli.console import Facts, fact_lines, hidden
from runner.cli.json_report import report_object
from runner.cli.lines.plan import verdict, verification_facts
from runner.cli.lines.report import report_facts
from runner.process.redaction import REDACTOR
from runner.text.wording import count_text
from schemas.errors import ExitCode, JobError
from schemas.listings import FailureGroup, VerifyProblem
from schemas.report import BuiltReport
from schemas.reports import Plan

if TYPE_CHECKING:
    from typing import Self

    import pandas as pd

    from runner.maintenance.verify import Verification

_SHOWN_FAILURES = 10


@dataclass(frozen=True, repr=False)
class PlanReport(Plan):
    """What a run or a retry would do; it has sent nothing. Fields: see `schemas.reports.Plan`.

    out: the folder; "" for rows that have none yet.
    """

    command: str = "plan"
    out: str = ""
    simulated: bool = False
    _facts: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, plan: Plan, command: str, out: str, facts: Facts, *, simulated: bool) -> Self:
        """The value for what the use cases return. facts: the lines that the command prints of it."""
        named = {each.name: getattr(plan, each.name) for each in fields(Plan)}
        return cls(**named, command=command, out=out, simulated=simulated, _facts=tuple(facts))

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of `plan --json` or `retry --dry-run --json`."""
        content = asdict(self)
        for name in ("warnings", "command", "_facts"):
            del content[name]
        document: dict[str, Any] = hidden(report_object(self.command, content, warnings=self.warnings))
        return document

    def __str__(self) -> str:
        return "\n".join(fact_lines(self._facts))

    def __repr__(self) -> str:
        sent = f"{count_text(self.images, 'image')} to make in {count_text(self.requests, 'request')}"
        left_out = f", {count_text(self.invalid, 'invalid row')}" if self.invalid else ""
        return f"<PlanReport {REDACTOR.text(self.out) or 'of rows'}: {sent}{left_out}>"

    def _repr_html_(self) -> str:
        from runner.api.html import facts_html

        return facts_html(f"imagemill {self.command} {self.out}", self._facts)


@dataclass(frozen=True, eq=False, repr=False)
class Failures:
    """The results rows of a folder that are not fine; empty is false.

    table: one row an image that is not there, in manifest order, with the columns of `failures --csv`. groups: the largest
    first. unsent: images whose turn has not come, and which are not listed.
    """

    out: str
    path: Path
    simulated: bool
    table: pd.DataFrame
    groups: tuple[FailureGroup, ...]
    unsent: int
    _rows: tuple[dict[str, Any], ...]
    _lines: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.table)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of `failures --json`."""
        content = {
            "out": self.out,
            "simulated": self.simulated,
            "failures": [dict(row) for row in self._rows],
            "groups": [asdict(group) for group in self.groups],
            "unsent": self.unsent,
        }
        document: dict[str, Any] = hidden(report_object("failures", content))
        return document

    def __str__(self) -> str:
        return "\n".join(self._lines)

    def __repr__(self) -> str:
        kinds = ", ".join(f"{group.error_kind} {group.images:,}" for group in self.groups)
        return f"<Failures {REDACTOR.text(self.out)}: {kinds or 'none'}>"

    def _repr_html_(self) -> str:
        from runner.api.html import facts_html, table_html

        facts = []
        for group in self.groups:
            facts.append(
                (group.error_kind, f"{count_text(group.rows, 'row')} {group.status}: {group.meaning}")
            )
            facts.append(("", group.command))
        names = ("row", "row_id", "prompt", "error_kind", "error_message")
        lines = [
            ["" if row[name] is None else str(row[name]) for name in names]
            for row in self._rows[:_SHOWN_FAILURES]
        ]
        below = table_html(names, lines) if lines else ""
        return facts_html(f"imagemill failures: {self.out}", [*facts, ("", self._lines[-1])], below)


@dataclass(frozen=True, repr=False)
class VerifyReport:
    """What `verify` found. checked: files and tables read. repaired: problems and leftovers that are gone.

    problems: repaired ones too. notes: path and text of what a killed run has left, which is no damage. ok: whether nothing
    is damaged now. exit_code: 7 where it is.
    """

    out: str
    path: Path
    simulated: bool
    exit_code: int
    exit_reason: str
    checked: int
    problems: tuple[VerifyProblem, ...]
    notes: tuple[tuple[str, str], ...]
    repaired: int
    _facts: tuple[tuple[str, str], ...] = field(compare=False)

    @classmethod
    def of(cls, found: Verification, out: str, *, simulated: bool) -> Self:
        """The value for what the use case returns."""
        from runner.maintenance.verify import as_json

        content: dict[str, Any] = as_json(found, out)
        return cls(
            out=out,
            path=Path(out).absolute(),
            simulated=simulated,
            exit_code=int(ExitCode.DAMAGED if found.damaged else ExitCode.OK),
            exit_reason=verdict(found),
            checked=found.checked,
            problems=tuple(VerifyProblem(**problem) for problem in content["problems"]),
            notes=tuple((note["path"], note["note"]) for note in content["notes"]),
            repaired=found.repaired,
            _facts=tuple(verification_facts(found, out)),
        )

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged now."""
        return self.exit_code == ExitCode.OK

    def raise_for_status(self) -> Self:
        """The report itself. Raises JobError, with exit code 7, where something is damaged."""
        if self.ok:
            return self
        fix = next((problem.fix for problem in self.problems if problem.fix), "")
        raise JobError(f"{self.out}: {self.exit_reason}", fix=fix, exit_code=ExitCode.DAMAGED)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of `verify --json`."""
        content = {
            "out": self.out,
            "simulated": self.simulated,
            "checked": self.checked,
            "problems": [asdict(problem) for problem in self.problems],
            "notes": [{"path": path, "note": note} for path, note in self.notes],
            "repaired": self.repaired,
        }
        document: dict[str, Any] = hidden(report_object("verify", content, self.exit_code, self.exit_reason))
        return document

    def __str__(self) -> str:
        return "\n".join(fact_lines(self._facts))

    def __repr__(self) -> str:
        return f"<VerifyReport {REDACTOR.text(self.out)}: {self.exit_reason}>"

    def _repr_html_(self) -> str:
        from runner.api.html import facts_html

        return facts_html(f"imagemill verify: {self.out}", self._facts)


@dataclass(frozen=True, repr=False)
class FolderReport:
    """A report that is whole. page: what to open in a browser; dest: its folder, or its single file.

    rows: results rows in it; images: those that succeeded; failures: those that failed, are parked or invalid.
    """

    out: str
    simulated: bool
    dest: Path
    page: Path
    rows: int
    images: int
    failures: int
    charts: tuple[Path, ...]
    _built: BuiltReport = field(compare=False)

    @classmethod
    def of(cls, built: BuiltReport, out: str) -> Self:
        """The value for what the use case returns."""
        return cls(
            out=out,
            simulated=built.simulated,
            dest=Path(built.dest).absolute(),
            page=Path(built.page).absolute(),
            rows=built.rows,
            images=built.images,
            failures=built.failures,
            charts=tuple(Path(chart).absolute() for chart in built.charts),
            _built=built,
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of `report --json`."""
        document: dict[str, Any] = hidden(report_object("report", {"out": self.out, **asdict(self._built)}))
        return document

    def __str__(self) -> str:
        return "\n".join(fact_lines(report_facts(self._built)))

    def __repr__(self) -> str:
        return f"<FolderReport {REDACTOR.text(self.out)}: {self.page}>"

    def _repr_html_(self) -> str:
        from runner.api.html import facts_html

        return facts_html(f"imagemill report: {self.out}", report_facts(self._built))
