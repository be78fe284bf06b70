"""Every way to the simulator: the dialect that it speaks, how the run is told of it, and which columns cannot be alike."""

from __future__ import annotations

from dataclasses import dataclass

ALWAYS = frozenset(
    {
        *("endpoint", "request_id", "task_id"),
        *("created", "started_at", "finished_at", "latency_s"),
        "cost_usd",
    }
)
"""Columns that no two services have alike: names of requests, times, costs. So it is with the flag `estimated_cost`."""

_REVISED = ("revised_prompt",)
_TOKENS = ("input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Way:
    """One way through the simulator.

    speaks: its dialect. options: of the run, besides the base URL. tasks: whether it answers with tasks.
    lacks: columns that are null here, because the service does not tell. own: columns with values of its own.
    """

    name: str
    speaks: str
    options: tuple[str, ...] = ()
    tasks: bool = False
    lacks: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    @property
    def not_compared(self) -> frozenset[str]:
        """Columns that are not held against the official dialect's."""
        return ALWAYS | {*self.lacks, *self.own}


def _relay(name: str, *lacks: str) -> Way:
    return Way(name, name, ("--dialect", name), tasks=True, lacks=lacks)


def _recognised(name: str, *lacks: str) -> Way:
    return Way(f"{name}, auto", name, ("--dialect", "auto"), tasks=True, lacks=lacks)


def _profile(name: str, *lacks: str, own: tuple[str, ...] = ()) -> Way:
    return Way(f"{name}, profile", name, ("--profile", name), lacks=lacks, own=("model", *own))


def _cousin(name: str, *lacks: str, own: tuple[str, ...] = ()) -> Way:
    return Way(name, name, lacks=lacks, own=own)


OFFICIAL = Way("official", "official")
"""What all others are held against."""

_JPEG_BY_RATIO = ("file_name", "format", "bytes", "sha256", "width", "height", "flags")

WAYS = (
    OFFICIAL,
    _relay("dieyuyun"),
    _relay("evolink", *_REVISED, *_TOKENS),
    _relay("apimart", *_REVISED, *_TOKENS),
    _relay("sub2api"),
    _relay("piapi", *_TOKENS),
    _relay("dimilinks", *_TOKENS),
    _relay("skyengine", *_TOKENS),
    _relay("lemondata", *_TOKENS),
    _relay("modelsell", *_TOKENS),
    _relay("tokenhub", *_REVISED, *_TOKENS),
    _relay("newapi", *_TOKENS),
    _recognised("evolink", *_REVISED, *_TOKENS),
    _recognised("apimart", *_REVISED, *_TOKENS),
    _recognised("lemondata", *_TOKENS),
    Way(
        "dieyuyun, profile",
        "dieyuyun",
        ("--profile", "dieyuyun", "--model", "gpt-image-2", "--dialect", "auto"),
        tasks=True,
        own=("model",),
    ),
    _profile("azure", *_REVISED),
    _profile("xai", *_TOKENS, own=_JPEG_BY_RATIO),
    _profile("together", *_REVISED, *_TOKENS),
    Way("openai, profile", "official", ("--profile", "openai"), lacks=_REVISED, own=("model",)),
    _cousin("gemini", *_REVISED, *_TOKENS),
    _cousin("localai", *_REVISED, own=_TOKENS),
    _cousin("sdserver", *_REVISED, *_TOKENS),
    _cousin("vllm-omni", *_REVISED, *_TOKENS),
    _cousin("sglang", *_TOKENS),
    _cousin("litellm"),
)
"""xAI takes an aspect ratio instead of a size and makes JPEG; LocalAI tells 0 tokens; a profile asks for its own model."""
