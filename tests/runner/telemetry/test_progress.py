"""What a run shows while it works: on a terminal, in a log file, or nothing."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest

from runner.engine.ports import RunListener
from runner.telemetry.progress import Mode, progress_listeners
from schemas.reports import Progress, RunEnd, RunPlan
from tests.support.audience import NOW, Terminal

LINE = "running: 1,207/5,000 images (24 %)  3 failed  16 in flight  58.2 images/min  $12.04  1 h 05 min left"
START = "start: m.csv -> runs/m: 4,000 of 5,000 images to make (1,000 done earlier)"
CLOSING = "done: 1,207/5,000 images in 21 min  3 failed  $12.04"
END = RunEnd(0, "every row succeeded")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def show(listeners: list[RunListener], *looks: Progress) -> None:
    """Tell of a run with these looks, as the run does."""
    (listener,) = listeners
    listener.started(RunPlan("job", 0.0))
    for look in looks:
        listener.progress(look)
    listener.finished(END)


def lines_of(*looks: tuple[float, Progress]) -> list[str]:
    """What is printed of these looks, each at its time in seconds, and then of the end."""
    stream, clock = StringIO(), Clock()
    (listener,) = progress_listeners("plain", stream, clock=clock)
    for clock.now, look in looks:
        listener.progress(look)
    listener.finished(END)
    return stream.getvalue().splitlines()


def test_a_log_has_a_start_line_some_lines_soon_one_every_30_seconds_and_an_end() -> None:
    looks = [
        (second, replace(NOW, done_images=1000 + second, run_done_images=second))
        for second in range(0, 100, 5)
    ]
    lines = lines_of(*looks)
    assert lines[0] == START
    counts = [line.split()[1].partition("/")[0] for line in lines[1:]]
    assert counts == ["1,008", "1,018", "1,033", "1,063", "1,093", "1,098"]
    assert lines[-1].startswith("done: ")


def test_the_start_line_waits_a_moment_for_the_rows_to_be_counted() -> None:
    counting = replace(NOW, total_known=False, total_images=64)
    assert lines_of((0.0, counting), (0.5, NOW))[0] == START
    late = lines_of((0.0, counting), (1.0, counting), (2.0, NOW))
    assert late[0].startswith("start: m.csv -> runs/m: counting rows (1,000 done earlier)")
    assert len([line for line in late if line.startswith("start: ")]) == 1


def test_why_a_run_waits_is_told_when_it_begins_and_not_again_for_every_second() -> None:
    def at(second: float, text: str) -> tuple[float, Progress]:
        return second, replace(NOW, waiting=text)

    lines = lines_of(
        at(1, ""),
        at(2, "service busy (429); next try in 3 s"),
        at(3, "service busy (429); next try in 2 s"),
        at(3.5, "cannot connect (Connection refused); next try in 1 s"),
        at(4, ""),
        at(4.5, "service busy (429); next try in 60 s"),
    )
    assert [line.rpartition("  ")[2] for line in lines[1:-1]] == [
        "service busy (429); next try in 3 s",
        "cannot connect (Connection refused); next try in 1 s",
    ]


def test_the_next_folder_of_a_night_is_introduced_too() -> None:
    lines = lines_of((0, NOW), (1, replace(NOW, out="runs/tonight")))
    assert [line.split(":")[1] for line in lines[:2]] == [" m.csv -> runs/m", " m.csv -> runs/tonight"]


@pytest.mark.parametrize("mode", ["plain", "rich", "none"])
def test_nothing_is_said_about_a_run_that_never_began(mode: Mode) -> None:
    stream = Terminal()
    show(progress_listeners(mode, stream, clock=Clock()))
    assert stream.getvalue() == ""


def test_the_end_is_told_when_the_run_fails() -> None:
    stream = StringIO()
    (listener,) = progress_listeners("plain", stream, clock=Clock())
    listener.progress(NOW)
    listener.finished(RunEnd(1, "internal error"))
    assert stream.getvalue().splitlines()[1] == CLOSING.replace("done", "stopped")


def test_auto_is_plain_where_nothing_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, term in ((StringIO(), "xterm"), (Terminal(), "dumb")):
        monkeypatch.setenv("TERM", term)
        show(progress_listeners("auto", stream, clock=Clock()), NOW)
        assert stream.getvalue() == f"{START}\n{CLOSING}\n"


def test_silence() -> None:
    stream = Terminal()
    show(progress_listeners("none", stream), NOW)
    assert stream.getvalue() == ""
    assert progress_listeners("rich", stream, quiet=True) == []
    assert progress_listeners("auto", stream, quiet=True) == []
