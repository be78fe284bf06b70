"""Commands whose options are shown in groups: as plain text in a pipe, through rich-click on a terminal.

rich-click is imported only for help on a terminal: it takes 55 ms to start and draw, all of click takes 35.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from runner.cli.option import option_groups


def _drawn(command: click.Command, ctx: click.Context) -> str | None:
    """The help as rich-click draws it, on a terminal; None elsewhere."""
    if not sys.stdout.isatty():
        return None
    from runner.cli.terminal_help import terminal_help

    return terminal_help(command, ctx)


class Command(click.Command):
    """A click command with grouped options."""

    def get_help(self, ctx: click.Context) -> str:
        """The whole help text."""
        return _drawn(self, ctx) or super().get_help(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group under its heading."""
        for heading, options in option_groups(self, ctx).items():
            records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
            with formatter.section(heading):
                formatter.write_dl(records)


class Commands(click.Group):
    """Commands that are imported when they are called; `summaries` (name -> one line) is enough for the overview."""

    def __init__(
        self, name: str, *, packages: dict[str, dict[str, str]], summaries: dict[str, str], **attributes: Any
    ) -> None:
        super().__init__(name, **attributes)
        self.packages = packages
        self.summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use, not of the alphabet."""
        return list(self.summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of that name; its `command` is the command."""
        if cmd_name not in self.summaries:
            return None
        from importlib import import_module

        package = next(package for package, names in self.packages.items() if cmd_name in names)
        command: click.Command = import_module(f"{package}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when there is none of that name."""
        if args[0] not in self.summaries and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.summaries, 1)
            ctx.fail(f"no command '{args[0]}'" + (f"; did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """The whole help text."""
        return _drawn(self, ctx) or super().get_help(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the overview without loading any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))
