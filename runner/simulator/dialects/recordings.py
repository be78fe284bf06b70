"""Recorded answers: `recorded/NAME/STATE.json`, documents as the service has them, with `$names` where values differ.

A relay has `submitted`, `going`, `done` and `failed`; a server that answers at once has `answered`. Both may have
`refused` (an error), a relay `lost` (the 404 for a task that is not known), a server `invalid` (a mistake in a field).
`http` holds what is not in a document: see `Http`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from runner.simulator.dialects.model import Template

FOLDER = Path(__file__).resolve().parents[1] / "recorded"


@dataclass(frozen=True, slots=True)
class Http:
    """What a relay's documents do not hold.

    base: path that `images/generations` is appended to. status, headers: of the answer to a submit.
    polls: where tasks are asked for, when not as the relay's row has it.
    """

    base: str = "/v1"
    status: int = 200
    headers: dict[str, Template] = field(default_factory=dict)
    polls: tuple[str, ...] = ()


@cache
def recorded(name: str, state: str) -> Template:
    """The document of a service in a state; None where there is none."""
    path = FOLDER / name / f"{state}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def http_of(name: str) -> Http:
    """What a relay's `http.json` says, or what is usual."""
    said: dict[str, Any] = recorded(name, "http") or {}
    return Http(**said | {"polls": tuple(said.get("polls", ()))})


def with_status(document: Template, keys: frozenset[str]) -> tuple[Template, str]:
    """The document with `$status` for its status word, and the word; "" where it has none.

    keys: what the word may stand under; the outermost counts.
    """
    for path in _paths(document, keys):
        *parents, key = path
        copy: Template = json.loads(json.dumps(document))
        place = copy
        for step in parents:
            place = place[step]
        word: str = place[key]
        place[key] = "$status"
        return copy, word
    return document, ""


def _paths(document: Template, keys: frozenset[str]) -> Iterator[tuple[Any, ...]]:
    """Paths of texts under one of the keys, outer ones first."""
    level: list[tuple[tuple[Any, ...], Template]] = [((), document)]
    while level:
        inner = []
        for path, value in level:
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            for key, part in entries:
                if key in keys and isinstance(part, str):
                    yield (*path, key)
                if isinstance(part, dict | list):
                    inner.append(((*path, key), part))
        level = inner
