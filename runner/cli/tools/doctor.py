"""`imagemill doctor`: what a run needs, checked one by one. Sends a GET for the list of models; writes nothing."""

from __future__ import annotations

import os
from typing import Any

import click

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, job_options, job_overrides, set_up_logs, source_argument
from schemas.errors import ExitCode


def _doctor(**values: Any) -> int:
    from pathlib import Path

    from runner.cli.json_report import print_report
    from runner.config.loader import load_job
    from runner.doctor.checks import checks
    from runner.doctor.explain import explain
    from runner.doctor.findings import Level
    from runner.process.redaction import REDACTOR
    from runner.providers.profile import dialect_of

    set_up_logs(values)
    job = load_job(values["source"], job_overrides(values), environ=os.environ, cwd=Path.cwd())
    found = []
    results = (
        checks(job, environ=os.environ, cwd=Path.cwd())
        if values["explain"] is None
        else explain(Path(values["explain"]), dialect_of(job))
    )
    for check in results:
        found.append(check)
        if not values["as_json"]:
            click.echo(f"{check.level:<4}  {check.name:<11}  {REDACTOR.text(check.detail)}")
    code = next((check.exit_code for check in found if check.level is Level.FAIL), ExitCode.OK)
    if values["as_json"]:
        listed = [{"name": check.name, "level": str(check.level), "detail": check.detail} for check in found]
        failed = next((check.detail for check in found if check.level is Level.FAIL), "")
        print_report("doctor", {"checks": listed}, exit_code=code, exit_reason=failed)
    return code


command = Command(
    "doctor",
    callback=_doctor,
    params=[
        source_argument(),
        *job_options("Endpoint"),
        Option(
            ["--explain"],
            type=click.Path(),
            metavar="FILE",
            help="say what imagemill understands of a saved answer, and send nothing",
        ),
        *common_options(),
    ],
    help="Check versions, key, endpoint, output folder, disk and descriptors for a job (or for the defaults)."
    " Sends one GET for the list of models; writes nothing; never shows the key."
    " Exits with the code of the first check that failed, 0 when none did.",
)
