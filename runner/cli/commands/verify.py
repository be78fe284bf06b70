"""`imagemill verify`: re-read every image and table against the ledger; repair what needs no payment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, set_up_logs


def _verify(**values: Any) -> int:
    set_up_logs(values)
    from runner.app import use_cases
    from runner.cli.console import print_facts
    from runner.cli.json_report import of_folder, print_report
    from runner.cli.lines.plan import verdict, verification_facts
    from runner.maintenance.verify import as_json
    from schemas.errors import ExitCode

    found = use_cases.verify_folder(Path(values["out"]), repair=values["repair"], decode=values["decode"])
    code = ExitCode.DAMAGED if found.damaged else ExitCode.OK
    if values["as_json"]:
        content = of_folder(values["out"]) | as_json(found, values["out"])
        print_report("verify", content, exit_code=code, exit_reason=verdict(found))
    else:
        print_facts(verification_facts(found, values["out"]))
    return code


command = Command(
    "verify",
    callback=_verify,
    params=[
        click.Argument(["out"], type=click.Path()),
        Option(["--repair"], is_flag=True, help="restore what can be restored without paying"),
        Option(
            ["--decode"], is_flag=True, help="decode every image, for folders of output.check = structure"
        ),
        *common_options(),
    ],
    help="Re-read every image and table of an output folder against its ledger: missing, truncated, altered, swapped and"
    " foreign files. Sends nothing. Exits 7 when something is left damaged.",
)
