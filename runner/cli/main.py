"""`imagemill`: finds the command, runs it, and turns whatever stops it into one message and an exit code."""

from __future__ import annotations

import errno
import gc
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import click

from runner.cli.groups import Commands
from runner.cli.option import Option

SUMMARIES = {
    "run": "make the images of a manifest; the same again resumes",
    "plan": "what a run would do: rows, requests, cost and time; sends nothing",
    "status": "where a job stands; works while it runs",
    "retry": "send again what failed, or what is parked",
    "runs": "past runs of a folder or a job, with their figures",
    "history": "every run of a folder, and every attempt of its rows",
    "prune": "remove image files that a newer try has superseded",
    "verify": "re-read every image and table against the ledger",
    "simulate": "the service, simulated, as a server of its own",
    "schema": "the job file's JSON Schema, the columns of the tables",
    "schedule": "systemd units or a cron line that run a job every night",
    "doctor": "check versions, key, endpoint, disk",
    "help": "the documentation: how-to pages, reference, explanations",
}
PACKAGES = ("schemas", "jobs", "runner")

_GROWN_BEFORE_ALL = 100
"""Collections of the middle generation before one of all objects. Hardly anything here is in cycles, and what is imported
(some 80,000 objects) would be gone through in vain for 8 % of the time of a plan."""
_LOCAL_ERRNO = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS)
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

        click.echo(f"imagemill {version('imagemill')}")
        ctx.exit()


def commands() -> Commands:
    """The root of the command line."""
    return Commands(
        "imagemill",
        package="runner.cli.commands",
        summaries=SUMMARIES,
        params=[
            Option(
                ["--version"], is_flag=True, expose_value=False, callback=_version, help="Show the version."
            )
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
    return Stop(error.exit_code, error.format_message(), f"`{path} --help` shows what it takes")


def _internal(error: Exception) -> Stop:
    import traceback

    from schemas.errors import ExitCode

    trace = "".join(traceback.format_exception(error))
    if isinstance(error, OSError) and error.errno in _LOCAL_ERRNO:
        return Stop(ExitCode.LOCAL, f"this machine: {error}", "mend it and run the same command again", trace)
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
        return Stop(error.exit_code, error.message, error.fix)
    except (KeyboardInterrupt, click.Abort):
        return Stop(ExitCode.INTERRUPTED, "interrupted", "the same command goes on from here")
    except Exception as error:  # noqa: BLE001
        return _internal(error)


def _tell(stop: Stop, arguments: Sequence[str]) -> None:
    from runner.process.redaction import REDACTOR

    REDACTOR.register_variables(os.environ)
    verbose = any(text == "--verbose" or (text[:2] == "-v" and set(text[1:]) == {"v"}) for text in arguments)
    if stop.trace and verbose:
        click.echo(REDACTOR.text(stop.trace, lines=True), err=True)
    click.echo(f"error: {REDACTOR.text(stop.message, lines=True)}", err=True)
    if stop.fix:
        click.echo(f"fix: {REDACTOR.text(stop.fix)}", err=True)
    if "--json" in arguments:
        from runner.cli.console import print_json

        print_json({"exit_code": int(stop.exit_code), "exit_reason": stop.message, "fix": stop.fix})


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
    if isinstance(outcome, Stop):
        _tell(outcome, given)
        return int(outcome.exit_code)
    return int(outcome)


class WithoutPandas:
    """Finds no pandas. No command shows a DataFrame, but pyarrow would import it at the first array made of values, which
    takes a quarter of a second and 30 MB."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Where a module is: not told, so that others look. Raises ImportError for pandas."""
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not needed here", name=name)


def own_process() -> None:
    """Settings of a whole process, for one that is the command's own."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads would only wait, and not idly
    sys.meta_path.insert(0, WithoutPandas())
    gc.set_threshold(*gc.get_threshold()[:2], _GROWN_BEFORE_ALL)


def script() -> NoReturn:
    """The console script: as `main`, and ends the process at once with that exit code.

    Libraries' threads that are still about when an interpreter is taken apart can end it by a signal instead.
    """
    own_process()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it is gone
            stream.flush()
    os._exit(code)
