"""What a run shows while it works: on a terminal, in a log file, or nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO

import pytest

from runner.telemetry.progress import make_observer, progress_line
from runner.text.wording import count_text, duration_text, money_text
from schemas.reports import Progress

NOW = Progress(
    phase="running",
    total_images=5000,
    total_known=True,
    done_images=1204,
    failed_images=3,
    parked_images=0,
    invalid_rows=0,
    in_flight=16,
    concurrency=16,
    images_per_minute=58.25,
    cost_usd=12.04,
    elapsed_s=1240.0,
    eta_s=3900.0,
)
LINE = "running: 1,204/5,000 images (24 %)  3 failed  16 in flight  58.2 images/min  $12.04  1 h 05 min left"
SPENDING = replace(NOW, cost_per_minute=0.5, projected_usd=50.0)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.getvalue())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_one_is_told_as_one() -> None:
    assert [count_text(count, "image") for count in (0, 1, 1200)] == ["0 images", "1 image", "1,200 images"]
    assert [count_text(count, "row is", "rows are") for count in (1, 2)] == ["1 row is", "2 rows are"]


@pytest.mark.parametrize(
    ("usd", "text"), [(0, "$0.00"), (0.042, "$0.0420"), (0.1, "$0.10"), (12345.678, "$12,345.68")]
)
def test_money(usd: float, text: str) -> None:
    assert money_text(usd) == text


def test_the_line_holds_every_figure() -> None:
    assert progress_line(NOW) == LINE


def test_unknown_figures_are_left_out() -> None:
    early = replace(NOW, total_known=False, images_per_minute=0.0, cost_usd=None, eta_s=None, failed_images=0)
    assert progress_line(early) == "running: 1,204/5,000+ images  16 in flight"


def test_waiting_and_its_reason_are_shown_harmlessly() -> None:
    line = progress_line(replace(NOW, waiting="\x1b[31m429 from https://h/a?sig=1\n"))
    assert line.endswith(r"waiting: \x1b[31m429 from https://h/a?…\n")


def test_plain_speaks_every_30_seconds_and_at_the_end() -> None:
    stream, clock = StringIO(), Clock()
    with make_observer("plain", stream, clock=clock) as observe:
        for second in range(0, 100, 10):
            clock.now = second
            observe(replace(NOW, done_images=second))
    counts = [line.split()[1] for line in stream.getvalue().splitlines()]
    assert counts == ["30/5,000", "60/5,000", "90/5,000", "90/5,000"]


def test_plain_says_nothing_about_a_run_that_never_began() -> None:
    stream = StringIO()
    with make_observer("plain", stream, clock=Clock()):
        pass
    assert stream.getvalue() == ""


@pytest.mark.parametrize("mode", ["plain", "rich"])
def test_a_note_is_told_once(mode: str) -> None:
    stream = Terminal()
    with make_observer(mode, stream, clock=Clock()) as observe:  # type: ignore[arg-type]
        for _ in range(3):
            observe(replace(NOW, notes=("model [bold]x[/bold] is unfamiliar",)))
    assert stream.text().count("note: model [bold]x[/bold] is unfamiliar") == 1


def test_the_end_is_told_when_the_run_fails() -> None:
    stream = StringIO()
    with pytest.raises(RuntimeError), make_observer("plain", stream, clock=Clock()) as observe:
        observe(NOW)
        raise RuntimeError
    assert stream.getvalue() == f"{LINE}\n"


def test_rich_draws_every_figure_and_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    stream = Terminal()
    with make_observer("auto", stream) as observe:
        observe(replace(NOW, phase="[red]run", waiting="for [link=x]it[/link]"))
    text = stream.text()
    for part in (
        "[red]run",
        "1,204/5,000 images",
        "3 failed",
        "58.2 images/min",
        "$12.04",
        "1 h 05 min left",
    ):
        assert part in text
    assert "waiting: for [link=x]it[/link]" in text


def test_auto_is_plain_where_nothing_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, term in ((StringIO(), "xterm"), (Terminal(), "dumb")):
        monkeypatch.setenv("TERM", term)
        with make_observer("auto", stream, clock=Clock()) as observe:
            observe(NOW)
        assert stream.getvalue() == f"{LINE}\n"


@pytest.mark.parametrize(("mode", "quiet"), [("none", False), ("rich", True), ("auto", True)])
def test_silence(mode: str, quiet: bool) -> None:
    stream = Terminal()
    with make_observer(mode, stream, quiet=quiet) as observe:  # type: ignore[arg-type]
        observe(NOW)
    assert stream.getvalue() == ""


def test_without_progress_what_the_user_should_know_is_still_told_once() -> None:
    stream = StringIO()
    with make_observer("none", stream) as observe:
        observe(replace(NOW, notes=("2 rows are kept",)))
        observe(replace(NOW, notes=("2 rows are kept", "and \x1b[31m more")))
    assert stream.getvalue() == "note: 2 rows are kept\nnote: and \\x1b[31m more\n"


def test_what_it_costs_a_minute_and_in_all_is_told_once_it_is_known() -> None:
    assert "$12.04  $0.50/min  $50.00 in all  1 h 05 min left" in progress_line(SPENDING)
