"""The answer's document: images, revised prompts, tokens; and how long an answer takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Any

from runner.simulator.pictures.picture import Picture, digest
from runner.simulator.requests.validate import Order
from schemas.providers import OPENAI_PRICES, PROFILES

_P95_Z = 1.6449
_MEASURED_TOKENS = {
    ("1024x1024", "high"): 7024,
    ("1536x1024", "high"): 5488,
    ("1024x1536", "high"): 5488,
}
"""Output tokens of gpt-image-2 as measured by users (community.openai.com, April 2026); the rest follows from prices."""
_ABOVE_HIGH = {"xhigh": 1.5, "max": 2.0}
"""Invented: no price is published for these qualities."""
_PROMPT_OVERHEAD_TOKENS = 6
_LIGHT = (
    "bathed in soft morning light",
    "lit by a low golden sun",
    "under a wide, pale sky",
    "in the blue hour just after sunset",
    "with gentle diffused daylight and long shadows",
    "beneath a bright moon",
)
_COMPOSITION = (
    "layered depth leading the eye to a quiet horizon",
    "a balanced composition with generous negative space",
    "a strong foreground and hazy distance",
    "simple overlapping shapes with crisp outlines",
    "a calm, symmetrical arrangement",
)
_MOOD = (
    "harmonious limited palette, serene atmosphere",
    "muted tones with a single warm accent",
    "vivid yet natural colours, poster-like clarity",
    "dreamlike mood and smooth gradients",
    "fine detail and a hint of paper texture",
)


@dataclass(frozen=True, slots=True)
class Latency:
    """A lognormal distribution of seconds; median 0 means none. p95 is at least the median."""

    median_s: float = 0.2
    p95_s: float = 0.5

    def draw_s(self, chance: Random) -> float:
        """Seconds that one answer takes."""
        if self.median_s <= 0:
            return 0.0
        spread = math.log(max(self.p95_s, self.median_s) / self.median_s) / _P95_Z
        return self.median_s * math.exp(spread * chance.gauss(0, 1))


def latency_of(latency: Latency, seed: int, prompt: str, attempt: int) -> float:
    """Seconds for this attempt (from 1) of this prompt: the same for the same seed."""
    return latency.draw_s(Random(digest("latency", seed, attempt, prompt)))


def picture_of(order: Order, index: int, count: int, seed: int) -> Picture:
    """The picture for image `index` (from 0) of `count`."""
    return Picture(
        prompt=order.prompt,
        seed=seed,
        index=index,
        count=count,
        width=order.width,
        height=order.height,
        format=order.format,
        compression=order.compression,
        transparent=order.background == "transparent",
    )


def revised_prompt(prompt: str, index: int, seed: int) -> str:
    """An elaboration such as services return, the same every time."""
    chance = Random(digest("revised", seed, index, prompt))
    parts = (
        prompt.strip().rstrip(".,;"),
        chance.choice(_LIGHT),
        chance.choice(_COMPOSITION),
        chance.choice(_MOOD),
    )
    return ", ".join(parts)


def revises(profile: str, model: str) -> bool:
    """Whether answers carry `revised_prompt`: by the profile, and OpenAI's for dall-e-3."""
    return PROFILES[profile].revises_prompts or model.startswith("dall-e-3")


def output_tokens(model: str, size: str, quality: str) -> int:
    """Output tokens of one image, such that list prices result at the list price of a token."""
    base = "high" if quality in _ABOVE_HIGH else quality
    table = OPENAI_PRICES.per_image
    prefixes = [prefix for prefix, _, _ in table if model.startswith(prefix)]
    prefix = max(prefixes, key=len, default="gpt-image-2")
    if prefix == "gpt-image-2" and (size, base) in _MEASURED_TOKENS:
        tokens = _MEASURED_TOKENS[size, base]
    else:
        price = table.get((prefix, size, base)) or table[prefix, "*", base]
        tokens = round(price / OPENAI_PRICES.output_per_token)
    return round(tokens * _ABOVE_HIGH.get(quality, 1.0))


def usage_of(order: Order, images: int) -> dict[str, Any]:
    """The answer's `usage` for `images` images."""
    text = _PROMPT_OVERHEAD_TOKENS + math.ceil(len(order.prompt.encode("utf-8", "surrogatepass")) / 4)
    made = images * output_tokens(order.model, order.size, order.quality)
    return {
        "total_tokens": text + made,
        "input_tokens": text,
        "output_tokens": made,
        "input_tokens_details": {"text_tokens": text, "image_tokens": 0},
    }


def answer_document(
    order: Order, items: list[dict[str, Any]], profile: str, seed: int, created: int
) -> dict[str, Any]:
    """The whole answer. items: one object an image with its `url` or `b64_json`. created: Unix seconds."""
    if revises(profile, order.model):
        for index, item in enumerate(items):
            item["revised_prompt"] = revised_prompt(order.prompt, index, seed)
    document: dict[str, Any] = {"created": created, "data": items}
    if not PROFILES[profile].own_document:
        document |= {
            "background": order.background,
            "output_format": order.format,
            "size": order.size,
            "quality": order.quality,
        }
    return document | {"usage": usage_of(order, order.n)}
