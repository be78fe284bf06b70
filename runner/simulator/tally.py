"""What `/stats` tells: what arrived and what was charged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from runner.simulator.windows import Limiter


@dataclass(slots=True)
class PromptTally:
    """One distinct prompt. row: its place in order of first arrival, from 0. billed_images: images charged."""

    row: int
    requests: int = 0
    billed_images: int = 0


@dataclass(slots=True)
class Tally:
    """Counts since the start.

    requests: POSTs for images. refused: those that were answered without a charge, whatever the answer.
    in_flight: those without an end yet; most_in_flight: the most there ever were.
    statuses: answers by status, `cut` for those whose connection was gone. faults: faults met, by kind.
    """

    requests: int = 0
    refused: int = 0
    billed_requests: int = 0
    billed_images: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    downloads: int = 0
    downloads_with_key: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    prompts: dict[str, PromptTally] = field(default_factory=dict)

    def begin(self) -> None:
        """A POST for images has come in."""
        self.requests += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def arrive(self, prompt: str) -> None:
        """Its prompt is known."""
        if prompt not in self.prompts:
            self.prompts[prompt] = PromptTally(row=len(self.prompts))
        self.prompts[prompt].requests += 1

    def bill(self, entry: PromptTally, images: int) -> None:
        """The request is charged: decided when it is admitted, whether or not the caller stays."""
        self.billed_requests += 1
        self.billed_images += images
        entry.billed_images += images

    def document(self, limiter: Limiter) -> dict[str, Any]:
        """The JSON object of `/stats`."""
        billed = {
            prompt: entry.billed_images for prompt, entry in self.prompts.items() if entry.billed_images
        }
        return {
            "requests": self.requests,
            "billed_images": self.billed_images,
            "refused": self.refused,
            "by_prompt": {prompt: entry.requests for prompt, entry in self.prompts.items()},
            "billed_by_prompt": billed,
            "billed_requests": self.billed_requests,
            "statuses": dict(self.statuses),
            "faults": dict(self.faults),
            "in_flight": self.in_flight,
            "max_in_flight": self.most_in_flight,
            "downloads": self.downloads,
            "downloads_with_key": self.downloads_with_key,
            "window_s": limiter.limits.window_s,
            "admitting_s": limiter.admitting_s,
            "worst_window_requests": limiter.requests.worst,
            "worst_window_images": limiter.images.worst,
            "worst_window_arrivals": limiter.arrivals.worst,
        }
