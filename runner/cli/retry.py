"""`imagemill retry`: send again what failed, or what is parked; old attempts are kept."""

from __future__ import annotations

import sys
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from runner.cli.command import Command, Option
from runner.cli.options import common_options, set_up_logs


def _kinds(names: tuple[str, ...]) -> frozenset[Any]:
    from schemas.failures import FailureKind

    known = [kind.value for kind in FailureKind]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f", did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"--error {name}: no such kind of error{hint} (known: {', '.join(known)})")
    return frozenset(FailureKind(name) for name in names)


def _retry(**values: Any) -> int:
    set_up_logs(values)
    kinds = _kinds(values["error"])
    from jobs.selection import retry_selection
    from runner import api
    from runner.cli.facts import summary_facts
    from runner.cli.output import print_facts, print_json
    from runner.progress import make_observer

    selection = retry_selection(parked=values["parked"], kinds=kinds)
    with make_observer("auto", sys.stderr, quiet=values["quiet"]) as observer:
        summary = api.retry_folder(Path(values["out"]), selection, observer=observer, signals=True)
    if values["as_json"]:
        print_json(asdict(summary))
    else:
        print_facts(summary_facts(summary, simulated=api.is_simulated(Path(values["out"]))))
    return summary.exit_code


command = Command(
    "retry",
    callback=_retry,
    params=[
        click.Argument(["out"], type=click.Path()),
        Option(
            ["--error"],
            multiple=True,
            metavar="KIND",
            help="rows whose last failure is of this kind; repeatable",
        ),
        Option(["--parked"], is_flag=True, help="parked rows: each may have been paid for already"),
        *common_options(),
    ],
    help="Send failed rows of an output folder again, as its own job says. Parked rows are sent only with --parked or by"
    " the --error that parked them. A success is never sent again.",
)
