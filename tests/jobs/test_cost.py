"""What a request costs: estimated with its range, settled by what the service reports."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.cost import Estimate, Prices, estimate, settled
from schemas.outcome import NOTHING_REPORTED, Reported
from schemas.providers import OPENAI_PRICES, PriceTable
from schemas.request import ImageRequest

TABLE = PriceTable(
    source="a list",
    date="2026-11-22",
    per_image={
        ("m", "*", "low"): 0.01,
        ("m", "*", "medium"): 0.02,
        ("m", "*", "high"): 0.04,
        ("m", "1024x1024", "high"): 0.03,
        ("m-mini", "*", "high"): 0.005,
    },
    input_per_token=1e-6,
    output_per_token=1e-5,
)
LISTED = Prices(table=TABLE)


def request(**fields: object) -> ImageRequest:
    """A request with these fields."""
    return ImageRequest("p", tuple(fields.items()))


@pytest.mark.parametrize(
    ("fields", "low", "high"),
    [
        ({"model": "m", "quality": "low"}, 0.01, 0.01),
        ({"model": "m", "quality": "high"}, 0.03, 0.03),
        ({"model": "m", "quality": "high", "size": "1024x1024"}, 0.03, 0.03),
        ({"model": "m", "quality": "high", "size": "1536x1024"}, 0.04, 0.04),
        ({"model": "m", "quality": "auto"}, 0.01, 0.03),
        ({"model": "m"}, 0.01, 0.03),
        ({"model": "m", "size": "auto"}, 0.01, 0.04),
        ({"model": "m", "quality": "max", "size": "auto"}, 0.04, 0.04),
        ({"model": "m-2026-11-04", "quality": "low"}, 0.01, 0.01),
        ({"model": "m-mini", "quality": "high"}, 0.005, 0.005),
        ({"model": "m", "quality": "low", "n": 4}, 0.04, 0.04),
        ({"model": "other", "quality": "low"}, None, None),
        ({}, None, None),
    ],
)
def test_estimates_from_the_table(fields: dict[str, object], low: float | None, high: float | None) -> None:
    found = estimate(request(**fields), LISTED)
    prompt_low, prompt_high = 1 / 4 * TABLE.input_per_token, 11 * TABLE.input_per_token
    assert (found.low, found.high) == (
        low if low is None else pytest.approx(low + prompt_low),
        high if high is None else pytest.approx(high + prompt_high),
    )


def test_tables_are_told_apart() -> None:
    """What one table says is not remembered of another with the same name."""
    dearer = replace(TABLE, per_image={key: 2 * usd for key, usd in TABLE.per_image.items()})
    fields = request(model="m", quality="low")
    for table, usd in ((TABLE, 0.01), (dearer, 0.02), (TABLE, 0.01)):
        assert estimate(fields, Prices(table=table)).low == pytest.approx(usd, rel=1e-3)


def test_a_long_prompt_costs_its_tokens_at_worst_one_for_each_byte() -> None:
    long = ImageRequest("é" * 1000, (("model", "m"), ("quality", "low")))
    found = estimate(long, LISTED)
    assert found.low == pytest.approx(0.01 + 250 * TABLE.input_per_token)
    assert found.high == pytest.approx(0.01 + 2010 * TABLE.input_per_token)


def test_the_users_own_price_wins_over_the_table() -> None:
    assert estimate(request(model="m", n=3), Prices(0.5, TABLE)) == Estimate(1.5, 1.5)


def test_without_any_price_nothing_is_estimated() -> None:
    assert estimate(request(model="m"), Prices()) == Estimate(None, None)


@given(
    st.sampled_from(["gpt-image-2-official", "gpt-image-2", "gpt-image-1-mini", "gpt-image-2.6-flare"]),
    st.sampled_from(["auto", "1024x1024", "1536x1024", "3840x2160", None]),
    st.sampled_from(["auto", "low", "medium", "high", "max", None]),
    st.integers(1, 10),
)
def test_known_models_have_a_price_whatever_is_asked(
    model: str, size: str | None, quality: str | None, n: int
) -> None:
    fields = {"model": model, "size": size, "quality": quality, "n": n}
    found = estimate(
        request(**{k: v for k, v in fields.items() if v is not None}), Prices(table=OPENAI_PRICES)
    )
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low <= found.high


@pytest.mark.parametrize(
    ("reported", "prices", "cost", "estimated"),
    [
        (Reported(cost_usd=0.123, output_tokens=10**6), Prices(0.5, TABLE), 0.123, False),
        (Reported(cost_usd=0.0), LISTED, 0.06, True),
        (Reported(cost_usd=0.0), Prices(0.5), 1.0, True),
        (Reported(cost_usd=0.0, output_tokens=1000), LISTED, 0.01, True),
        (Reported(cost_usd=0.0), Prices(), 0.0, False),
        (Reported(cost_usd=0.0), Prices(0.0), 0.0, True),
        (Reported(output_tokens=1000), Prices(0.5, TABLE), 1.0, True),
        (Reported(input_tokens=500, output_tokens=1000), LISTED, 0.0105, True),
        (Reported(output_tokens=1000), LISTED, 0.01, True),
        (Reported(output_tokens=0), LISTED, 0.06, True),
        (NOTHING_REPORTED, LISTED, 0.06, True),
        (NOTHING_REPORTED, Prices(0.5), 1.0, True),
        (NOTHING_REPORTED, Prices(), None, True),
    ],
)
def test_settling(reported: Reported, prices: Prices, cost: float | None, estimated: bool) -> None:
    found = settled(request(model="m", quality="high", n=2), reported, prices, 2)
    assert found == (cost if cost is None else pytest.approx(cost, abs=2e-5), estimated)


def test_where_prices_come_from() -> None:
    assert Prices(0.5).source == "your price of 0.5 USD an image"
    assert LISTED.source == "a list, 2026-11-22"
    assert "--price" in Prices().source
