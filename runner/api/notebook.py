"""A run's progress in a notebook: one output that is drawn anew with each look. It needs IPython alone, no widgets."""

from __future__ import annotations

import sys
from html import escape
from importlib import import_module
from typing import Any

from runner.process.redaction import REDACTOR
from runner.telemetry.progress_text import closing_parts, progress_line
from schemas.reports import Progress, RunEnd

_BAR = "display:inline-block;width:240px;height:10px;background:#8883;border-radius:5px;overflow:hidden"


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this program (Jupyter, Colab, VS Code)."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """Draws a run below the cell. Called in the cell's own thread, so that the output stands under it."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._notes: dict[str, None] = {}
        self._latest: Progress | None = None

    def look(self, progress: Progress) -> None:
        """Draw it."""
        self._latest = progress
        told = [f"note: {note}" for note in progress.notes]
        self._notes.update(dict.fromkeys(told + [progress.stopping] * bool(progress.stopping)))
        self._draw(progress_line(progress), progress)

    def end(self, end: RunEnd) -> None:
        """Draw how far the run came; nothing of one that never had a look."""
        if self._latest is not None:
            self._draw("  ".join(closing_parts(self._latest, end)), self._latest)

    def _draw(self, line: str, progress: Progress) -> None:
        display: Any = import_module("IPython.display").display
        notes = [REDACTOR.text(note) for note in self._notes]
        drawn = {"text/plain": "\n".join([line, *notes]), "text/html": _html(line, progress, notes)}
        if self._handle is None:
            self._handle = display(drawn, raw=True, display_id=True)
        else:
            self._handle.update(drawn, raw=True)


def _html(line: str, progress: Progress, notes: list[str]) -> str:
    total = progress.total_images if progress.total_known else 0
    bad = progress.settled_images - progress.done_images
    parts = (("#2e7d32", progress.done_images), ("#b3261e", bad))
    filled = "".join(
        f'<span style="float:left;width:{min(1.0, count / total):.1%};height:100%;background:{colour}"></span>'
        for colour, count in parts
        if total
    )
    below = "".join(f'<div style="color:#8a5a00">{escape(note)}</div>' for note in notes)
    return f'<div style="font-size:13px"><span style="{_BAR}">{filled}</span> {escape(line)}{below}</div>'
