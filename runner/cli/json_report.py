"""What `--json` prints: one object of one shape for all commands, also when they fail. See `schemas.json_objects`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.cli.console import print_json
from runner.process.version import VERSION
from schemas.reports import RunWarning


def print_report(
    command: str,
    content: Mapping[str, Any],
    *,
    exit_code: int = 0,
    exit_reason: str = "",
    warnings: Iterable[RunWarning] = (),
) -> None:
    """What a command found. exit_reason: "" where the command did what it was asked to."""
    print_json(report_object(command, content, exit_code, exit_reason, warnings))


def report_object(
    command: str,
    content: Mapping[str, Any],
    exit_code: int = 0,
    exit_reason: str = "",
    warnings: Iterable[RunWarning] = (),
) -> dict[str, Any]:
    """The object that `print_report` prints."""
    return {
        "imagemill": VERSION,
        "command": command,
        "exit_code": int(exit_code),
        "exit_reason": exit_reason,
        **content,
        "warnings": [asdict(warning) for warning in warnings],
    }


def print_failure(command: str, exit_code: int, error: str, fix: str, mistakes: Iterable[str] = ()) -> None:
    """Why a command failed. mistakes: of a job file, each for itself."""
    content = {"error": error, "fix": fix, "mistakes": list(mistakes)}
    print_report(command, content, exit_code=exit_code, exit_reason=error)


def of_folder(out: str | Path) -> dict[str, Any]:
    """`out` and `simulated`, for commands on an output folder. Raises JobError when it is none."""
    from runner.config.loader import read_out_job

    return {"out": str(out), "simulated": read_out_job(Path(out)).simulate}
