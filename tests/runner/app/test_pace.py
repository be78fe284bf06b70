"""How fast a run goes lately, and so how long it will take."""

from __future__ import annotations

import pytest

from runner.app.pace import SPAN_S, Pace, Point


def after(*phases: tuple[float, float]) -> Pace:
    """A run that settles (images a second) for (seconds), one phase after another, a look each quarter of a second."""
    pace, at, settled = Pace(0.0), 0.0, 0.0
    for rate, seconds in phases:
        for _ in range(int(seconds * 4)):
            at, settled = at + 0.25, settled + rate / 4
            pace.add(Point(at, int(settled), int(settled)))
    return pace


def test_a_steady_pace_is_told_as_it_is() -> None:
    assert after((5, 100)).settled_per_minute == pytest.approx(300, rel=0.02)


def test_the_time_that_a_run_took_to_get_going_does_not_count() -> None:
    assert after((0, 20), (1, 20), (10, 60)).settled_per_minute == pytest.approx(600, rel=0.02)


def test_a_service_that_becomes_slower_is_noticed_after_ten_minutes_in_a_run_of_days() -> None:
    assert after((10, 86_400), (1, SPAN_S)).settled_per_minute == pytest.approx(60, rel=0.02)


def test_few_images_are_averaged_over_the_whole_run() -> None:
    assert after((0.1, 60), (0, 20)).settled_per_minute == pytest.approx(60 * 6 / 80, rel=0.02)


def test_nothing_goes_on_is_a_pace_of_nothing() -> None:
    assert Pace(5.0).settled_per_minute == 0.0
    assert after((10, 100), (0, 2 * SPAN_S)).settled_per_minute == 0.0


def test_images_made_are_counted_apart_from_settled_ones() -> None:
    pace = Pace(0.0)
    for second in range(1, 101):
        pace.add(Point(second, 2 * second, 3 * second))
    assert pace.made_per_minute == pytest.approx(120)
    assert pace.settled_per_minute == pytest.approx(180)
