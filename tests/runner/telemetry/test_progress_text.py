"""The words and figures in which a run is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.telemetry.progress_text import closing_parts, cost_text, done_text, progress_line, start_line
from runner.text.wording import count_text, duration_text, money_text
from schemas.reports import Progress, RunEnd
from tests.support.audience import NOW

SPENDING = replace(NOW, cost_per_minute=0.5, projected_usd=50.0)


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


def test_failed_and_parked_images_and_invalid_rows_are_settled_too() -> None:
    look = replace(NOW, total_images=17, done_images=4, failed_images=6, parked_images=1, invalid_rows=2)
    assert done_text(look) == "13/17 images (76 %)"
    assert done_text(replace(look, done_images=8)) == "17/17 images (100 %)"


def test_a_run_is_not_at_100_per_cent_before_its_end() -> None:
    assert done_text(replace(NOW, done_images=4996)) == "4,999/5,000 images (99 %)"


def test_while_rows_are_counted_no_total_is_shown() -> None:
    early = replace(NOW, total_known=False, images_per_minute=0.0, cost_usd=None, eta_s=None, failed_images=0)
    assert progress_line(early) == "running: 1,204 images, counting rows  16 in flight"


def test_waiting_and_its_reason_are_shown_harmlessly() -> None:
    line = progress_line(replace(NOW, waiting="\x1b[31m429 from https://h/a?sig=1\n"))
    assert line.endswith(r"  \x1b[31m429 from https://h/a?…\n")


@pytest.mark.parametrize(
    ("look", "text"),
    [
        (NOW, "$12.04"),
        (SPENDING, "$12.04 of about $50.00 ($0.50/min)"),
        (replace(SPENDING, simulated=True), "~$12.04 of ~$50.00 (~$0.50/min) simulated"),
        (replace(SPENDING, eta_s=None), "$12.04"),
        (replace(SPENDING, cost_usd=None), ""),
        (replace(NOW, cost_usd=0.0), "$0.00"),
    ],
)
def test_money_says_what_it_is_of_and_whether_it_is_real(look: Progress, text: str) -> None:
    assert cost_text(look) == text


def test_a_start_line_names_what_is_there_already() -> None:
    look = replace(NOW, run_done_images=204, run_failed_images=1, invalid_rows=5)
    assert start_line(look) == (
        "start: m.csv -> runs/m: 3,993 of 5,000 images to make (1,000 done, 2 failed earlier)"
    )
    fresh = replace(NOW, run_done_images=1204, run_failed_images=3, manifest="", out="")
    assert start_line(fresh) == "start: 5,000 images to make"


@pytest.mark.parametrize(
    ("code", "look", "text"),
    [
        (0, replace(NOW, failed_images=0, done_images=5000), "done: 5,000/5,000 images in 21 min  $12.04"),
        (3, NOW, "done: 1,207/5,000 images in 21 min  3 failed  $12.04"),
        (8, NOW, "stopped: 1,207/5,000 images in 21 min  3 failed  $12.04"),
        (130, replace(NOW, total_known=False), "stopped: 1,207 images in 21 min  3 failed  $12.04"),
        (
            130,
            replace(NOW, failed_images=0, parked_images=5, given_up_images=3, simulated=True),
            "stopped: 1,209/5,000 images in 21 min  5 parked  3 of these given up in flight  ~$12.04 simulated",
        ),
        (0, replace(NOW, run_done_images=0, requests_sent=0), "nothing to send: 1,207/5,000 images done"),
    ],
)
def test_the_last_line_says_how_far_the_run_came(code: int, look: Progress, text: str) -> None:
    assert "  ".join(closing_parts(look, RunEnd(code, "reason"))) == text
