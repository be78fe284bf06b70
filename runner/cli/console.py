"""Results on stdout: one JSON object, or facts for people, a line each."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from runner.process.redaction import REDACTOR

Facts = Sequence[tuple[str, str]]
"""Label and text, a line each."""

_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "parked": "yellow",
    "invalid": "yellow",
    "warning": "yellow",
    "next": "cyan",
}


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return REDACTOR.hide(value)
    if isinstance(value, Mapping):
        return {key: _hidden(item) for key, item in value.items()}
    return [_hidden(item) for item in value] if isinstance(value, (list, tuple)) else value


def print_json(document: Mapping[str, Any]) -> None:
    """The one JSON object of `--json`, on one line of plain ASCII."""
    click.echo(json.dumps(_hidden(document)))


def print_facts(facts: Facts) -> None:
    """Aligned lines; on a terminal wrapped below their label and coloured. Nothing in them is read as markup."""
    safe = [(label, REDACTOR.text(text)) for label, text in facts]
    if not sys.stdout.isatty():
        width = max((len(label) for label, _ in safe), default=0)
        for label, text in safe:
            click.echo(f"{label:<{width}}  {text}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for label, text in safe:
        table.add_row(Text(label, style=_COLOURS.get(label, "bold")), Text(text, overflow="fold"))
    Console(highlight=False).print(table)


def print_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Columns under their headings; on a terminal folded to its width. Nothing in them is read as markup."""
    safe = [[REDACTOR.text(text) for text in line] for line in lines]
    if not sys.stdout.isatty():
        widths = [max(len(line[i]) for line in (header, *safe)) for i in range(len(header))]
        for line in (header, *safe):
            click.echo(
                "  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip()
            )
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for place, title in enumerate(header):
        table.add_column(Text(title), overflow="fold", no_wrap=place == 0)
    for line in safe:
        table.add_row(*map(Text, line))
    Console(highlight=False).print(table)
