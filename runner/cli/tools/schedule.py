"""`imagemill schedule`: what a scheduler needs to run a job every night, printed and ready to install."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, set_up_logs

if TYPE_CHECKING:
    from runner.schedule.units import Schedule

_PASSED = {"deadline": "run.deadline", "metrics_file": "run.metrics_file"}


def _planned(values: dict[str, Any]) -> Schedule:
    from runner.config.loader import load_job
    from runner.schedule.units import Schedule, key_file_of, time_of, unit_name
    from schemas.errors import JobError

    job_file = Path(values["source"]).absolute()
    if job_file.suffix.lower() != ".toml":
        raise JobError(
            f"{values['source']} is no job file", fix="a job that runs every night is a .toml file"
        )
    at = time_of(values["at"])
    given = {key: values[name] for name, key in _PASSED.items() if values[name] is not None}
    job = load_job(values["source"], given, environ={}, cwd=Path.cwd())
    if job.manifest is None:
        raise JobError(f"{values['source']} names no manifest", fix='add manifest = "prompts.csv"')
    options: list[str] = []
    for name in _PASSED:
        if values[name] is not None:
            value = values[name] if name == "deadline" else str(Path(values[name]).expanduser().absolute())
            options += [f"--{name.replace('_', '-')}", value]
    name = values["name"] or unit_name(job_file)
    user = bool(values["user"])
    key_file = key_file_of(job, name, values["key_file"], user=user or bool(values["cron"]))
    return Schedule(job, job_file, Path.cwd(), at, name, tuple(options), key_file, user)


def _shown(plan: Schedule, values: dict[str, Any]) -> None:
    from runner.cli.json_report import print_report
    from runner.schedule.units import cron_line, cron_text, install_commands, unit_files, unit_folder

    if values["cron"]:
        text = cron_text(plan)
        if values["as_json"]:
            print_report("schedule", {"line": cron_line(plan)})
        else:
            click.echo(text, nl=False)
        return
    files = unit_files(plan)
    install = install_commands(plan)
    if values["into"] is not None:
        for name, text in files.items():
            (Path(values["into"]) / name).write_text(text, "utf-8")
    if values["as_json"]:
        print_report("schedule", {"folder": str(unit_folder(plan)), "files": files, "install": install})
        return
    for text in files.values():
        click.echo(text)
    click.echo("# Install: put both into their files (--into FOLDER writes them), then")
    for command_line in install:
        click.echo(f"#   {command_line}")


def _schedule(**values: Any) -> int:
    set_up_logs(values)
    if values["systemd"] == values["cron"]:
        raise click.UsageError("name one of --systemd and --cron")
    if values["name"] is not None and not all(char.isalnum() or char in "_.-" for char in values["name"]):
        raise click.UsageError("--name takes letters, digits, and _ . -")
    if values["into"] is not None and not os.access(values["into"], os.W_OK):
        raise click.UsageError(f"--into {values['into']}: no folder that can be written to")
    _shown(_planned(values), values)
    return 0


command = Command(
    "schedule",
    callback=_schedule,
    params=[
        click.Argument(["source"], metavar="JOB.toml", type=click.Path()),
        Option(["--at"], required=True, metavar="HH:MM", help="when to start, local time, every day"),
        Option(["--systemd"], is_flag=True, help="a service and its timer"),
        Option(["--cron"], is_flag=True, help="a line for crontab -e"),
        Option(["--user"], is_flag=True, help="for your own systemd (default: the machine's, with User=you)"),
        Option(["--into"], metavar="FOLDER", type=click.Path(), help="write the units there too"),
        Option(["--name"], metavar="NAME", help="of the units (default: imagemill- and the job file's name)"),
        Option(["--key-file"], metavar="FILE", help="where the key is (default: endpoint.api_key_file)"),
        Option(["--deadline"], metavar="CLOCK", help="end each run at this local time (06:00)"),
        Option(["--metrics-file"], metavar="FILE", help="figures for Prometheus' textfile collector"),
        *common_options(),
    ],
    help="Print systemd units, or a crontab line, that run a job file once a day from the current folder: complete, ready"
    " to install. Nothing is installed.",
)
