"""Results on stdout: one JSON object, or facts for people, a line each."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from runner.process.redaction import REDACTOR

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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


def hidden(value: Any) -> Any:
    """The value with keys replaced in every text, and tuples as lists: as it stands in JSON."""
    if isinstance(value, str):
        return REDACTOR.hide(value)
    if isinstance(value, Mapping):
        return {key: hidden(item) for key, item in value.items()}
    return [hidden(item) for item in value] if isinstance(value, (list, tuple)) else value


def print_json(document: Mapping[str, Any]) -> None:
    """The one JSON object of `--json`, on one line of plain ASCII."""
    click.echo(json.dumps(hidden(document)))


def print_facts(facts: Facts) -> None:
    """Aligned lines; on a terminal wrapped below their label and coloured. Nothing in them is read as markup."""
    if sys.stdout.isatty():
        terminal().print(facts_grid(facts))
        return
    for line in fact_lines(facts):
        click.echo(line)


def fact_lines(facts: Facts) -> list[str]:
    """The aligned lines, each as long as it is."""
    width = max((len(label) for label, _ in facts), default=0)
    return [f"{label:<{width}}  {REDACTOR.text(text)}" for label, text in facts]


def terminal(*, stderr: bool = False) -> Console:
    """The terminal at its own width; rich takes 80 columns for every terminal that calls itself dumb."""
    from rich.console import Console

    return Console(highlight=False, stderr=stderr, width=shutil.get_terminal_size().columns)


def facts_grid(facts: Facts) -> Table:
    """The lines as rich draws them, wrapped below their label."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for label, text in facts:
        table.add_row(
            Text(label, style=_COLOURS.get(label, "bold")), Text(REDACTOR.text(text), overflow="fold")
        )
    return table


def print_table(
    header: Sequence[str], lines: Sequence[Sequence[str]], *, optional: Sequence[str] = ()
) -> None:
    """Columns under their headings. Nothing in them is read as markup.

    On a terminal the last column is folded, and no other: one that is too narrow does without the columns of `optional`,
    the first of them first. Where that is not enough, each line is a paragraph.
    """
    safe = [[REDACTOR.text(text) for text in line] for line in (header, *lines)]
    if sys.stdout.isatty():
        _draw_table(safe, optional)
        return
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    for line in safe:
        click.echo("  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip())


def _draw_table(lines: Sequence[Sequence[str]], optional: Sequence[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    console = terminal()
    header = list(lines[0])
    left_out = list(optional)
    kept = list(range(len(header)))
    while left_out and _needed(lines, kept) > console.width:
        name = left_out.pop(0)
        kept = [number for number in kept if header[number] != name]
    if _needed(lines, kept) > console.width:
        for line in lines[1:]:
            console.print(facts_grid([(name, text) for name, text in zip(header, line, strict=True) if text]))
            console.print()
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number in kept:
        table.add_column(Text(header[number]), overflow="fold", no_wrap=number != kept[-1])
    for line in lines[1:]:
        table.add_row(*(Text(line[number]) for number in kept))
    console.print(table)


_FOLDED = 24
"""Width that the last column of a table needs at least."""


def _needed(lines: Sequence[Sequence[str]], kept: Sequence[int]) -> int:
    widths = [max(len(line[number]) for line in lines) for number in kept]
    return sum(widths[:-1]) + 2 * len(widths) + min(widths[-1], _FOLDED)
