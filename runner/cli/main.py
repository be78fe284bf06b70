"""`imagemill`: finds the command, runs it, and turns whatever stops it into one message and an exit code."""

from __future__ import annotations

import gc
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import click

from runner.cli.groups import Commands
from runner.cli.option import Option

FOLDER_COMMANDS = {
    "run": "make the images of a manifest; the same again resumes",
    "plan": "what a run would do: rows, requests, cost and time; sends nothing",
    "status": "where a job stands; works while it runs",
    "ls": "every imagemill folder below here: state, images, failures, cost, age",
    "failures": "the rows that are not fine, why, and what mends them",
    "report": "pages to look at: figures, contact sheet, comparison, picks; no server",
    "retry": "send again what failed, or what is parked",
    "runs": "past runs of a folder or a job, with their figures",
    "history": "every run of a folder, and every attempt of its rows",
    "prune": "remove image files that a newer try has superseded",
    "verify": "re-read every image and table against the ledger",
    "export": "the images as a dataset that loaders and evaluators read",
}
TOOLS = {
    "simulate": "the service, simulated, as a server of its own",
    "schema": "the job file's JSON Schema, the columns of the tables",
    "schedule": "systemd units or a cron line that run a job every night",
    "doctor": "check versions, key, endpoint, disk",
    "init": "a commented job file, a small manifest and .env.example to begin with",
    "help": "the documentation: how-to pages, reference, explanations",
}
SUMMARIES = FOLDER_COMMANDS | TOOLS
PACKAGES = ("schemas", "jobs", "runner")

