"""`status --watch`: looks at a folder again and again until its run is over."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime

import click

from runner.cli.console import facts_grid, terminal
from runner.cli.lines.summary import summary_facts
from runner.text.wording import count_text, duration_text
from schemas.failures import RowStatus
from schemas.summary import State, Summary

_EVERY_S = 2.0
_SHARE = 10
"""A look may take a tenth of the time: in a folder of a million rows it takes some seconds."""


def watch(look: Callable[[], Summary]) -> Summary:
    """Show what `look` finds until no run goes on, on stderr; the last of it. Ctrl-C ends the watching, not the run."""
    return _drawn(look) if sys.stderr.isatty() else _listed(look)


def _looks(look: Callable[[], Summary], show: Callable[[Summary], None]) -> Summary:
    while True:
        began = time.monotonic()
        summary = look()
        if summary.state is not State.RUNNING:
            return summary
        show(summary)
        try:
            time.sleep(max(_EVERY_S, _SHARE * (time.monotonic() - began)))
        except KeyboardInterrupt:
            return summary


def _drawn(look: Callable[[], Summary]) -> Summary:
    from rich.live import Live

    with Live(console=terminal(stderr=True), auto_refresh=False, transient=True) as live:
        return _looks(look, lambda summary: live.update(facts_grid(summary_facts(summary)), refresh=True))


def _listed(look: Callable[[], Summary]) -> Summary:
    def say(summary: Summary) -> None:
        click.echo(f"{datetime.now().astimezone():%H:%M:%S} {progress_line(summary)}", err=True)

    return _looks(look, say)


def progress_line(summary: Summary) -> str:
    """Where a run stands, in one line."""
    counts = summary.by_status
    done = sum(count for status, count in counts.items() if status != RowStatus.PENDING)
    parts = [f"{done:,} of {count_text(summary.images, 'image')}"]
    parts += [
        f"{counts[status]:,} {status}"
        for status in (RowStatus.FAILED, RowStatus.PARKED, RowStatus.INVALID)
        if counts.get(status)
    ]
    if summary.eta_s is not None:
        parts.append(f"about {duration_text(summary.eta_s)} left")
    return ", ".join(parts)
