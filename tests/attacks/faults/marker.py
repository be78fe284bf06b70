"""The marker in a prompt that chooses a fault: `{{fault:NAME key=value ...}}`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_MARKER = re.compile(r"\{\{fault:(\w+)((?:\s+\w+=[^\s}]+)*)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Marker:
    """A fault by the name of its act, and the act's arguments as text.

    `times=K` and `first=K` are read here: only the first K requests of that prompt, or the first K of all that reach
    this act, misbehave; absent, all do.
    """

    name: str
    args: dict[str, str] = field(default_factory=dict)

    @property
    def times(self) -> float:
        """How many requests misbehave."""
        return float(self.args.get("times", "inf"))

    @property
    def first(self) -> float:
        """How many requests misbehave, all prompts together."""
        return float(self.args.get("first", "inf"))

    def text(self, key: str, default: str = "") -> str:
        """An argument as text."""
        return self.args.get(key, default)

    def number(self, key: str, default: float = 0) -> float:
        """An argument as a number."""
        return float(self.args.get(key, default))


def parse(prompt: str) -> Marker | None:
    """The first marker of a prompt, None when it has none."""
    found = _MARKER.search(prompt)
    if found is None:
        return None
    return Marker(found[1], dict(pair.split("=", 1) for pair in found[2].split()))


def write(name: str, **args: object) -> str:
    """The marker text for an act and its arguments."""
    return "{{fault:" + " ".join([name, *(f"{key}={value}" for key, value in args.items())]) + "}}"
