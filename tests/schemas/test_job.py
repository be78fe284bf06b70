"""Durations as people write them, and the job's bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.durations import parse_duration
from schemas.job import Job, LimitsTable, RunTable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("250ms", 0.25),
        ("10m", 600.0),
        ("10min", 600.0),
        ("6h", 21_600.0),
        ("1h30m", 5_400.0),
        ("1d 2h", 93_600.0),
        (" 1.5h ", 5_400.0),
        ("0", 0.0),
        ("2 minutes", 120.0),
        ("1 hour 30 min", 5_400.0),
        ("1 day", 86_400.0),
        ("90 sec", 90.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "10 parsecs", "5x", "m", "1h and a bit", "3 months", "1 monday"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59))
def test_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == 3600 * hours + 60 * minutes + seconds


@pytest.mark.parametrize("value", ["-1", "inf", "nan", -1, float("inf")])
def test_a_duration_is_finite_and_not_negative(value: object) -> None:
    with pytest.raises(ValidationError):
        RunTable.model_validate({"drain": value})


@pytest.mark.parametrize("rate", [0, -5, float("inf"), float("nan")])
def test_a_rate_is_positive_and_finite(rate: float) -> None:
    with pytest.raises(ValidationError):
        LimitsTable.model_validate({"rpm": rate})


def test_every_setting_has_a_default_so_an_empty_job_is_one() -> None:
    job = Job.model_validate({})
    assert (job.out, job.retry.on_ambiguous, job.retry.attempts) == ("runs/{manifest_stem}", "park", 5)


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="on_ambigous"):
        Job.model_validate({"retry": {"on_ambigous": "retry"}})
