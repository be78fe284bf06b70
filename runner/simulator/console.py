"""What the stand-alone simulator says to whom it was started by: how to ask it, and at the end what it was asked."""

from __future__ import annotations

import json

from runner.simulator.config import SimulatorConfig
from runner.simulator.dialects import DIALECTS, OFFICIAL
from runner.simulator.stats import Stats
from schemas.providers import PROFILES

GENERATIONS = "images/generations"
_KEY = "sk-simulated"
_ANY_MODEL = "gpt-image-1"
_AS_OPENAI = next(name for name, each in PROFILES.items() if not (each.own_document or each.simulated_as))
"""The profile whose answers are as OpenAI's own document has them."""


def greeting(base_url: str, config: SimulatorConfig) -> str:
    """How to ask this simulator. base_url: as its first line on stdout has it, with the dialect's query."""
    dialect = DIALECTS[config.dialect]
    profile = PROFILES[dialect.profile or config.profile]
    path, _, query = base_url.partition("?")
    url = f"{path}/{GENERATIONS}" + (f"?{query}" if query else "")
    name = "Authorization: Bearer" if dialect.keys[0] == "authorization" else f"{dialect.keys[0]}:"
    model = dialect.reading.model or profile.model or _ANY_MODEL
    body = json.dumps({"model": model, "prompt": "a fox in the snow"})
    root = "/".join(path.split("/")[:3])
    lines = [
        f"simulating {profile.name if config.dialect == OFFICIAL else dialect.name}: nothing is charged; Ctrl-C ends it",
        f"key       any but `invalid`, such as {_KEY}",
        f"try it    curl '{url}' \\",
        f"            -H '{name} {_KEY}' -H 'Content-Type: application/json' \\",
        f"            -d '{body}'",
        f"run       IMAGEMILL_API_KEY={_KEY} imagemill run prompts.csv --base-url '{base_url}'",
        f"figures   {root}/ (as JSON: {root}/stats)",
    ]
    if profile.own_document:
        lines += [
            f"note      as at {profile.name}, images come as URLs unless response_format is b64_json;",
            f"          OpenAI's own sample code reads b64_json: for that, imagemill simulate --profile {_AS_OPENAI}",
        ]
    return "\n".join(lines)


def farewell(stats: Stats) -> str:
    """What was asked of it, in two lines at most."""
    if not stats.requests:
        return "no requests came"
    charged = f"{stats.billed_images:,} {_plural('image', stats.billed_images)}"
    counted = f"{stats.requests:,} {_plural('request', stats.requests)}: {charged} that the service would charge for"
    refused = f", {stats.refused:,} refused" if stats.refused else ""
    faults = ", ".join(f"{name} {count:,}" for name, count in stats.faults.most_common())
    return counted + refused + (f"\nfaults: {faults}" if faults else "")


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"
