"""Options of the command line, in groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

GENERAL = "General"
_RANGE = re.compile(r"\s*\[[-\d.<>=]*x[-\d.<>=]*\]$")


class Option(click.Option):
    """An option with the heading that it stands under in help. choices: what completion offers; the job checks."""

    def __init__(
        self,
        declarations: Sequence[str],
        *,
        group: str = GENERAL,
        choices: Sequence[str] = (),
        **attributes: Any,
    ) -> None:
        super().__init__(declarations, **attributes)
        self.group = group
        self.choices = choices

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """As click has it, without the formula of a range of numbers."""
        record = super().get_help_record(ctx)
        return record if record is None else (record[0], _RANGE.sub("", record[1]))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The documented values, else whatever the type offers."""
        if not self.choices:
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(choice) for choice in self.choices if choice.startswith(incomplete)]


def option_groups(command: click.Command, ctx: click.Context) -> dict[str, list[click.Option]]:
    """The command's options by heading, in the order in which they were declared."""
    groups: dict[str, list[click.Option]] = {}
    for parameter in command.get_params(ctx):
        if isinstance(parameter, click.Option):
            groups.setdefault(getattr(parameter, "group", GENERAL), []).append(parameter)
    return groups
