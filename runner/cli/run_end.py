"""What `run` and `retry` print at their end."""

from __future__ import annotations

from collections.abc import Callable

import click

from runner.cli.console import print_facts, print_json
from runner.cli.json_report import print_failure
from runner.cli.lines.summary import summary_facts
from runner.process.signals import GO_ON
from runner.process.streams import forgive_lost_output
from schemas.summary import Summary


def print_summary(summary: Summary, *, as_json: bool) -> None:
    """How a run ended. It stands in the run's folder too, so a stdout that does not take it is no error."""
    if as_json:
        print_json(summary.to_dict())
    else:
        print_facts(summary_facts(summary))
    forgive_lost_output()


def last_words(command: str, *, as_json: bool) -> Callable[[int, str], None]:
    """Prints how a run ended that is ended by force: as at every other end, and as JSON if that was asked for."""

    def say(code: int, text: str) -> None:
        click.echo(f"error: {text}; something hung, and was left behind\nfix: {GO_ON}", err=True)
        if as_json:
            print_failure(command, int(code), text, GO_ON)

    return say
