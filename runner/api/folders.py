"""What Python asks of an output folder: where it stands, what failed, whether it is damaged. Nothing sends a request."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from runner.api.options import AnyPath, ReportOptions
from runner.api.reports import Failures, FolderReport, VerifyReport
from runner.api.summary import RunSummary
from runner.api.tables import FailureTable, folder_of
from runner.app import use_cases
from runner.app.report import report as build
from runner.cli.lines.failures import group_lines, group_objects, grouped, verdict
from runner.reports.build import ReportRequest
from schemas.listings import FailureGroup

_SHOWN = 10
"""Rows of each group that the text names."""


def status(out: AnyPath) -> RunSummary:
    """See `runner.status`."""
    return RunSummary.of(use_cases.status(folder_of(out)))


def verify(out: AnyPath, *, repair: bool, decode: bool) -> VerifyReport:
    """See `runner.verify`."""
    folder = folder_of(out)
    found = use_cases.verify_folder(folder, repair=repair, decode=decode)
    return VerifyReport.of(found, str(folder), simulated=use_cases.is_simulated(folder))


def report(out: AnyPath, others: Iterable[AnyPath], options: ReportOptions) -> FolderReport:
    """See `runner.report`."""
    folders = [folder_of(each) for each in (out, *others)]
    dest = options.get("dest")
    request = ReportRequest(
        folders,
        None if dest is None else Path(dest),
        where=options.get("where"),
        sample=options.get("sample"),
        seed=options.get("seed", 0),
        single_file=options.get("single_file", False),
        png=options.get("png", False),
    )
    return FolderReport.of(build(request), str(folders[0]))


def failures(out: AnyPath, error: str | Iterable[str], where: str | None) -> Failures:
    """See `runner.failures`."""
    table = FailureTable.read(out, error, where)
    report, folder = table.report, table.folder
    name = str(folder.out)
    lines = [*group_lines(grouped(table.rows, _SHOWN), report, name), verdict(report, folder, name)]
    return Failures(
        out=name,
        path=folder.out.absolute(),
        simulated=folder.simulated,
        table=table.frame(),
        groups=tuple(FailureGroup(**group) for group in group_objects(report, name)),
        unsent=report.unsent,
        _rows=tuple(table.cells()),
        _lines=tuple(lines),
    )
