"""What `/stats` tells: what arrived and what was charged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from runner.simulator.sliding_window import Limiter, Window


@dataclass(slots=True)
class PromptStats:
    """One distinct prompt. row: its place in order of first arrival, from 0. billed_images: images charged."""

    row: int
    requests: int = 0
    billed_images: int = 0


@dataclass(slots=True)
class Stats:
    """Counts since the start.

    requests: POSTs for images. refused: those that were answered without a charge, whatever the answer.
    in_flight: those without an end yet; most_in_flight: the most there ever were.
    statuses: answers by status, `cut` for those whose connection was gone. faults: faults met, by kind.
    polls: GETs for tasks, of which the limits know nothing; poll_arrivals: the same, in windows.
    """

    requests: int = 0
    refused: int = 0
    billed_requests: int = 0
    billed_images: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    downloads: int = 0
    downloads_with_key: int = 0
    polls: int = 0
    polls_in_flight: int = 0
    most_polls_in_flight: int = 0
    poll_arrivals: Window = field(default_factory=lambda: Window(1.0))
    poll_statuses: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    prompts: dict[str, PromptStats] = field(default_factory=dict)

    def begin(self) -> None:
        """A POST for images has come in."""
        self.requests += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def arrive(self, prompt: str) -> None:
        """Its prompt is known."""
        if prompt not in self.prompts:
            self.prompts[prompt] = PromptStats(row=len(self.prompts))
        self.prompts[prompt].requests += 1

    def bill(self, entry: PromptStats, images: int) -> None:
        """The request is charged: decided when it is admitted, whether or not the caller stays."""
        self.billed_requests += 1
        self.billed_images += images
        entry.billed_images += images

    def begin_poll(self, now: float) -> None:
        """A GET for a task has come in. now: monotonic seconds."""
        self.polls += 1
        self.polls_in_flight += 1
        self.most_polls_in_flight = max(self.most_polls_in_flight, self.polls_in_flight)
        self.poll_arrivals.add(now, 1)

    def end_poll(self, status: str) -> None:
        """It has been answered, or `cut`."""
        self.polls_in_flight -= 1
        self.poll_statuses[status] += 1

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
            "polls": self.polls,
            "poll_statuses": dict(self.poll_statuses),
            "polls_in_flight": self.polls_in_flight,
            "max_polls_in_flight": self.most_polls_in_flight,
            "worst_second_polls": self.poll_arrivals.worst,
            "window_s": limiter.limits.window_s,
            "admitting_s": limiter.admitting_s,
            "worst_window_requests": limiter.requests.worst,
            "worst_window_images": limiter.images.worst,
            "worst_window_arrivals": limiter.arrivals.worst,
        }
