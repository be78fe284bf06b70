"""What a run has to say, whatever else is shown of it."""

from __future__ import annotations

from typing import TextIO

from runner.process.redaction import REDACTOR
from schemas.reports import Progress, RunEnd, RunPlan


class RunNotes:
    """The run's notes alone, each shown once however often a look repeats it, and what it says when it is stopped."""

    label = "--progress"
    under_lock = True

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._noted: set[str] = set()
        self._latest: Progress | None = None

    def started(self, plan: RunPlan) -> None:
        """Nothing is shown before the first look."""

    def progress(self, progress: Progress) -> None:
        """Show the notes that are new."""
        self._latest = progress
        for note in progress.notes:
            self._once(f"note: {REDACTOR.text(note)}")
        if progress.stopping:
            self._once(REDACTOR.text(progress.stopping))

    def finished(self, end: RunEnd) -> None:
        """Nothing is left to show."""

    def _once(self, line: str) -> None:
        if line not in self._noted:
            self._noted.add(line)
            self._print(line)

    def _print(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()
