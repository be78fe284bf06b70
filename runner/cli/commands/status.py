"""`imagemill status`: where a job stands, also while it runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, set_up_logs


def _status(**values: Any) -> int:
    set_up_logs(values)
    from runner.app import use_cases
    from runner.cli.console import print_facts, print_json
    from runner.cli.lines.summary import summary_facts

    look = partial(use_cases.status, Path(values["out"]))
    if values["watch"]:
        from runner.cli.watching import watch

        summary = watch(look)
    else:
        summary = look()
    if values["as_json"]:
        print_json(summary.to_dict())
    else:
        print_facts(summary_facts(summary))
    return 0


command = Command(
    "status",
    callback=_status,
    params=[
        click.Argument(["out"], type=click.Path()),
        Option(["--watch"], is_flag=True, help="look again every few seconds until the run is over"),
        *common_options(),
    ],
    help="Counts by status and error, this run's figures and the folder's, time left, what is parked, and the command to"
    " type next, for an output folder. Works while a run goes on, after a kill, and without the manifest."
    " Exits 0 whatever the job's own state; that is `exit_code` in the report (null while it runs).",
)
