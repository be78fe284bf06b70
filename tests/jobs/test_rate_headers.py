"""What answers say of pace: waits in headers and words, and allowances."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.rate_headers import ReportedRate, reported_rates, wait_hint

NOW = datetime(2026, 11, 22, 16, 20, tzinfo=UTC).timestamp()


def date(offset_s: float) -> str:
    """An HTTP date so many seconds from NOW."""
    return format_datetime(datetime.fromtimestamp(NOW + offset_s, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "60"}, "try again in 5s", 1.5),
        ({"retry-after": "60"}, "try again in 5s", 60.0),
        ({"retry-after": "0"}, "try again in 5s", 0.0),
        ({"retry-after": "2.5"}, "", 2.5),
        ({"retry-after": " 7 "}, "", 7.0),
        ({"retry-after": "1e9"}, "", 1e9),
        ({"retry-after": date(90)}, "", 90.0),
        ({"retry-after": date(-90)}, "try again in 5s", 5.0),
        ({"retry-after": "Sun, 22 Nov 2026 15:21:30 -0100"}, "", 90.0),
        ({"retry-after": "-5"}, "try again in 5s", 5.0),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "inf"}, "", None),
        ({"retry-after": "nan"}, "", None),
        ({"retry-after": ""}, "", None),
        ({"retry-after": "Mon, 99 Foo 2026 99:99:99 GMT"}, "", None),
        ({"retry-after-ms": "soon", "retry-after": "3"}, "", 3.0),
        ({"retry-after-ms": "-1", "retry-after": "3"}, "", 3.0),
        ({}, "Please try again in 15ms.", 0.015),
        ({}, "try again after 51.84 seconds", 51.84),
        ({}, "Please try again in 1m30s. Visit https://platform.openai.com", 90.0),
        ({}, "Please try again in 6m0s.", 360.0),
        ({}, "Please try again in 1m30.5s.", 90.5),
        ({}, "try again in 1m", 60.0),
        ({}, "Please retry after 20 seconds.", 20.0),
        ({}, "Try again in 12s.", 12.0),
        ({}, "retry in 24.5s", 24.5),
        ({}, "try again in 2 minutes", 120.0),
        ({}, "try again in 2 min", 120.0),
        ({}, "try again in 1 sec", 1.0),
        ({}, "retry after 30", 30.0),
        ({}, "try again in 2 hours", 7200.0),
        ({}, "try again in 1h", 3600.0),
        ({}, "Please try again in 1h12m", 4320.0),
        ({}, "Please try again in 7h12m0.5s", 25_920.5),
        ({}, "try again in 3 days", 259_200.0),
        ({}, "try again in 3 moons", None),
        ({}, "try again in a few minutes", None),
        ({}, "try again later", None),
        ({}, "", None),
    ],
)
def test_wait_hints(headers: dict[str, str], message: str, seconds: float | None) -> None:
    assert wait_hint(headers, message, now=NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that is not in the zone of HTTP dates."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_a_date_does_not_hang_on_this_machines_zone(zone: str) -> None:
    text = f"Sun, 22 Nov 2026 16:21:30 {zone}"
    assert wait_hint({"retry-after": text}, "", now=NOW) == 90.0


HEADER = st.text(max_size=30) | st.floats().map(str) | st.integers().map(str)


@given(
    headers=st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), HEADER),
    message=st.text(max_size=60) | st.text(max_size=20).map("try again in {}".format),
)
def test_a_hint_is_finite_and_not_negative(headers: dict[str, str], message: str) -> None:
    seconds = wait_hint(headers, message, now=NOW)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@given(st.integers(-(10**7), 10**8))
def test_a_date_is_a_wait_from_now(offset_s: int) -> None:
    assert wait_hint({"retry-after": date(offset_s)}, "", now=NOW) == (offset_s if offset_s >= 0 else None)


@pytest.mark.parametrize(
    ("limit", "usable"),
    [
        ("60", 60.0),
        ("1", 1.0),
        ("0.5", None),
        ("1e-9", None),
        ("1e-320", None),
        ("0", None),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1e300", None),
        ("9" * 4000, None),
        ("soon", None),
    ],
)
def test_allowances_that_would_make_a_run_wait_for_hours_are_not_believed(
    limit: str, usable: float | None
) -> None:
    found = reported_rates({"x-ratelimit-limit-images": limit, "x-ratelimit-remaining-images": "3"})
    assert found == {"images": ReportedRate(usable, 3.0, None)}


def test_an_allowance_of_tokens_is_more_than_a_few() -> None:
    few, many = (reported_rates({"x-ratelimit-limit-tokens": limit}) for limit in ("5", "20000"))
    assert (few["tokens"].limit, many["tokens"].limit) == (None, 20_000.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("1.5s", 1.5),
        ("120ms", 0.12),
        ("7", 7.0),
        ("1e9", None),
        ("nan", None),
        ("x", None),
        ("", None),
    ],
)
def test_spans_until_an_allowance_is_whole_again(text: str, seconds: float | None) -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": text}
    assert reported_rates(headers)["requests"] == ReportedRate(None, 0.0, seconds)
