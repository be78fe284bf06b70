"""Figures of a report."""

from __future__ import annotations

from runner.reports.figures import pace, percentiles


def test_pace_is_counted_a_minute_and_cuts_pauses_out() -> None:
    first = [1000 * second for second in range(60)]
    later = [each + 7_200_000 for each in first]
    found = pace(first + later)
    assert found is not None
    assert found["pauses"] == 1
    assert found["spent_s"] == 59 + 60 + 59
    assert found["step_s"] == 2
    assert sum(found["per_minute"]) * found["step_s"] / 60 == 120
    assert found["per_minute"][0] == 60
    assert pace([]) is None


def test_percentiles() -> None:
    found = percentiles([float(each) for each in range(1, 101)])
    assert found is not None
    assert found["percentiles"] == {"p50": 50.5, "p90": 90.1, "p95": 95.05, "p99": 99.01}
    assert sum(found["bars"]) == found["requests"] == 100
    assert percentiles([]) is None
