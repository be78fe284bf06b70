"""The options of `run` and `plan`, one row each: the flag and the job key that it sets. `--set` reaches every other key."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from runner.cli.option import Option
from schemas.job_options import _GROUPS, JOB_OPTIONS, JobOption

if TYPE_CHECKING:
    from schemas.job import Job


def _named(flag: str) -> str:
    return flag[2:].replace("-", "_")


def _click_option(option: JobOption, group: str) -> click.Option:
    if not option.metavar:
        return Option([option.flag], group=group, is_flag=True, default=None, help=option.help)
    return Option(
        [option.flag],
        group=group,
        metavar=option.metavar,
        help=option.help,
        choices=option.choices,
        multiple=option.many,
    )


def job_options(*groups: str) -> list[click.Parameter]:
    """The options of these groups (all of them when none is named), with `--set`, ready for a command."""
    chosen = groups or tuple(_GROUPS)
    options: list[click.Parameter] = []
    for group in chosen:
        options += [_click_option(option, group) for option in _GROUPS[group]]
        if group == "Request defaults":
            options.append(
                Option(
                    ["--param"], group=group, metavar="KEY=VALUE", multiple=True, help="any other body field"
                )
            )
    options.append(
        Option(
            ["--set"],
            group="Output",
            metavar="KEY=VALUE",
            multiple=True,
            help="any key of the job file, such as limits.window_s=30",
        )
    )
    return options


def common_options() -> list[click.Parameter]:
    """What every command takes."""
    return [
        Option(["--json", "as_json"], group="Output", is_flag=True, help="print one JSON object on stdout"),
        Option(["-q", "--quiet"], group="Output", is_flag=True, help="no progress; only errors are logged"),
        Option(["-v", "--verbose"], group="Output", count=True, help="more log lines; twice: libraries' too"),
    ]


def source_argument(metavar: str = "MANIFEST|JOB.toml") -> click.Argument:
    """The manifest (file, folder, glob, URL, or - for stdin) or the job file."""
    return click.Argument(["source"], required=False, metavar=f"[{metavar}]", type=click.Path())


def assignment(text: str, flag: str) -> tuple[str, str]:
    """Key and value of `key=value`."""
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise click.UsageError(f"{flag} takes key=value")
    return key.strip(), value


def job_overrides(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted job keys from a command's parsed options; a flag of its own wins over `--set`."""
    from runner.config.toml_values import read_setting

    pairs = [assignment(text, "--set") for text in values["set"]]
    for text in values.get("param", ()):
        name, value = assignment(text, "--param")
        pairs.append((f"request.param.{name}", value))
    overrides = {key: read_setting(key, text) for key, text in pairs}
    given = {option.key: values.get(_named(option.flag)) for option in JOB_OPTIONS}
    return overrides | {key: value for key, value in given.items() if value not in (None, ())}


def set_up_logs(values: Mapping[str, Any], log_format: Literal["console", "json"] = "console") -> None:
    """Logging for a command's `-q` and `-v`, with the keys of the environment hidden from the start."""
    from runner.process.redaction import REDACTOR
    from runner.telemetry.logs import configure_logging

    REDACTOR.register_variables(os.environ)
    configure_logging(verbosity=-1 if values["quiet"] else values["verbose"], log_format=log_format)


def job_on(values: Mapping[str, Any], day: date) -> Job:
    """The same job with this day for its `{date}`."""
    from runner.config.loader import load_job

    overrides = job_overrides(values) | {"date": day.isoformat()}
    return load_job(values["source"], overrides, environ=os.environ, cwd=Path.cwd())


@contextmanager
def rows_from(job: Job, *, kept: bool) -> Iterator[Path | None]:
    """The file that holds a manifest from stdin, for as long as the block lasts; None for any other manifest.

    kept: the rows will stay in the job's folder, which then has to be named. Raises JobError.
    """
    from runner.manifest.columns import known_names
    from runner.manifest.stdin import STDIN, manifest_file
    from schemas.errors import JobError

    if job.manifest != STDIN:
        yield None
        return
    if kept and "out" not in job.model_fields_set:
        raise JobError("rows from stdin need a folder of their own", fix="name it: --out runs/NAME")
    if sys.stdin.isatty():
        click.echo("reading the manifest from stdin; Ctrl-D ends it", err=True)
    with manifest_file(
        sys.stdin.buffer, form=job.input.format, known=known_names(job.columns.prompt)
    ) as file:
        yield file


def job_from(values: Mapping[str, Any]) -> Job:
    """The job of a command's arguments and options. Raises JobError for a bad job, and for one without a manifest."""
    from runner.config.loader import load_job
    from schemas.errors import JobError

    set_up_logs(values, "json" if values["log_format"] == "json" else "console")
    job = load_job(values["source"], job_overrides(values), environ=os.environ, cwd=Path.cwd())
    set_up_logs(values, job.output.log_format)
    if job.manifest is None:
        raise JobError("no manifest", fix="name a manifest or a job file: imagemill run prompts.csv")
    return job
