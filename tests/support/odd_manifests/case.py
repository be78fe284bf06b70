"""One odd or hostile manifest and what must come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Odd:
    """A file's bytes, and either all of its records or the stop that they cause.

    prompts: one a record, None for a malformed or missing one. ids, locations, extras: checked where given.
    malformed: record number -> a part of the message. error: a part of the JobError's message or fix.
    options: `prompt_col`, `id_col`.
    """

    title: str
    file: str
    content: bytes
    prompts: Sequence[str | None] = ()
    ids: Sequence[str | None] | None = None
    locations: Sequence[str] | None = None
    malformed: Mapping[int, str] = field(default_factory=dict)
    extras: Mapping[str, Sequence[object]] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
