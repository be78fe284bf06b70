"""Help on a terminal: the same commands, drawn by rich-click."""

from __future__ import annotations

from typing import Any

import click
import rich_click

from runner.cli.option import option_groups


def _twin(command: click.Command, ctx: click.Context) -> rich_click.RichCommand:
    """The command as rich-click knows it. Commands of a group are named and summed up, not loaded."""
    shared: dict[str, Any] = {"params": command.params, "help": command.help, "epilog": command.epilog}
    summaries = getattr(command, "summaries", None)
    if summaries is not None:
        listed = {name: click.Command(name, short_help=line) for name, line in summaries.items()}
        panel = rich_click.RichCommandPanel("Commands", commands=list(listed))
        return rich_click.RichGroup(name=command.name, commands=listed, panels=[panel], **shared)
    panels: list[rich_click.RichPanel[Any, Any]] = [
        rich_click.RichOptionPanel(heading, options=[str(option.name) for option in options])
        for heading, options in option_groups(command, ctx).items()
    ]
    return rich_click.RichCommand(name=command.name, panels=panels, **shared)


def terminal_help(command: click.Command, ctx: click.Context) -> str:
    """The help text with boxes and colours."""
    names = list(ctx.help_option_names)
    drawing = rich_click.RichContext(
        _twin(command, ctx), info_name=ctx.info_name, parent=ctx.parent, help_option_names=names
    )
    return drawing.command.get_help(drawing)
