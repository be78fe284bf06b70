"""`imagemill report`: static pages over the results of one output folder or several."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, set_up_logs

if TYPE_CHECKING:
    from collections.abc import Callable


def _report(**values: Any) -> int:
    set_up_logs(values)
    from runner.app.report import report
    from runner.cli.console import print_facts
    from runner.cli.json_report import print_report
    from runner.cli.lines.report import report_facts
    from runner.reports.build import ReportRequest
    from schemas.errors import ExitCode

    outs = [Path(values["out"]), *map(Path, values["others"])]
    request = ReportRequest(
        outs,
        None if values["dest"] is None else Path(values["dest"]),
        where=values["where"],
        sample=values["sample"],
        seed=values["seed"],
        single_file=values["single_file"],
        png=values["png"],
    )
    built = report(request, _teller(quiet=values["quiet"]))
    if values["as_json"]:
        content = {"out": values["out"], **asdict(built)}
        print_report("report", content)
    else:
        print_facts(report_facts(built))
    return ExitCode.OK


def _teller(*, quiet: bool) -> Callable[[str], None]:
    """Shows on a terminal how far it is, on one line."""
    shows = sys.stderr.isatty() and not quiet

    def told(line: str) -> None:
        if shows:
            click.echo(f"\r\x1b[K{line[:70]}", nl=False, err=True)

    return told


command = Command(
    "report",
    callback=_report,
    params=[
        click.Argument(["out"], type=click.Path()),
        click.Argument(["others"], nargs=-1, type=click.Path(), metavar="[OTHER]..."),
        Option(
            ["--where"],
            group="Which rows",
            metavar="EXPR",
            help="SQL, as after WHERE, over the columns of results.parquet, as for retry",
        ),
        Option(
            ["--sample"],
            group="Which rows",
            metavar="N",
            type=click.IntRange(min=1),
            help="N rows at random, of each folder",
        ),
        Option(
            ["--seed"],
            group="Which rows",
            metavar="N",
            type=int,
            default=0,
            help="which sample; the same seed draws the same rows",
        ),
        Option(
            ["--dest"], group="Output", type=click.Path(), help="where to write it; OUT/report unless told"
        ),
        Option(
            ["--single-file"],
            group="Output",
            is_flag=True,
            help="one HTML file with small copies of the images, to mail; for at most 500 images",
        ),
        Option(["--png"], group="Output", is_flag=True, help="draw the charts as PNG files too"),
        *common_options(),
    ],
    help="Pages that open from the disk, without a server or a network: figures and charts, a contact sheet with search and"
    " filters, every image with all that is known of it, comparison side by side (of several folders, or of models and"
    " qualities in one), and picks by keyboard. Reads only, also while a run goes on; a second one draws only what is new.",
)
