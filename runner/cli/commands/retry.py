"""`imagemill retry`: send chosen rows again, as they were or with overrides; old attempts are kept."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.error_kinds import ERROR_KINDS, error_kinds
from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import assignment, common_options, job_options, set_up_logs
from schemas.job_options import JOB_OPTIONS

if TYPE_CHECKING:
    from jobs.selection import RetrySelection
    from runner.retry.request import RetryRequest

_SELECT = "Which rows"
_WITHOUT = (
    "n",
    "simulate",
    "out",
    "new_endpoint",
    "log_format",
    "date",
    "metrics_file",
    "notify",
    "ping_url",
)
"""Options of `run` that `retry` does not take. It notifies nobody: whoever typed it waits for it."""
_SELECTION_OPTIONS = (
    "error",
    "where",
    "flag",
    "since",
    "rows",
    "parked",
    "pending",
    "succeeded",
    "missing",
    "picks",
)


def _selection(values: Mapping[str, Any]) -> RetrySelection:
    from datetime import datetime

    from jobs.selection import RetrySelection
    from runner.retry.request import since
    from runner.retry.row_ids import row_ids

    return RetrySelection(
        kinds=error_kinds(values["error"]),
        flags=frozenset(values["flag"]),
        since_ms=since(values["since"], datetime.now().astimezone()) if values["since"] is not None else None,
        where=values["where"],
        row_ids=row_ids(values["rows"]) if values["rows"] is not None else None,
        parked=values["parked"],
        pending=values["pending"],
        succeeded=values["succeeded"],
        missing=values["missing"],
        picked=values["picks"] is not None,
    )


def _retry_request(values: Mapping[str, Any]) -> RetryRequest:
    from runner.results.picks import read_picks
    from runner.retry.request import RetryRequest, parse_overrides

    selection = _selection(values)
    names = {option.key: option.flag[2:].replace("-", "_") for option in JOB_OPTIONS}
    given = {key: values.get(name) for key, name in names.items() if name not in _WITHOUT}
    changes, settings = parse_overrides(
        [assignment(text, "--set") for text in values["set"]],
        [assignment(text, "--param") for text in values["param"]],
        {key: value for key, value in given.items() if value not in (None, (), [])},
    )
    typed = {name: values[name] for name in _SELECTION_OPTIONS if values[name]}
    picks = None if values["picks"] is None else read_picks(Path(values["picks"]))
    return RetryRequest(selection, changes, settings, values["yes"], typed, picks)


def _dry_run(out: Path, request: RetryRequest, *, as_json: bool) -> int:
    from runner.app import use_cases
    from runner.cli.console import print_facts
    from runner.cli.json_report import of_folder, print_report
    from runner.cli.lines.plan import retry_plan_facts

    plan, found = use_cases.retry_plan(out, request)
    if as_json:
        content = of_folder(out) | asdict(plan)
        del content["warnings"]
        print_report("retry", content, warnings=plan.warnings)
    else:
        print_facts(retry_plan_facts(plan, found, request))
    return 0


def _reread(values: Mapping[str, Any]) -> int:
    """Look again at what is in quarantine. Raises UsageError for options that choose or change what is sent."""
    from runner.app.reread import reread_folder
    from runner.cli.run_end import print_summary

    allowed = {"out", "reread", "as_json", "quiet", "verbose", "progress"}
    if given := [name for name, value in values.items() if value and name not in allowed]:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise click.UsageError(f"--reread looks at every paid body and sends nothing: leave out {names}")
    out = Path(values["out"])
    summary = reread_folder(out)
    print_summary(summary, as_json=values["as_json"])
    return int(summary.exit_code or 0)


def _retry(**values: Any) -> int:
    set_up_logs(values)
    if values.pop("reread"):
        return _reread(values)
    request = _retry_request(values)
    out = Path(values["out"])
    if values["dry_run"]:
        return _dry_run(out, request, as_json=values["as_json"])
    from runner.app import use_cases
    from runner.cli.run_end import last_words, print_summary
    from runner.process.signals import taken
    from runner.telemetry.progress import progress_listeners

    with taken(last_words("retry", as_json=values["as_json"])):
        shown = progress_listeners(values["progress"] or "auto", sys.stderr, quiet=values["quiet"])
        summary = use_cases.retry_folder(out, request, listeners=shown, signals=True)
        print_summary(summary, as_json=values["as_json"])
    return int(summary.exit_code or 0)


def _select(*flags: str, **attributes: Any) -> Option:
    return Option(list(flags), group=_SELECT, **attributes)


def _run_options() -> list[click.Parameter]:
    options = job_options("Request defaults", "Endpoint", "Limits", "Money", "Failure", "Time", "Output")
    kept = [option for option in options if option.name not in _WITHOUT]
    for option in kept:
        if isinstance(option, click.Option) and option.name == "set":
            option.help = (
                "a request field, prompt included, for the rows sent; {column} stands for the row's value,"
                " {{ and }} for braces. param.KEY: any other body field. With another dot: a job key, this once"
            )
    return kept


command = Command(
    "retry",
    callback=_retry,
    params=[
        click.Argument(["out"], type=click.Path()),
        _select(
            "--error",
            multiple=True,
            metavar="KIND",
            choices=ERROR_KINDS,
            help="whose last failure is of this kind; repeatable",
        ),
        _select("--where", metavar="EXPR", help="SQL, as after WHERE, over the columns of results.parquet"),
        _select("--flag", multiple=True, metavar="NAME", help="with this flag; successes too, with --yes"),
        _select("--since", metavar="TIME", help="last sent at this time or later: 2h, 1d, 2026-11-22T02:00"),
        _select(
            "--rows",
            metavar="FILE",
            help="ids: one a line, or column row_id or id, in any form of a manifest; - is stdin",
        ),
        _select(
            "--picks",
            metavar="FILE",
            help="images that were picked in a report; --where then knows rating, tag and note, and needs no --yes",
        ),
        _select("--parked", is_flag=True, help="parked rows: each may have been paid for already"),
        _select("--pending", is_flag=True, help="pending rows"),
        _select("--succeeded", is_flag=True, help="rows that succeeded, to be paid for again; needs --yes"),
        _select(
            "--reread",
            is_flag=True,
            help="none: look again at the paid answers in quarantine, and save what is an image by the rules of today; free",
        ),
        _select("--missing", is_flag=True, help="images that are gone from the disk, to be paid for again"),
        _select("--yes", is_flag=True, help="pay again for pictures that are there"),
        *_run_options(),
        Option(
            ["--dry-run"], group="Output", is_flag=True, help="what would be sent and cost; sends nothing"
        ),
        *common_options(),
    ],
    help="Send rows of an output folder again: the failed and pending ones that all selections name. Parked rows are sent"
    " only by --parked, by the --error that parked them, or by an expression that asks for them (status == 'parked', or"
    " error_kind == '…'). A success is sent only with --yes, or by --picks with --where, and stays when the new attempt"
    " fails. Requests are as the folder's own job says but for the options given here; job.toml stays as it is, and a row"
    " that is still pending afterwards is sent by the next run with its own prompt and fields.",
)
