"""`imagemill status`: where a job stands, also while it runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from runner.cli.groups import Command
from runner.cli.options import common_options, set_up_logs


def _status(**values: Any) -> int:
    set_up_logs(values)
    from runner.app import use_cases
    from runner.cli.console import print_facts, print_json
    from runner.cli.render import summary_facts

    summary = use_cases.status(Path(values["out"]))
    if values["as_json"]:
        print_json(asdict(summary))
    else:
        print_facts(summary_facts(summary, simulated=use_cases.is_simulated(Path(values["out"]))))
    return 0


command = Command(
    "status",
    callback=_status,
    params=[click.Argument(["out"], type=click.Path()), *common_options()],
    help="Counts by status and error, cost, what is parked, and the command to type next, for an output folder."
    " Exits 0 whatever the job's own state; that is `exit_code` in the report.",
)
