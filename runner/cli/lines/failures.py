"""Failures as lines for people: in groups, cut to the terminal, each group with what mends it."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from jobs.mending import mending
from runner.process.redaction import REDACTOR
from runner.text.wording import count_text
from schemas.failures import RULES, FailureKind, RowStatus

if TYPE_CHECKING:
    from runner.app.failures import FolderFailures
    from runner.results.failures import FailureReport, FailureRow
    from schemas.summary import Summary

END_GROUPS = 5
_PROMPT_CHARS = 60
_PIPE_WIDTH, _END_PIPE_WIDTH = 400, 160
"""Where lines are not for a terminal, and at the end of a run; `COLUMNS` is obeyed all the same."""
_LEAST_WIDTH = 40
_LABEL = 12
"""Characters before a fact's text."""

Groups = dict[tuple[str, str], "list[FailureRow]"]


def line_width(pipe_width: int = _PIPE_WIDTH) -> int:
    """Characters of a line: those of the terminal, or `COLUMNS`, or `pipe_width`."""
    fallback = 80 if sys.stdout.isatty() else pipe_width
    return max(_LEAST_WIDTH, shutil.get_terminal_size((fallback, 24)).columns)


def cut(text: str, width: int) -> str:
    """One safe line of at most so many characters."""
    line = REDACTOR.text(" ".join(text.split()))
    return line if len(line) <= width else line[: max(1, width - 1)] + "…"


def end_lines(summary: Summary) -> Iterator[tuple[str, str]]:
    """Label and text: the largest groups of a summary's failures, each with one row and what was said of it."""
    examples = {each.error_kind: each for each in reversed(summary.failures)}
    groups: dict[str, int | None] = dict(Counter(summary.by_error).most_common())
    groups |= {kind: None for kind in examples if kind not in groups}
    for kind, count in list(groups.items())[:END_GROUPS]:
        told = f"{kind}, pending" if count is None else f"{kind} {count:,}"
        if (example := examples.get(kind)) is not None:
            told += f": {example.row_id}: {example.error_message or RULES[FailureKind(kind)].meaning}"
        yield "", cut(told, line_width(_END_PIPE_WIDTH) - _LABEL)
    if groups:
        yield "", f"all of them, and what mends them: imagemill failures {shlex.quote(summary.out)}"


def group_lines(groups: Groups, report: FailureReport, out: str) -> Iterator[str]:
    """The groups, the largest first. groups: the rows to show of each, with one of their images."""
    width = line_width()
    for group, count in report.images.most_common():
        status, kind = group
        rows = report.rows[group]
        counted = count_text(rows, "row")
        if count != rows:
            counted = f"{count_text(count, 'image')} of {counted}"
        yield cut(f"{kind}: {counted} {_verb(status)}: {RULES[FailureKind(kind)].meaning}", width)
        for failure in groups.get(group, ()):
            yield from _row_lines(failure, width)
        if (left := rows - len(groups.get(group, ()))) > 0:
            yield f"  … and {left:,} more: --limit {rows} or --csv"
        found = mending(status, kind, out)
        yield from textwrap.wrap(
            f"fix: {REDACTOR.text(found.advice)}", width, initial_indent="  ", subsequent_indent="  "
        )
        yield f"  $ {found.command}"
        yield ""


def grouped(rows: Iterable[FailureRow], most: int) -> Groups:
    """The first rows of each group, at most so many; all are read, so that all are counted."""
    groups = Groups()
    for row in rows:
        shown = groups.setdefault(row.group, [])
        if len(shown) < most and not (shown and shown[-1].row == row.row):
            shown.append(row)
    return groups


def verdict(report: FailureReport, failures: FolderFailures, out: str) -> str:
    """The last line: what is not listed."""
    named = failures.kinds or failures.where is not None
    if not report.images:
        told = "no row is like that" if named else "no row has failed, is parked or invalid"
    else:
        told = count_text(report.images.total(), "image is not there", "images are not there")
    if not report.unsent:
        return told
    unsent = count_text(report.unsent, "image has", "images have")
    return f"{told}; {unsent} not been asked for yet: imagemill run {shlex.quote(out + '/job.toml')}"


def group_objects(report: FailureReport, out: str) -> list[dict[str, Any]]:
    """The groups as `failures --json` has them, the largest first."""
    return [
        {
            "error_kind": kind,
            "status": status,
            "images": count,
            "rows": report.rows[status, kind],
            "meaning": RULES[FailureKind(kind)].meaning,
            **mending(status, kind, out)._asdict(),
        }
        for (status, kind), count in report.images.most_common()
    ]


def cells(row: FailureRow) -> dict[str, Any]:
    """The row's columns, with keys replaced in its texts."""
    return {
        name: REDACTOR.hide(value) if isinstance(value, str) else value
        for name, value in row._asdict().items()
    }


def _verb(status: str) -> str:
    texts = {
        RowStatus.FAILED: "failed",
        RowStatus.PARKED: "parked",
        RowStatus.PENDING: "pending",
        RowStatus.INVALID: "invalid",
    }
    return texts[RowStatus(status)]


def _row_lines(failure: FailureRow, width: int) -> Iterator[str]:
    prompt = cut(failure.prompt or "", _PROMPT_CHARS)
    yield "  " + cut(f'row {failure.row}: {failure.row_id} "{prompt}"', width - 2)
    if failure.error_message:
        said = " ".join(filter(None, (failure.error_code, failure.error_message)))
        yield "    " + cut(
            said if failure.http_status is None else f"HTTP {failure.http_status}: {said}", width - 4
        )


def follow_line(failure: FailureRow) -> str:
    """One failure on one line."""
    said = failure.error_message or ""
    return cut(
        f"{failure.status} {failure.error_kind}: row {failure.row}: {failure.row_id}: {said}", line_width()
    )
