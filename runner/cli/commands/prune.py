"""`imagemill prune`: remove image files that a newer try has superseded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.groups import Command
from runner.cli.option import Option
from runner.cli.options import common_options, set_up_logs

if TYPE_CHECKING:
    from runner.maintenance.prune import Pruning

_SHOWN = 20


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count:,} bytes"


def _report(found: Pruning, *, done: bool) -> dict[str, Any]:
    return {
        "images": len(found.files),
        "bytes": found.bytes,
        "removed": done,
        "files": [file.path for file in found.files],
        "kept": [{"path": path, "reason": reason} for path, reason in found.kept.items()],
        "leftover": len(found.leftover),
    }


def _show(found: Pruning, *, done: bool) -> None:
    from runner.cli.console import print_facts
    from runner.text.wording import count_text

    images = f"{count_text(len(found.files), 'image')}, {_size(found.bytes)}"
    facts = [("removed" if done else "would remove", images)]
    if not done:
        facts += [("file", file.path) for file in found.files[:_SHOWN]]
        if len(found.files) > _SHOWN:
            facts.append(("…", f"{len(found.files) - _SHOWN:,} more; --json lists all"))
    if found.leftover:
        files = count_text(len(found.leftover), "file")
        facts.append(("leftover", f"{files} of an earlier prune that was killed"))
    facts += [("kept", f"{path}: {reason}") for path, reason in list(found.kept.items())[:_SHOWN]]
    print_facts(facts)


def _agreed(found: Pruning) -> bool:
    from runner.text.wording import count_text
    from schemas.errors import JobError

    message = f"{count_text(len(found.files), 'superseded image')} ({_size(found.bytes)}) would be removed"
    if not sys.stdin.isatty():
        raise JobError(f"{message}; nothing was removed", fix="add --yes, or --dry-run to look first")
    agreed = click.confirm(f"{message}. Remove {'it' if len(found.files) == 1 else 'them'}?", err=True)
    if not agreed:
        click.echo("nothing was removed", err=True)
    return agreed


def _prune(**values: Any) -> int:
    set_up_logs(values)
    from runner.cli.json_report import of_folder, print_report
    from runner.maintenance import prune

    out, removed = Path(values["out"]), values["removed"]
    found = prune.preview(out, removed=removed)
    done = False
    if not values["dry_run"] and (found.files or found.leftover):
        if found.files and not values["yes"] and not _agreed(found):
            return 0
        found, done = prune.prune(out, removed=removed), True
    if values["as_json"]:
        print_report("prune", of_folder(out) | _report(found, done=done))
    else:
        _show(found, done=done)
    return 0


command = Command(
    "prune",
    callback=_prune,
    params=[
        click.Argument(["out"], type=click.Path()),
        Option(["--dry-run"], is_flag=True, help="what would be removed"),
        Option(["--yes"], is_flag=True, help="do not ask; needed where there is no terminal"),
        Option(["--removed"], is_flag=True, help="also images of rows that the manifest no longer has"),
        *common_options(),
    ],
    help="Remove image files that a newer success of the same image has superseded. Their record stays in the ledger."
    " The newest image of a row, quarantined bodies and files that imagemill does not know are never removed.",
)
