"""Revised prompts and tokens of answers."""

from __future__ import annotations

import pytest

from runner.simulator.answers.document import Latency, latency_of, output_tokens
from schemas.providers import OPENAI_PRICES
from schemas.request import FIELDS
from tests.support.simulator import Simulator


def test_revised_prompts_elaborate(dieyuyun: Simulator) -> None:
    first, again = (dieyuyun.order(prompt="a heron.", n=2).json()["data"] for _ in range(2))
    assert [item["revised_prompt"] for item in first] == [item["revised_prompt"] for item in again]
    assert all(item["revised_prompt"].startswith("a heron, ") for item in first)


@pytest.mark.parametrize(("prefix", "size", "quality"), list(OPENAI_PRICES.per_image))
def test_usage_comes_to_the_list_price(prefix: str, size: str, quality: str) -> None:
    drawn = "1280x768" if size == "*" else size
    usd = output_tokens(prefix, drawn, quality) * OPENAI_PRICES.output_per_token
    assert usd == pytest.approx(OPENAI_PRICES.per_image[prefix, size, quality], abs=0.0005)


def test_usage_counts_every_image(dieyuyun: Simulator) -> None:
    usage = dieyuyun.order(n=3, prompt="x" * 40, quality="high", size="auto", response_format="url").json()[
        "usage"
    ]
    assert usage["output_tokens"] == 3 * 7024
    assert usage["input_tokens"] == 16
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


@pytest.mark.parametrize("quality", FIELDS["quality"].known)
def test_every_quality_has_a_price(dieyuyun: Simulator, quality: str) -> None:
    assert dieyuyun.order(quality=quality, model="some-new-model").json()["usage"]["output_tokens"] > 0


def test_latency_is_lognormal_and_the_same_for_the_same_seed() -> None:
    latency = Latency(0.2, 0.6)
    drawn = sorted(latency_of(latency, 1, f"prompt {number}", 1) for number in range(4_000))
    assert drawn[2_000] == pytest.approx(0.2, rel=0.1)
    assert drawn[3_800] == pytest.approx(0.6, rel=0.15)
    assert drawn[0] > 0
    assert latency_of(latency, 1, "a", 1) == latency_of(latency, 1, "a", 1)
    assert len({latency_of(latency, seed, "a", attempt) for seed in (1, 2) for attempt in (1, 2)}) == 4
    assert latency_of(Latency(0.0, 0.0), 1, "a", 1) == 0.0
