"""`imagemill failures`: the rows of a folder that are not fine, why, and the command that mends them."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.error_kinds import ERROR_KINDS, error_kinds
from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, set_up_logs

if TYPE_CHECKING:
    from runner.app.failures import FolderFailures
    from runner.results.failures import FailureRow

_SHOWN = 10
"""Rows of each group that the text names, where `--limit` says nothing."""


def _limited(rows: Iterator[FailureRow], most: int | None) -> Iterator[FailureRow]:
    """At most so many of each group; all are read, so that all are counted."""
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        seen[row.group] = seen.get(row.group, 0) + 1
        if most is None or seen[row.group] <= most:
            yield row


def _print_text(failures: FolderFailures, out: str, most: int) -> None:
    from runner.cli.lines.failures import group_lines, grouped, verdict
    from runner.results.failures import FailureReport

    report = FailureReport()
    groups = grouped(failures.read(report), most)
    for line in group_lines(groups, report, out):
        click.echo(line)
    click.echo(verdict(report, failures, out))


def _print_csv(rows: Iterator[FailureRow]) -> None:
    from runner.cli.lines.failures import cells
    from runner.results.failures import FailureRow

    table = csv.DictWriter(sys.stdout, FailureRow._fields, lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow(cells(row))
        sys.stdout.flush()


def _print_json(failures: FolderFailures, out: str, most: int | None) -> None:
    """One object on one line, written row by row: a bad night has a million."""
    from runner.cli.json_report import report_object
    from runner.cli.lines.failures import cells, group_objects
    from runner.results.failures import FailureReport
    from schemas.errors import JobError

    report, between = FailureReport(), ""
    rows = _limited(failures.read(report), most)
    first = list(islice(rows, 1))  # what cannot be read says so before anything is printed
    head = report_object("failures", {"out": out, "simulated": failures.simulated})
    del head["warnings"]
    sys.stdout.write(json.dumps(head)[:-1] + ', "failures": [')
    try:
        for row in chain(first, rows):
            sys.stdout.write(between + json.dumps(cells(row)))
            between = ", "
    except JobError:
        sys.stdout.write("\n")
        raise
    rest = {"groups": group_objects(report, out), "unsent": report.unsent, "warnings": []}
    sys.stdout.write("], " + json.dumps(rest)[1:] + "\n")


def _follow(failures: FolderFailures, *, as_csv: bool) -> None:
    from runner.cli.lines.failures import follow_line

    if as_csv:
        _print_csv(failures.follow())
        return
    for row in failures.follow():
        click.echo(follow_line(row))


def _failures(**values: Any) -> int:
    set_up_logs(values)
    _check(values)
    kinds = error_kinds(values["error"])
    from runner.app.failures import FolderFailures
    from schemas.errors import ExitCode

    failures = FolderFailures(Path(values["out"]), kinds, values["where"])
    most = values["limit"]
    try:
        if values["follow"]:
            _follow(failures, as_csv=values["csv"])
        elif values["as_json"]:
            _print_json(failures, values["out"], most)
        elif values["csv"]:
            from runner.results.failures import FailureReport

            _print_csv(_limited(failures.read(FailureReport()), most))
        else:
            _print_text(failures, values["out"], _SHOWN if most is None else most)
    except KeyboardInterrupt:
        if not values["follow"]:
            raise
        return ExitCode.INTERRUPTED  # that is how one stops to follow
    return ExitCode.OK


def _check(values: Mapping[str, Any]) -> None:
    if values["csv"] and values["as_json"]:
        raise click.UsageError("--csv and --json are two forms of the same: leave one out")
    if values["follow"] and values["as_json"]:
        raise click.UsageError(
            "--follow prints a line for each row, --json one object: leave one out, or take --csv"
        )
    if values["follow"] and values["limit"] is not None:
        raise click.UsageError("--follow prints every row: leave out --limit")


command = Command(
    "failures",
    callback=_failures,
    params=[
        click.Argument(["out"], type=click.Path()),
        Option(
            ["--error"],
            group="Which rows",
            multiple=True,
            metavar="KIND",
            choices=ERROR_KINDS,
            help="of this kind; repeatable",
        ),
        Option(
            ["--where"],
            group="Which rows",
            metavar="EXPR",
            help="SQL, as after WHERE, over the columns of results.parquet, as for retry",
        ),
        Option(
            ["--limit"],
            group="Which rows",
            metavar="N",
            type=click.IntRange(min=0),
            help=f"at most N of each kind; {_SHOWN} unless told, and all with --csv and --json",
        ),
        Option(["--csv"], group="Output", is_flag=True, help="a table on stdout, a line for each image"),
        Option(
            ["--follow"], group="Output", is_flag=True, help="a line for each; goes on until the run ends"
        ),
        *common_options(),
    ],
    help="The rows of an output folder that failed, are parked or invalid, or wait for a reason: in groups, each with rows,"
    " the service's own words, and the command that mends them. Reads the ledger, so it works while a run goes on, after a"
    " kill, and without results table or manifest. Sends nothing.",
)
