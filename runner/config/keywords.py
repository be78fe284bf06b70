"""Keyword arguments of the Python calls as job keys: the command's own option table, with `_` for `-`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from typing import Any

from runner.text.nearest import nearest
from schemas.errors import JobError
from schemas.job_options import JOB_OPTIONS

_KEYS = {option.flag.removeprefix("--").replace("-", "_"): option.key for option in JOB_OPTIONS}
_OF_THE_COMMAND = {
    "dry_run": "runner.plan(…) tells what a run would do, and takes the same arguments",
    "quiet": 'pass progress="none"',
    "verbose": "look at the returned value, its `warnings` and `failures`",
    "json": "call to_dict() of the returned value",
}
"""Options that make sense for the command only -> what a Python program does instead."""


def overrides_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted job keys from keyword arguments. Raises JobError that names every unknown one and its nearest option."""
    options = dict(options)
    overrides = dict(options.pop("set", {}))
    overrides |= {f"request.param.{name}": value for name, value in options.pop("param", {}).items()}
    refuse_unknown(options, _KEYS, "run")
    for name, value in options.items():
        overrides[_KEYS[name]] = fspath(value) if isinstance(value, PathLike) else value
    return overrides


def refuse_unknown(options: Iterable[str], known: Iterable[str], command: str) -> None:
    """Raises JobError where a keyword is none of the known ones. command: whose help lists them."""
    names = list(known)
    unknown = [name for name in options if name not in names]
    if not unknown:
        return
    fixes = [_OF_THE_COMMAND[name] for name in unknown if name in _OF_THE_COMMAND]
    told = "; ".join(_unknown(name, names) for name in unknown)
    raise JobError(told, fix="; ".join(fixes) or f"the names are those of `imagemill {command} --help`")


def _unknown(name: str, known: list[str]) -> str:
    near = None if name in _OF_THE_COMMAND else nearest(name, known)
    return f"unknown option {name!r}" + (f", did you mean {near!r}?" if near else "")
