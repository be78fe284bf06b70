"""`imagemill retry`: send chosen rows again, as they were or with overrides; old attempts are kept."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import assignment, common_options, job_options, set_up_logs
from schemas.job_options import JOB_OPTIONS

if TYPE_CHECKING:
    from jobs.selection import Wanted
    from runner.retry.request import Asked
    from runner.retry.survey import Survey
    from schemas.reports import Plan

_SELECT = "Which rows"
_WITHOUT = ("n", "simulate", "out", "log_format", "date", "metrics_file", "notify", "ping_url")
"""Options of `run` that a retry has no use for; it tells nobody but who called it."""
_TOLD = ("error", "where", "flag", "since", "rows", "parked", "pending", "succeeded")


def _kinds(names: tuple[str, ...]) -> frozenset[Any]:
    from schemas.failures import FailureKind

    known = [kind.value for kind in FailureKind]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f", did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"--error {name}: no such kind of error{hint} (known: {', '.join(known)})")
    return frozenset(FailureKind(name) for name in names)


def _wanted(values: Mapping[str, Any]) -> Wanted:
    from datetime import datetime

    from jobs.selection import Wanted
    from runner.retry.request import since
    from runner.retry.row_ids import row_ids

    return Wanted(
        kinds=_kinds(values["error"]),
        flags=frozenset(values["flag"]),
        since_ms=since(values["since"], datetime.now().astimezone()) if values["since"] is not None else None,
        where=values["where"],
        row_ids=row_ids(Path(values["rows"])) if values["rows"] is not None else None,
        parked=values["parked"],
        pending=values["pending"],
        succeeded=values["succeeded"],
    )


def _asked(values: Mapping[str, Any]) -> Asked:
    from runner.retry.request import Asked, overrides

    wanted = _wanted(values)
    names = {option.key: option.flag[2:].replace("-", "_") for option in JOB_OPTIONS}
    given = {key: values.get(name) for key, name in names.items() if name not in _WITHOUT}
    changes, settings = overrides(
        [assignment(text, "--set") for text in values["set"]],
        [assignment(text, "--param") for text in values["param"]],
        {key: value for key, value in given.items() if value not in (None, (), [])},
    )
    told = {name: values[name] for name in _TOLD if values[name]}
    return Asked(wanted, changes, settings, values["yes"], told)


def _plan_lines(plan: Plan, found: Survey, asked: Asked) -> list[tuple[str, str]]:
    from runner.cli.render import plan_facts

    lines = list(plan_facts(plan))
    changed = [*asked.changes.fields, *asked.changes.params]
    if changed:
        lines.append(("changed", ", ".join(name for name, _ in changed)))
    if found.example is not None:
        lines.append(("example", f"row {found.example[0]}: {found.example[1]}"))
    return lines


def _dry_run(out: Path, asked: Asked, *, as_json: bool) -> int:
    from runner.app import use_cases
    from runner.cli.console import print_facts, print_json

    plan, found = use_cases.retry_plan(out, asked)
    if as_json:
        print_json(asdict(plan))
    else:
        print_facts(_plan_lines(plan, found, asked))
    return 0


def _retry(**values: Any) -> int:
    set_up_logs(values)
    asked = _asked(values)
    out = Path(values["out"])
    if values["dry_run"]:
        return _dry_run(out, asked, as_json=values["as_json"])
    from runner.app import use_cases
    from runner.cli.console import print_facts, print_json
    from runner.cli.render import summary_facts
    from runner.telemetry.progress import make_observer

    with make_observer(values["progress"] or "auto", sys.stderr, quiet=values["quiet"]) as observer:
        summary = use_cases.retry_folder(out, asked, observer=observer, signals=True)
    if values["as_json"]:
        print_json(asdict(summary))
    else:
        print_facts(summary_facts(summary, simulated=use_cases.is_simulated(out)))
    return summary.exit_code


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
            "--error", multiple=True, metavar="KIND", help="whose last failure is of this kind; repeatable"
        ),
        _select("--where", metavar="EXPR", help="SQL, as after WHERE, over the columns of results.parquet"),
        _select("--flag", multiple=True, metavar="NAME", help="with this flag; successes too, with --yes"),
        _select("--since", metavar="TIME", help="last sent at this time or later: 2h, 1d, 2026-11-22T02:00"),
        _select("--rows", metavar="FILE", help="ids: one a line, or column row_id or id of CSV or Parquet"),
        _select("--parked", is_flag=True, help="parked rows: each may have been paid for already"),
        _select("--pending", is_flag=True, help="pending rows"),
        _select("--succeeded", is_flag=True, help="rows that succeeded, to be paid for again; needs --yes"),
        _select("--yes", is_flag=True, help="pay again for pictures that are there"),
        *_run_options(),
        Option(
            ["--dry-run"], group="Output", is_flag=True, help="what would be sent and cost; sends nothing"
        ),
        *common_options(),
    ],
    help="Send rows of an output folder again: the failed and pending ones that all selections name. Parked rows are sent"
    " only by --parked, by the --error that parked them, or by an expression that asks for them (status == 'parked', or"
    " error_kind == '…'). A success is sent only with --yes, and stays when the new attempt fails. Requests are as the"
    " folder's own job says but for the options given here; job.toml stays as it is, and a row that is still pending"
    " afterwards is sent by the next run with its own prompt and fields.",
)
