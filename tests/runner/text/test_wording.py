"""Numbers, money, durations and times in words."""

from __future__ import annotations

import time

import pytest

from runner.text.wording import count_text, duration_text, money_text, time_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.9, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (90, "2 min"),
        (11100, "3 h 05 min"),
        (187200, "2 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("usd", "text"), [(0, "$0.00"), (0.042, "$0.0420"), (0.1, "$0.10"), (1234.5, "$1,234.50")]
)
def test_money(usd: float, text: str) -> None:
    assert money_text(usd) == text


def test_counts() -> None:
    assert count_text(1, "image") == "1 image"
    assert count_text(1200, "body", "bodies") == "1,200 bodies"


def test_times_are_local_with_their_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert time_text("2026-11-29T22:39:28.123+00:00") == "2026-11-30 06:39:28+08:00"
    finally:
        monkeypatch.undo()
        time.tzset()
