"""What a run has to say, whatever else is shown of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from runner.telemetry.progress import Mode, progress_listeners
from tests.support.audience import NOW, Terminal

STOPPING = "stopping (Ctrl-C): waiting up to 2 min for 4 answers in flight"


def shown(mode: Mode, *notes: tuple[str, ...], stopping: str = "") -> str:
    """What is written of looks with these notes."""
    stream = Terminal()
    (listener,) = progress_listeners(mode, stream, clock=count().__next__)
    for each in notes:
        listener.progress(replace(NOW, notes=each, stopping=stopping))
    return stream.text()


@pytest.mark.parametrize("mode", ["plain", "rich", "none"])
def test_a_note_is_told_once(mode: Mode) -> None:
    note = ("model [bold]x[/bold] is unfamiliar",)
    assert shown(mode, note, note, note).count("note: model [bold]x[/bold] is unfamiliar") == 1


@pytest.mark.parametrize("mode", ["plain", "rich", "none"])
def test_that_a_run_is_being_stopped_is_told_once_in_a_line_of_its_own(mode: Mode) -> None:
    text = shown(mode, (), (), stopping=STOPPING)
    assert [line.rstrip() for line in text.splitlines()].count(STOPPING) == 1


def test_notes_are_shown_harmlessly() -> None:
    text = shown("none", ("2 rows are kept",), ("2 rows are kept", "and \x1b[31m more"))
    assert text == "note: 2 rows are kept\nnote: and \\x1b[31m more\n"
