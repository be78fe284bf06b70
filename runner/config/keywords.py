"""Keyword arguments of the Python calls as job keys: the command's own option table, with `_` for `-`."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from os import PathLike, fspath
from typing import Any

from schemas.errors import JobError
from schemas.job_options import JOB_OPTIONS

_KEYS = {option.flag.removeprefix("--").replace("-", "_"): option.key for option in JOB_OPTIONS}


def overrides_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted job keys from keyword arguments. Raises JobError that names every unknown one and its nearest option."""
    options = dict(options)
    overrides = dict(options.pop("set", {}))
    overrides |= {f"request.param.{name}": value for name, value in options.pop("param", {}).items()}
    unknown = [name for name in options if name not in _KEYS]
    if unknown:
        raise JobError("; ".join(map(_unknown, unknown)), fix="the names are those of `imagemill run --help`")
    for name, value in options.items():
        overrides[_KEYS[name]] = fspath(value) if isinstance(value, PathLike) else value
    return overrides


def _unknown(name: str) -> str:
    near = get_close_matches(name, _KEYS, 1)
    return f"unknown option {name!r}" + (f", did you mean {near[0]!r}?" if near else "")