_GROWN_BEFORE_ALL = 100
"""Collections of the middle generation before one of all objects. Hardly anything here is in cycles, and what is imported
(some 80,000 objects) would be gone through in vain for 8 % of the time of a plan."""
_NO_RANGE = re.compile(r"is not a valid (float|integer|int)( range)?\b")
_EPILOG = (
    'Completion: eval "$(_IMAGEMILL_COMPLETE=bash_source imagemill)"; zsh_source and fish_source work alike.'
)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the program ends early. trace: the traceback, for -v."""

    exit_code: int
    message: str
    fix: str = ""
    trace: str = ""
    mistakes: tuple[str, ...] = ()


def shadowed_package() -> str | None:
    """A message when another folder named like one of our packages is found first; None when all are ours.

    `python -m` and PYTHONPATH put the user's folders before installed packages, and `jobs` is a common name.
    """
    from importlib.util import find_spec

    home = Path(__file__).resolve().parents[2]
    for name in PACKAGES:
        spec = find_spec(name)
        found = Path(spec.origin).resolve().parent if spec is not None and spec.origin else None
        if found != home / name:
            return f"Python finds {found or 'no folder'} where imagemill's own package `{name}` should be"
    return None


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        if "--json" in sys.argv:
            from runner.cli.json_report import print_report

            print_report("version", {})
        else:
            click.echo(f"imagemill {version('imagemill')}")
        ctx.exit()


def commands() -> Commands:
    """The root of the command line."""
    return Commands(
        "imagemill",
        packages={"runner.cli.commands": FOLDER_COMMANDS, "runner.cli.tools": TOOLS},
        summaries=SUMMARIES,
        params=[
            Option(["--json"], is_flag=True, expose_value=False, hidden=True, help="for --version"),
            Option(
                ["--version"], is_flag=True, expose_value=False, callback=_version, help="Show the version."
            ),
        ],
        help="Images in bulk from a table of prompts: paced, resumable, paid once.",
        epilog=_EPILOG,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )


def _usage(error: click.ClickException) -> Stop:
    path = (
        error.ctx.command_path
        if isinstance(error, click.UsageError) and error.ctx is not None
        else "imagemill"
    )
    message = _NO_RANGE.sub("is not a number", " ".join(error.format_message().split()))
    return Stop(error.exit_code, message, f"`{path} --help` shows what it takes")


def _internal(error: Exception) -> Stop:
    import traceback

    from runner.process.disk_errors import explained, is_of_the_machine
    from schemas.errors import ExitCode

    trace = "".join(traceback.format_exception(error))
    if isinstance(error, OSError) and is_of_the_machine(error):
        told = explained(error, error.filename or "this machine", "refused")
        return Stop(told.exit_code, told.message, told.fix, trace)
    message = f"internal error: {type(error).__name__}: {error}"
    return Stop(ExitCode.INTERNAL, message, "run it again with -v and report what it prints", trace)


def _run(arguments: Sequence[str]) -> int | Stop:
    """The command's exit code, or why it stopped. Here stands the command line's one broad `except`."""
    from schemas.errors import ExitCode, JobError

    try:
        outcome = commands().main(arguments, prog_name="imagemill", standalone_mode=False)
        return outcome if isinstance(outcome, int) else ExitCode.OK
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        return _usage(error)
    except JobError as error:
        return Stop(error.exit_code, error.message, error.fix, mistakes=error.mistakes)
    except (KeyboardInterrupt, click.Abort):
        return Stop(ExitCode.INTERRUPTED, "interrupted", "the same command goes on from here")
    except Exception as error:  # noqa: BLE001
        return _internal(error)


def _print_stop(stop: Stop, arguments: Sequence[str]) -> None:
    from runner.process.redaction import REDACTOR

    REDACTOR.register_variables(os.environ)
    verbose = any(text == "--verbose" or (text[:2] == "-v" and set(text[1:]) == {"v"}) for text in arguments)
    if stop.trace and verbose:
        click.echo(REDACTOR.text(stop.trace, lines=True), err=True)
    click.echo(f"error: {REDACTOR.text(stop.message, lines=True)}", err=True)
    if stop.fix:
        click.echo(f"fix: {REDACTOR.text(stop.fix)}", err=True)
    if "--json" in arguments:
        from runner.cli.json_report import print_failure

        command = next((text for text in arguments if text in SUMMARIES), "")
        print_failure(command, int(stop.exit_code), stop.message, stop.fix, stop.mistakes)


def _checked_output(code: int) -> int | Stop:
    """The exit code of a command that has ended, or a stop where stdout did not take its results."""
    from runner.process.streams import lost_output
    from schemas.errors import ExitCode

    sys.stdout.flush()
    lost = lost_output()
    if lost is None or code != ExitCode.OK:
        return code
    return Stop(ExitCode.LOCAL, f"stdout cannot be written: {lost.strerror}", "mend it and run it again")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. arguments: without the program's name; None: the process's own."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    shadow = shadowed_package()
    if shadow is not None:
        fix = "start `imagemill` (not `python -m`) from another folder and without PYTHONPATH"
        click.echo(f"error: {shadow}\nfix: {fix}", err=True)
        if "--json" in given:
            click.echo(json.dumps({"exit_code": 2, "exit_reason": shadow, "fix": fix}))
        return 2
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    outcome = _run(given)
    if not isinstance(outcome, Stop):
        outcome = _checked_output(outcome)
    if isinstance(outcome, Stop):
        _print_stop(outcome, given)
        return int(outcome.exit_code)
    return int(outcome)


class WithoutPandas:
    """Hides pandas. No command needs a DataFrame, but pyarrow would import pandas for the first array made from Python
    values, which takes a quarter of a second and 30 MB."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """None, so that the next finder is asked. Raises ImportError for pandas."""
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not needed here", name=name)


def own_process() -> None:
    """Settings of a whole process, for one that is the command's own."""
    from runner.process.streams import install

    install()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads would only wait, and not idly
    sys.meta_path.insert(0, WithoutPandas())
    gc.set_threshold(*gc.get_threshold()[:2], _GROWN_BEFORE_ALL)


def script() -> NoReturn:
    """The console script: as `main`, and ends the process at once with that exit code.

    Threads of libraries that still run during interpreter shutdown could crash the process instead.
    """
    own_process()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
