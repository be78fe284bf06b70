"""Every way to the simulator: the dialect that it speaks, how the run is told of it, and which columns cannot be alike."""

from __future__ import annotations

from dataclasses import dataclass

from runner.simulator.dialects.model import names
from runner.simulator.dialects.recordings import recorded
from runner.simulator.dialects.relays import RELAYS
from runner.simulator.dialects.servers import SERVERS
from schemas.providers import PROFILES
from schemas.task_dialects import AUTO

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


def _untold(name: str) -> tuple[str, ...]:
    """Columns that are null because the service's recorded answer does not hold them."""
    known = names(recorded(name, "done") or recorded(name, "answered"))
    return (*(() if "revised_prompt" in known else _REVISED), *(() if "usage" in known else _TOKENS))


def _recognised(name: str) -> Way:
    return Way(f"{name}, auto", name, ("--dialect", AUTO.name), tasks=True, lacks=_untold(name))


def _server(name: str) -> Way:
    """A server that answers at once: by its profile where it has one, else by its address alone."""
    if name not in PROFILES:
        return Way(name, name, lacks=_lacked(name), own=_OWN.get(name, ()))
    own = ("model", *_OWN.get(name, ()))
    return Way(f"{name}, profile", name, ("--profile", name), lacks=_lacked(name), own=own)


def _lacked(name: str) -> tuple[str, ...]:
    return tuple(column for column in _untold(name) if column not in _OWN.get(name, ()))


OFFICIAL = Way("official", "official")
"""What all others are held against."""

_OWN = {
    "xai": ("file_name", "format", "bytes", "sha256", "width", "height", "flags"),
    "localai": _TOKENS,
}
"""xAI takes an aspect ratio instead of a size and makes JPEG; LocalAI tells 0 tokens; a profile asks for its own model."""

WAYS = (
    OFFICIAL,
    *(Way(relay.name, relay.name, ("--dialect", relay.name), True, _untold(relay.name)) for relay in RELAYS),
    *map(_recognised, ("evolink", "apimart", "lemondata")),
    Way(
        "dieyuyun, profile",
        "dieyuyun",
        ("--profile", "dieyuyun", "--model", "gpt-image-2", "--dialect", AUTO.name),
        tasks=True,
        own=("model",),
    ),
    Way("openai, profile", "official", ("--profile", "openai"), lacks=_REVISED, own=("model",)),
    *(_server(server.name) for server in SERVERS),
)
