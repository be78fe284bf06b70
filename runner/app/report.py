"""The use case of `imagemill report`."""

from __future__ import annotations

from collections.abc import Callable

from runner.reports.build import ReportRequest, build_report
from schemas.report import BuiltReport


def report(request: ReportRequest, told: Callable[[str], None] = lambda _line: None) -> BuiltReport:
    """Build the pages. It reads the folders only, and takes no lock of theirs; also while a run goes on.

    told: hears how far it is. Raises JobError: see `build_report`.
    """
    return build_report(request, told)
