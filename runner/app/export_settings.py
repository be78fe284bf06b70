"""The settings of an export as a user gives them, checked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from runner.app.export import CSV, LAYOUTS
from runner.exports.layout import MAX_SHARD_MB, ExportSettings
from runner.exports.naming import DEFAULT_NAME, NameTemplate
from schemas.errors import JobError

SHAPES = (*list(LAYOUTS)[:3], CSV, *list(LAYOUTS)[3:])
METADATA = ("parquet", "jsonl")
_WORD = re.compile(r"[A-Za-z0-9_]{1,40}")


def settings_of(
    to: str,
    *,
    columns: Iterable[str] | None = None,
    name: str | None = None,
    shard_mb: int | None = None,
    **others: Any,
) -> ExportSettings:
    """None stands for the default. others: of `ExportSettings`. Raises JobError for what is none of the choices."""
    _choose("--to", to, SHAPES)
    given = {key: value for key, value in others.items() if value is not None}
    _choose("--metadata", given.get("metadata", "parquet"), METADATA)
    for option in ("split", "subset"):
        if not _WORD.fullmatch(given.get(option, "x")):
            raise JobError(
                f"--{option} {given[option]!r} is no plain word", fix="letters, digits and underscores"
            )
    most = MAX_SHARD_MB if shard_mb is None else shard_mb
    if not 1 <= most <= MAX_SHARD_MB:
        raise JobError(f"--shard-mb {most} is not 1 to {MAX_SHARD_MB}", fix=f"--shard-mb {MAX_SHARD_MB}")
    chosen = None if columns is None else tuple(columns)
    if chosen is not None and len(set(chosen)) < len(chosen):
        raise JobError("--columns names one twice", fix="name each once")
    return ExportSettings(
        to, NameTemplate.read(DEFAULT_NAME if name is None else name), chosen, shard_mb=most, **given
    )


def _choose(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        like = get_close_matches(value, known, 1)
        raise JobError(
            f"{option} {value!r} is none of {', '.join(known)}", fix=f"{option} {(like or known)[0]}"
        )
