"""`runner.export`, and what it returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.api.options import AnyPath, ExportOptions
from runner.api.tables import folder_of
from runner.app.export import Chosen, Exported, export_folder
from runner.app.export_settings import settings_of
from runner.cli.console import fact_lines, hidden
from runner.cli.json_report import report_object
from runner.cli.lines.export import export_facts, verdict
from runner.config.keywords import refuse_unknown
from runner.exports.rows import Damage
from runner.process.redaction import REDACTOR
from runner.text.wording import count_text
from schemas.errors import ExitCode, JobError

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True, repr=False)
class ExportReport:
    """A dataset that was made. images: in it (csv: lines). files, bytes: in `dest`. damaged: images that were left out.

    linked: files that share their blocks with the folder. without_image: chosen results rows that have none. stale_picks:
    picks of images that are others by now. exit_code: 7 where images are damaged.
    """

    out: str
    dest: str
    to: str
    path: Path
    simulated: bool
    exit_code: int
    exit_reason: str
    images: int
    files: int
    bytes: int
    linked: int
    without_image: int
    stale_picks: int
    damaged: tuple[Damage, ...]
    notes: tuple[str, ...]
    pushed: str
    _facts: tuple[tuple[str, str], ...] = field(compare=False)

    @classmethod
    def of(cls, found: Exported, out: Path, dest: Path, to: str) -> Self:
        """The value for what the use case returns."""
        return cls(
            out=str(out),
            dest=str(dest),
            to=to,
            path=dest.absolute(),
            exit_code=int(ExitCode.DAMAGED if found.damaged else ExitCode.OK),
            exit_reason=verdict(found),
            _facts=tuple(export_facts(found, out, dest, to)),
            **vars(found),
        )

    @property
    def ok(self) -> bool:
        """Whether every chosen image is in it."""
        return self.exit_code == ExitCode.OK

    def raise_for_status(self) -> Self:
        """The report itself. Raises JobError, with exit code 7, where images are damaged."""
        if self.ok:
            return self
        raise JobError(
            f"{self.out}: {self.exit_reason}", fix=f"imagemill verify {self.out}", exit_code=ExitCode.DAMAGED
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of `export --json`."""
        content = asdict(self)
        for name in ("path", "_facts", "exit_code", "exit_reason"):
            del content[name]
        document: dict[str, Any] = hidden(report_object("export", content, self.exit_code, self.exit_reason))
        return document

    def __str__(self) -> str:
        return "\n".join(fact_lines(self._facts))

    def __repr__(self) -> str:
        return f"<ExportReport {REDACTOR.text(self.dest)}: {count_text(self.images, 'image')} as {self.to}>"

    def _repr_html_(self) -> str:
        from runner.api.html import facts_html

        return facts_html(f"imagemill export {self.out}", self._facts)


def export(out: AnyPath, dest: AnyPath, to: str, options: ExportOptions) -> ExportReport:
    """See `runner.export`."""
    refuse_unknown(options, ExportOptions.__annotations__, "export")
    folder, target, picks = folder_of(out), Path(dest), options.get("picks")
    given: dict[str, Any] = dict(options)
    chosen = Chosen(
        options.get("where"),
        None if picks is None else Path(picks),
        options.get("sample"),
        options.get("seed", 0),
    )
    settings = settings_of(to, **{name: value for name, value in given.items() if name in _SETTINGS})
    return ExportReport.of(
        export_folder(folder, target, settings, chosen, options.get("push")), folder, target, to
    )


_SETTINGS = ("columns", "name", "metadata", "split", "license", "index", "subset", "shard_mb", "copy")
