"""`imagemill ls`: the output folders below a place."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.groups import Command
from runner.cli.options import common_options, set_up_logs

if TYPE_CHECKING:
    from schemas.listings import FolderState

_HEAD = ("folder", "state", "images", "failed", "parked", "cost", "age")


def _age(touched: str | None) -> str:
    from runner.text.wording import duration_text

    if touched is None:
        return ""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(touched)).total_seconds()
    return duration_text(max(0.0, seconds))


def _line(folder: FolderState) -> tuple[str, ...]:
    from runner.text.wording import money_text

    by_status = folder.by_status
    if by_status is None or folder.images is None:
        images, failed, parked = f"{folder.images_saved:,}", "", ""
    else:
        images = f"{by_status.get('succeeded', 0):,}/{folder.images:,}"
        failed, parked = (f"{by_status.get(name, 0):,}" for name in ("failed", "parked"))
    cost = "" if folder.cost_usd is None else money_text(folder.cost_usd)
    kind = f"{cost} simulated" if folder.simulated else cost
    return folder.out, str(folder.state), images, failed, parked, kind, _age(folder.touched)


def _ls(**values: Any) -> int:
    set_up_logs(values)
    from runner.cli.console import print_table
    from runner.cli.json_report import print_report
    from runner.maintenance.folders import folders_below

    found = list(folders_below(Path(values["folder"])))
    if values["as_json"]:
        print_report("ls", {"folders": [asdict(each) for each in found]})
    elif found:
        print_table(_HEAD, [_line(each) for each in found], optional=("parked", "failed", "age"))
    else:
        click.echo(f"no imagemill folder below {values['folder']}", err=True)
    return 0


command = Command(
    "ls",
    callback=_ls,
    params=[click.Argument(["folder"], type=click.Path(), default="."), *common_options()],
    help="Every imagemill folder below FOLDER (default: the current one): state, images done of those asked for, failures,"
    " cost over its life, and how long ago its last run ended. Reads no manifest.",
)
