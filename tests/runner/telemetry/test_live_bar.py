"""The bar on a terminal: what it shows, at which width, and what is left of it."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from runner.telemetry.live_bar import packed
from runner.telemetry.progress import progress_listeners
from schemas.reports import Progress, RunEnd
from tests.support.audience import NOW, Terminal

FULL = replace(NOW, parked_images=2, invalid_rows=4, cost_per_minute=0.5, projected_usd=50.0, simulated=True)


def screen(monkeypatch: pytest.MonkeyPatch, columns: int, *looks: Progress, ends: int | None = None) -> str:
    """What is written to a terminal that is so wide. ends: the exit code."""
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    (listener,) = progress_listeners("rich", stream)
    for look in looks:
        listener.progress(look)
    if ends is not None:
        listener.finished(RunEnd(ends, "reason"))
    return stream.text()


def test_every_figure_is_drawn_and_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    text = screen(monkeypatch, 160, replace(FULL, phase="[red]run", waiting="for [link=x]it[/link]"))
    for part in (
        "[red]run",
        "1,213/5,000 images (24 %)",
        "3 failed",
        "2 parked",
        "4 invalid rows",
        "16 in flight",
        "58.2 images/min",
        "~$12.04 of ~$50.00 (~$0.50/min) simulated",
        "1 h 05 min left",
        "for [link=x]it[/link]",
    ):
        assert part in text


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 140])
def test_a_narrow_terminal_breaks_no_figure(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    lines = screen(monkeypatch, columns, FULL).splitlines()
    assert max(map(len, lines)) <= columns
    together = "\n".join(lines)
    for part in ("1,213/5,000 images (24 %)", "58.2 images/min", "1 h 05 min left"):
        assert part in together


def test_the_bar_grows_with_every_settled_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def width(look: Progress) -> int:
        return screen(monkeypatch, 140, look).count("━")

    monkeypatch.setenv("NO_COLOR", "1")
    none = replace(NOW, done_images=0, failed_images=0)
    assert width(none) == 0
    assert width(replace(none, failed_images=2500)) == width(replace(none, parked_images=2500)) > 15


def test_a_closing_line_takes_the_place_of_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, errors = Terminal(), sys.stderr
    (listener,) = progress_listeners("rich", stream)
    listener.progress(NOW)
    assert sys.stderr is not errors  # log lines appear above the bar
    listener.finished(RunEnd(1, "internal error"))
    assert sys.stderr is errors
    drawn = stream.getvalue()
    assert "\x1b[2K" in drawn.rpartition("running")[2]  # the bar is wiped
    assert (
        stream.text().splitlines()[-1].rstrip() == "stopped: 1,207/5,000 images in 21 min  3 failed  $12.04"
    )


def test_the_cursor_is_never_hidden_for_a_killed_run_could_not_show_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = Terminal()
    (listener,) = progress_listeners("rich", stream)
    listener.progress(NOW)
    listener.finished(RunEnd(0, ""))
    assert "\x1b[?25" not in stream.getvalue()


def test_parts_are_packed_whole() -> None:
    assert packed(["ab", "cd", "efgh"], 8) == ["ab  cd", "efgh"]
    assert packed(["abcdefghijk"], 8) == ["abcdefghijk"]
