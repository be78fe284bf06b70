"""`imagemill history`: the runs of a folder, and every attempt of its rows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from runner.cli.groups import Command
from runner.cli.options import common_options, set_up_logs

_SHOWN_ROWS = 50


def _spent(usd: float | None) -> str:
    from runner.text.wording import money_text

    return "" if usd is None else money_text(usd)


def _when(text: str | None) -> str:
    from runner.text.wording import time_text

    return "" if text is None else time_text(text)


def _asked_for(command: dict[str, Any]) -> Iterator[str]:
    """The options of a run, about as they were typed."""
    for name, value in command.get("select", {}).items():
        for each in value if isinstance(value, list) else [value]:
            yield f"--{name}" if each is True else f"--{name} {shlex.quote(str(each))}"
    for name, value in {**command.get("set", {}), **command.get("settings", {})}.items():
        yield f"--set {shlex.quote(f'{name}={value}')}"
    if command.get("select", {}).get("succeeded"):
        yield "--yes"


def _run_lines(runs: list[dict[str, Any]], out: str) -> Iterator[tuple[str, ...]]:
    for run in runs:
        command = run["command"] or {"command": "run"}
        called = " ".join(("imagemill", command["command"], out, *_asked_for(command)))
        counts = f"{run['attempts']:,}", f"{run['images']:,}", _spent(run["cost_usd"])
        yield run["run_id"], *counts, called, run["reason"] or ""


def _evidence(attempt: dict[str, Any]) -> str:
    if attempt["kind"] is None:
        return ""
    http = attempt["http_status"] and f"HTTP {attempt['http_status']}"
    return " ".join(filter(None, (attempt["kind"], attempt["code"], http, attempt["message"])))


def _story(row: dict[str, Any]) -> str:
    """`failed moderation, succeeded`."""
    return ", ".join(
        " ".join(filter(None, (attempt["status"], attempt["kind"]))) for attempt in row["attempts"]
    )


def _row_facts(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "row", row["row_id"]
    yield "prompt", row["prompt"]
    for attempt in row["attempts"]:
        paid = _spent(attempt["cost_usd"]) or ("maybe billed" if attempt["maybe_billed"] else "")
        took = "" if attempt["latency_s"] is None else f"{attempt['latency_s']:.1f} s"
        head = (_when(attempt["sent"]), f"run {attempt['run_id']}", attempt["status"], paid, took)
        yield (
            f"try {attempt['try_number']}",
            ", ".join(filter(None, head)) + f" (attempt {attempt['attempt']})",
        )
        if attempt["prompt"] is not None:
            yield "  sent as", attempt["prompt"]
        yield "  with", " ".join(f"{name}={value}" for name, value in attempt["params"].items())
        if evidence := _evidence(attempt):
            yield "  evidence", evidence
        for name in ("request_id", "task_id"):
            if attempt[name] is not None:
                yield f"  {name}", attempt[name]
        for image in attempt["images"]:
            flags = f" ({', '.join(image['flags'])})" if image["flags"] else ""
            state = "" if image["file"] == "present" else f", {image['file']}"
            yield f"  image {image['idx']}", f"{image['file_name']}{state}{flags}"
            if image["revised_prompt"] is not None:
                yield "  revised", image["revised_prompt"]
        if attempt["quarantined"] is not None:
            yield "  kept", attempt["quarantined"]


def _show(found: dict[str, Any], *, named: bool) -> None:
    from runner.cli.console import print_facts, print_table
    from runner.text.wording import count_text

    if named:
        for row in found["rows"]:
            print_facts(list(_row_facts(row)))
        return
    print_table(
        ("run", "requests", "images", "cost", "called as", "ended"),
        list(_run_lines(found["runs"], shlex.quote(found["out"]))),
        optional=("images", "cost"),
    )
    shown = found["rows"][:_SHOWN_ROWS]
    if not shown:
        return
    click.echo()
    print_table(
        ("row", "tries", "what came of them"),
        [(r["row_id"], str(len(r["attempts"])), _story(r)) for r in shown],
    )
    more = len(found["rows"]) - len(shown) + found["more_rows"]
    if more:
        others = count_text(more, "more row that was", "more rows that were")
        click.echo(f"… and {others} sent more than once")


def _history(**values: Any) -> int:
    set_up_logs(values)
    from runner.cli.json_report import of_folder, print_report
    from runner.maintenance.history import history

    found = history(Path(values["out"]), values["row"])
    if values["as_json"]:
        print_report("history", of_folder(values["out"]) | found)
    else:
        _show(found, named=values["row"] is not None)
    return 0


command = Command(
    "history",
    callback=_history,
    params=[
        click.Argument(["out"], type=click.Path()),
        click.Argument(["row"], required=False, metavar="[ROW]"),
        *common_options(),
    ],
    help="The runs of an output folder and the rows that were sent more than once; with ROW (a row id, or #12 for a line"
    " of results.parquet) every attempt of it: prompt and parameters as sent, evidence, cost, image. Works while a run"
    " goes on, and without the manifest.",
)
