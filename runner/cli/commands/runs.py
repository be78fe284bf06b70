"""`imagemill runs`: the past runs of a folder or a job, with their figures."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, set_up_logs

if TYPE_CHECKING:
    from schemas.listings import PastRun

_HEAD = (
    "started",
    "time",
    "exit",
    "rows",
    "again",
    "requests",
    "images",
    "maybe billed",
    "cost",
    "run",
    "ended",
)
_OPTIONAL = ("again", "maybe billed", "run", "time", "requests")
"""What a narrow terminal does without, in this order."""


def _line(run: PastRun, several: bool) -> tuple[str, ...]:
    from runner.text.wording import duration_text, money_text, time_text

    return (
        time_text(run.started),
        "" if run.duration_s is None else duration_text(run.duration_s),
        "–" if run.exit_code is None else str(run.exit_code),
        f"{run.rows:,}",
        f"{run.rows_again:,}",
        f"{run.requests_sent:,}",
        f"{run.images_saved:,}",
        f"{run.maybe_billed:,}",
        "" if run.cost_usd is None else money_text(run.cost_usd),
        run.run_id,
        f"{run.out}: {run.exit_reason}" if several else run.exit_reason,
    )


def _runs(**values: Any) -> int:
    set_up_logs(values)
    from runner.cli.console import print_table
    from runner.cli.json_report import print_report
    from runner.maintenance.runs import past_runs

    found = past_runs(values["source"], values["limit"])
    if values["as_json"]:
        print_report("runs", {"runs": [asdict(run) for run in found]})
        return 0
    several = len({run.out for run in found}) > 1
    print_table(_HEAD, [_line(run, several) for run in found], optional=_OPTIONAL)
    return 0


command = Command(
    "runs",
    callback=_runs,
    params=[
        click.Argument(["source"], metavar="OUT|JOB.toml", type=click.Path()),
        Option(
            ["--limit"],
            type=click.IntRange(min=1),
            default=20,
            metavar="N",
            help="the newest N runs (default 20)",
        ),
        *common_options(),
    ],
    help="Past runs of an output folder, or of a job file over all its folders, newest first: how each ended, and what it"
    " sent, saved and cost. A run without an exit code was killed, or is still going on.",
)
