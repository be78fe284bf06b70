"""`imagemill run`: make the images. The same command again goes on where the last one ended."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, job_from, job_on, job_options, rows_from, source_argument

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from schemas.job import Job
    from schemas.reports import Service


def _say(stream: TextIO, service: Service) -> None:
    """Where requests are about to go, with which model and key."""
    from runner.process.redaction import REDACTOR

    click.echo(f"service  {REDACTOR.text(str(service))}", stream)


def _stream(job: Job) -> TextIO:
    """Where a run shows itself: stderr, or the log where that is to be JSON."""
    if job.output.log_format != "json":
        return sys.stderr
    from runner.telemetry.log_lines import LogLines

    return cast("TextIO", LogLines())


def _run(**values: Any) -> int:
    job = job_from(values)
    if values["dry_run"]:
        from runner.cli.commands.plan import show_plan

        return show_plan(job, as_json=values["as_json"])
    with rows_from(job, kept=True) as rows:
        return _run_job(job, rows, values)


def _run_job(job: Job, rows: Path | None, values: Mapping[str, Any]) -> int:
    from runner.cli.run_end import last_words, print_summary
    from runner.process.signals import taken
    from runner.schedule import scheduled_run
    from runner.telemetry.progress import progress_listeners

    stream, mode = _stream(job), job.output.progress
    if stream is not sys.stderr and mode == "rich":
        mode = "plain"
    with taken(last_words("run", as_json=values["as_json"])):
        shown = progress_listeners(mode, stream, quiet=values["quiet"])
        summary = scheduled_run.run_scheduled(
            job,
            values["source"],
            partial(job_on, values),
            manifest=rows,
            listeners=shown,
            signals=True,
            say=None if values["quiet"] or job.output.progress == "none" else partial(_say, stream),
        )
        print_summary(summary, as_json=values["as_json"])
    return int(summary.exit_code or 0)


command = Command(
    "run",
    callback=_run,
    params=[
        source_argument(),
        *job_options(),
        Option(["--dry-run"], group="Output", is_flag=True, help="as `imagemill plan`"),
        *common_options(),
    ],
    help="Make the images of a manifest (- is stdin), or of the job that a job file describes."
    " Running it again with the same --out resumes: nothing that is done is sent again.",
    epilog="Example: imagemill run prompts.csv --out runs/a --max-cost 5\n\n"
    "Exit codes: 0 all succeeded, 2 usage, 3 some rows failed, 4 key or quota, 5 service down, 6 locked,"
    " 7 damaged, 8 budget, 9 disk, 10 --max-duration or --deadline, 129/130/143 hung up, interrupted, terminated.",
)
