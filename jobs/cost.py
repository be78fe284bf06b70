"""What a request costs: estimated before it is sent, settled by what the service reports."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from schemas.failures import Billed, FailureKind
from schemas.outcome import Outcome, Reported, Success
from schemas.providers import PriceTable
from schemas.request import FIELDS, ImageRequest

_QUALITIES = ("low", "medium", "high")


class Estimate(NamedTuple):
    """USD for one request. low equals high where the price is certain; None where no price is known."""

    low: float | None
    high: float | None


class Prices(NamedTuple):
    """per_image: the user's own price (USD), which wins over the table. table: the service's, None when unknown."""

    per_image: float | None = None
    table: PriceTable | None = None

    @property
    def source_is_unknown(self) -> bool:
        """Whether nobody has told a price."""
        return self.per_image is None and self.table is None

    @property
    def source(self) -> str:
        """Where the figures come from, for people."""
        if self.per_image is not None:
            return f"your price of {self.per_image:g} USD an image"
        if self.table is not None:
            return f"{self.table.source}, {self.table.date}"
        return "no price known: set --price"


def estimate(request: ImageRequest, prices: Prices) -> Estimate:
    """What the request will cost; `auto` quality (or none) spans the table's cheapest to dearest.

    The prompt's own tokens are a quarter of its characters at best, and one for each of its bytes at worst.
    """
    if prices.per_image is not None:
        fixed = prices.per_image * request.n
        return Estimate(fixed, fixed)
    if prices.table is None:
        return Estimate(None, None)
    quality = str(request.get("quality", FIELDS["quality"].default))
    size = str(request.get("size", FIELDS["size"].default))
    model = str(request.get("model", ""))
    wanted = (quality,) if quality in _QUALITIES else _QUALITIES if quality == "auto" else ("high",)
    known = [cost for name in wanted if (cost := _table_price(prices.table, model, size, name)) is not None]
    if not known:
        return Estimate(None, None)
    fewest, most = len(request.prompt) / 4, len(request.prompt.encode("utf-8", "surrogatepass")) + 10
    rate = prices.table.input_per_token
    return Estimate(min(known) * request.n + fewest * rate, max(known) * request.n + most * rate)


@lru_cache(maxsize=1024)
def _table_price(table: PriceTable, model: str, size: str, quality: str) -> float | None:
    best: tuple[tuple[int, bool], float] | None = None
    for (prefix, priced_size, priced_quality), price in table.per_image.items():
        if model.startswith(prefix) and priced_size in (size, "*") and priced_quality == quality:
            rank = (len(prefix), priced_size != "*")
            if best is None or rank > best[0]:
                best = (rank, price)
    return best[1] if best else None


def settled(
    request: ImageRequest, reported: Reported, prices: Prices, images: int
) -> tuple[float | None, bool]:
    """(USD, whether estimated) for a paid answer: the service's own figure, else tokens at list price, else the estimate.

    images: images the answer held; a price an image is charged for each. A told cost of 0 counts as not told where a
    price is known: a relay says so of requests that somebody else charges for.
    """
    if reported.cost_usd is not None and (reported.cost_usd > 0 or prices.source_is_unknown):
        return reported.cost_usd, False
    if prices.per_image is not None:
        return prices.per_image * images, True
    if prices.table is not None and reported.output_tokens:
        tokens_in = (reported.input_tokens or 0) * prices.table.input_per_token
        return tokens_in + reported.output_tokens * prices.table.output_per_token, True
    return estimate(request, prices).high, True


def outcome_cost(outcome: Outcome, request: ImageRequest, prices: Prices) -> tuple[float | None, bool]:
    """(USD, whether estimated) of an attempt that has ended; None where nothing was charged or no price is known."""
    if isinstance(outcome, Success):
        held = max(len(outcome.images), outcome.made)
        made = held if "fewer_images" in outcome.flags else max(request.n, held)
        return settled(request, outcome.reported, prices, made)
    if outcome.failure.rule.billed is Billed.YES and outcome.failure.kind is not FailureKind.TRUNCATED:
        return settled(request, outcome.reported, prices, request.n)
    told = outcome.reported.cost_usd
    if told and outcome.failure.maybe_billed:
        return told, False  # charged for what it withheld
    return None, False


def likely_tokens(request: ImageRequest, price: Estimate) -> float:
    """Tokens a request may use, for `limits.tpm`: its text, and what the estimate buys at 30 USD a million."""
    return len(request.prompt) / 4 + (price.high / 30e-6 if price.high else 4_000.0 * request.n)
