"""Showing a run while it works: a bar on a terminal, lines elsewhere, or nothing but its notes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Literal, TextIO

from runner.engine.ports import RunListener
from runner.telemetry.progress_text import closing_parts, progress_line, start_line, waiting_text
from runner.telemetry.run_notes import RunNotes
from schemas.reports import Progress, RunEnd

Clock = Callable[[], float]
Mode = Literal["auto", "rich", "plain", "none"]

FIRST_LINES_S = (5.0, 15.0)
"""When the first lines are printed: a log that is looked at shows early that a run gets on."""
PLAIN_INTERVAL_S = 30.0
START_WITHIN_S = 1.0
"""The start line waits so long for the rows to be counted."""


class ProgressLines(RunNotes):
    """Notes, a line at the start, some soon after it, one every `PLAIN_INTERVAL_S` seconds, and a closing line.

    Why a run waits is told when it begins to.
    """

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        super().__init__(stream)
        self._clock = clock
        self._begun = clock()
        self._shown_at: float | None = None
        self._folder = ""
        self._due = [*FIRST_LINES_S]
        self._waits: dict[str, float] = {}
        self._is_introduced = False

    def progress(self, progress: Progress) -> None:
        """Print it, when it is time."""
        now = self._clock()
        if self._shown_at is None or progress.out != self._folder:
            self._begun = self._begun if self._shown_at is None else now
            self._shown_at, self._folder, self._is_introduced = now, progress.out, False
            self._due, self._waits = [*FIRST_LINES_S], {}
        elapsed = now - self._begun
        if not self._is_introduced and (progress.total_known or now - self._shown_at >= START_WITHIN_S):
            self._introduce(progress)
        super().progress(progress)
        is_due = elapsed >= self._due[0]
        while elapsed >= self._due[0]:
            self._due = self._due[1:] or [PLAIN_INTERVAL_S * (elapsed // PLAIN_INTERVAL_S + 1)]
        if self._is_new_wait(progress, elapsed) or is_due:
            self._print(progress_line(progress))

    def finished(self, end: RunEnd) -> None:
        """Print how far the run came; nothing of a run that never had a look."""
        if self._latest is not None:
            if not self._is_introduced:
                self._introduce(self._latest)
            self._print("  ".join(closing_parts(self._latest, end)))

    def _introduce(self, progress: Progress) -> None:
        self._is_introduced = True
        self._print(start_line(progress))

    def _is_new_wait(self, progress: Progress, elapsed: float) -> bool:
        """Whether the run waits for something that it has not told of lately; seconds and rates in it do not count."""
        cause = re.sub(r"\d[\d,.]*", "", waiting_text(progress))
        told = self._waits.get(cause)
        if not cause or (told is not None and elapsed - told < PLAIN_INTERVAL_S):
            return False
        self._waits[cause] = elapsed
        return True


def progress_listeners(
    mode: Mode, stream: TextIO, *, quiet: bool = False, clock: Clock = time.monotonic
) -> list[RunListener]:
    """What shows a run on `stream`; nothing when `quiet`.

    mode: `auto` is `rich` where `stream` is a terminal that can draw, otherwise `plain`; `none` is the run's notes alone.
    clock: seconds, monotonic.
    """
    if quiet:
        return []
    if mode == "none":
        return [RunNotes(stream)]
    if mode == "rich" or (mode == "auto" and stream.isatty() and os.environ.get("TERM") != "dumb"):
        from runner.telemetry.live_bar import LiveBar

        return [LiveBar(stream)]
    return [ProgressLines(stream, clock)]
