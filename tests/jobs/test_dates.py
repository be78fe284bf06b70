"""Days and deadlines as people write them."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from jobs.dates import day_of, days_before, deadline_of

TODAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 1, 23, 30)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        (None, TODAY),
        ("today", TODAY),
        (" Yesterday ", date(2026, 2, 28)),
        ("2026-11-21", date(2026, 11, 21)),
    ],
)
def test_a_day(text: str | None, day: date) -> None:
    assert day_of(text, TODAY) == day


@pytest.mark.parametrize("text", ["", "tomorrow", "21.11.2026", "2026-02-30", "2026-11-21T06:00"])
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(ValueError):
        day_of(text, TODAY)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("23:31", "2026-03-01T23:31:00"),
        ("23:30", "2026-03-02T23:30:00"),
        ("06:00", "2026-03-02T06:00:00"),
        ("06:00:30", "2026-03-02T06:00:30"),
        ("2026-01-01T06:00", "2026-01-01T06:00:00"),
        ("2026-03-02 06:00+02:00", "2026-03-02T06:00:00+02:00"),
    ],
)
def test_a_deadline_is_the_next_time_that_the_clock_shows_it(text: str, due: str) -> None:
    assert deadline_of(text, NOW).isoformat() == due


@pytest.mark.parametrize("text", ["", "6", "0600", "25:00", "06:00+02:00", "soon", "2026-13-01"])
def test_what_is_no_deadline(text: str) -> None:
    with pytest.raises(ValueError):
        deadline_of(text, NOW)


def test_days_before_come_newest_first() -> None:
    assert days_before(TODAY, 2) == [date(2026, 2, 28), date(2026, 2, 27)]
    assert days_before(TODAY, 0) == []
