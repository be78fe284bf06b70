"""`imagemill verify`: re-read every image and table against the ledger; repair what needs no payment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, set_up_logs

if TYPE_CHECKING:
    from runner.maintenance.verify import Verification

_SHOWN = 100


def _facts(found: Verification) -> list[tuple[str, str]]:
    from runner.text.wording import count_text

    facts = [("checked", count_text(found.checked, "file or table", "files and tables"))]
    for problem in found.problems[:_SHOWN]:
        facts.append(("repaired" if problem.repaired else "problem", f"{problem.path}: {problem.problem}"))
    if len(found.problems) > _SHOWN:
        facts.append(("…", f"{len(found.problems) - _SHOWN:,} more; --json lists all"))
    facts.append(("verdict", _verdict(found)))
    return facts


def _verdict(found: Verification) -> str:
    from runner.text.wording import count_text

    if not found.problems:
        return "everything is as the ledger says"
    if found.damaged:
        return f"{count_text(sum(not problem.repaired for problem in found.problems), 'problem')} left"
    return "all problems repaired"


def _verify(**values: Any) -> int:
    set_up_logs(values)
    from runner.app import use_cases
    from runner.cli.console import print_facts, print_json
    from runner.maintenance.verify import as_json
    from schemas.errors import ExitCode

    found = use_cases.verify_folder(Path(values["out"]), repair=values["repair"])
    if values["as_json"]:
        print_json(as_json(found))
    else:
        print_facts(_facts(found))
    return ExitCode.DAMAGED if found.damaged else ExitCode.OK


command = Command(
    "verify",
    callback=_verify,
    params=[
        click.Argument(["out"], type=click.Path()),
        Option(["--repair"], is_flag=True, help="restore what can be restored without paying"),
        *common_options(),
    ],
    help="Re-read every image and table of an output folder against its ledger: missing, truncated, altered, swapped and"
    " foreign files. Sends nothing. Exits 7 when something is left damaged.",
)
