"""Showing a run while it works: a bar on a terminal, a line every 30 s elsewhere, or nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TextIO

from runner.process.redaction import REDACTOR
from runner.text.wording import count_text, duration_text, money_text
from schemas.reports import Progress

if TYPE_CHECKING:
    from rich.console import RenderableType

Observer = Callable[[Progress], None]
Clock = Callable[[], float]
Mode = Literal["auto", "rich", "plain", "none"]

PLAIN_INTERVAL_S = 30.0
_BAR_WIDTH = 40


def _done_text(progress: Progress) -> str:
    total = f"{progress.total_images:,}" + ("" if progress.total_known else "+")
    return f"{progress.done_images:,}/{total} images"


def _waiting_text(progress: Progress) -> str:
    return f"waiting: {REDACTOR.text(progress.waiting)}" if progress.waiting else ""


def _details(progress: Progress) -> str:
    """Counts, rates, cost and time left on one line; zeros and unknowns are left out."""
    parts = (
        (progress.failed_images, f"{progress.failed_images:,} failed"),
        (progress.parked_images, f"{progress.parked_images:,} parked"),
        (progress.invalid_rows, count_text(progress.invalid_rows, "invalid row")),
        (progress.in_flight, f"{progress.in_flight:,} in flight"),
        (progress.images_per_minute, f"{progress.images_per_minute:,.1f} images/min"),
        (progress.cost_usd is not None, money_text(progress.cost_usd or 0.0)),
        (progress.cost_per_minute, f"{money_text(progress.cost_per_minute or 0.0)}/min"),
        (progress.projected_usd is not None, f"{money_text(progress.projected_usd or 0.0)} in all"),
        (progress.eta_s is not None, f"{duration_text(progress.eta_s or 0.0)} left"),
    )
    return "  ".join(text for present, text in parts if present)


def progress_line(progress: Progress) -> str:
    """One look at the run as one line of plain text."""
    percent = ""
    if progress.total_known and progress.total_images:
        percent = f" ({100 * progress.done_images // progress.total_images} %)"
    phase = f"{REDACTOR.text(progress.phase)}: " if progress.phase else ""
    parts = (f"{phase}{_done_text(progress)}{percent}", _details(progress), _waiting_text(progress))
    return "  ".join(filter(None, parts))


class _Notes:
    """Tells each of a run's notes once, however often a progress value repeats it."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._told: set[str] = set()

    def __call__(self, progress: Progress) -> None:
        for note in progress.notes:
            if note not in self._told:
                self._told.add(note)
                self._tell(f"note: {REDACTOR.text(note)}")


@contextmanager
def _plain(stream: TextIO, clock: Clock) -> Iterator[Observer]:
    """A line every `PLAIN_INTERVAL_S` seconds, and the last state at the end."""

    def tell(line: str) -> None:
        stream.write(f"{line}\n")
        stream.flush()

    notes = _Notes(tell)
    told_at = clock()
    latest: Progress | None = None

    def observe(progress: Progress) -> None:
        nonlocal told_at, latest
        latest = progress
        notes(progress)
        if clock() - told_at >= PLAIN_INTERVAL_S:
            told_at = clock()
            tell(progress_line(progress))

    try:
        yield observe
    finally:
        if latest is not None:
            tell(progress_line(latest))


def _drawing(progress: Progress) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    total = float(progress.total_images) if progress.total_known else None
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        Text(REDACTOR.text(progress.phase)),
        ProgressBar(total, progress.done_images, width=_BAR_WIDTH, pulse=total is None),
        Text(_done_text(progress)),
        Text(duration_text(progress.elapsed_s), style="dim"),
    )
    lines = [Text(line) for line in (_details(progress), _waiting_text(progress)) if line]
    return Group(bar, *lines)


@contextmanager
def _rich(stream: TextIO) -> Iterator[Observer]:
    """A bar with a line of figures below it; log lines and notes appear above."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=stream, markup=False, highlight=False, emoji=False)
    live = Live(console=console, auto_refresh=False, redirect_stdout=False)
    notes = _Notes(lambda line: console.print(Text(line)))

    def observe(progress: Progress) -> None:
        notes(progress)
        live.update(_drawing(progress), refresh=True)

    with live:
        yield observe


@contextmanager
def _silent() -> Iterator[Observer]:
    yield lambda _progress: None


@contextmanager
def _noting(stream: TextIO) -> Iterator[Observer]:
    yield _Notes(lambda line: stream.write(f"{line}\n"))


@contextmanager
def make_observer(
    mode: Mode, stream: TextIO, *, quiet: bool = False, clock: Clock = time.monotonic
) -> Iterator[Observer]:
    """An observer of `Progress` values, writing to `stream` until the context ends.

    mode: `auto` is `rich` where `stream` is a terminal that can draw, otherwise `plain`; `none` is the run's notes alone.
    quiet: nothing at all.
    clock: seconds, monotonic.
    """
    if quiet:
        shown = _silent()
    elif mode == "none":
        shown = _noting(stream)
    elif mode == "rich" or (mode == "auto" and stream.isatty() and os.environ.get("TERM") != "dumb"):
        shown = _rich(stream)
    else:
        shown = _plain(stream, clock)
    with shown as observer:
        yield observer
