"""A run on a terminal: a bar with figures below it, which a closing line replaces at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from runner.telemetry.progress_text import closing_parts, done_text, figures, phase_text, waiting_text
from runner.telemetry.run_notes import RunNotes
from runner.text.wording import duration_text
from schemas.reports import Progress, RunEnd

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_BAR_WIDTH = 40
_LEAST_BAR = 8
"""A narrower bar shows nothing that the figures do not."""
_GAP = "  "


class LiveBar(RunNotes):
    """Drawn from the first look on. Log lines and notes appear above it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._live: Live | None = None

    def progress(self, progress: Progress) -> None:
        """Draw it."""
        if self._live is None:
            self._live = self._start_live()
        super().progress(progress)
        self._live.update(drawing(progress, self._live.console.width), refresh=True)

    def finished(self, end: RunEnd) -> None:
        """Replace the bar by the closing line."""
        if self._live is not None and self._latest is not None:
            self._live.stop()
            for line in packed(closing_parts(self._latest, end), self._live.console.width):
                self._print(line)

    def _start_live(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        class Screen(Console):
            def on_broken_pipe(self) -> None:
                """The run goes on unseen; rich would end the program."""
                self.quiet = True

            def show_cursor(self, show: bool = True) -> bool:
                """Leave it as it is: hidden, it would stay so after a kill."""
                return False

        console = Screen(file=self._stream, markup=False, highlight=False, emoji=False)
        live = Live(console=console, auto_refresh=False, redirect_stdout=False, transient=True)
        live.start()
        return live

    def _print(self, line: str) -> None:
        from rich.text import Text

        assert self._live is not None
        self._live.console.print(Text(line))


def drawing(progress: Progress, width: int) -> RenderableType:
    """The bar on one line, and as many lines of figures below it as a terminal of `width` columns needs."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    left, right = phase_text(progress), f"{done_text(progress)}{_GAP}{duration_text(progress.elapsed_s)}"
    room = min(_BAR_WIDTH, width - len(left) - len(right) - 3)
    first: RenderableType = Text(f"{left} {right}")
    if room >= _LEAST_BAR:
        total = float(progress.total_images) if progress.total_known else 1.0
        settled = float(progress.settled_images) if progress.total_known else 0.0
        bar = ProgressBar(total, settled, width=room, complete_style="cyan", finished_style="green")
        grid = Table.grid(padding=(0, 1))
        grid.add_row(Text(left), bar, Text(right))
        first = grid
    lines = [Text(line) for line in (*packed(figures(progress), width), waiting_text(progress)) if line]
    return Group(first, *lines)


def packed(parts: list[str], width: int) -> list[str]:
    """The parts on as few lines as hold them; none is broken unless it is wider than a line."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(_GAP) + len(part) < width:
            lines[-1] += _GAP + part
        else:
            lines.append(part)
    return lines
