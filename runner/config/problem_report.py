"""The message about the mistakes in a job: each with where it was said, its value, what is allowed, and what to type."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any, NamedTuple

from runner.config.json_schema import job_keys
from runner.config.toml_lines import line_of
from runner.process.redaction import REDACTOR
from schemas.errors import JobError
from schemas.job import secrecy
from schemas.job_options import JOB_OPTIONS
from schemas.secrecy import Secrecy

OPTIONS = "option"
"""The origin of settings of the command line, and of Python's keywords."""
DOTENV = ".env"
"""The origin of settings from that file."""

_BARE_NAME = re.compile(r"[A-Za-z0-9_-]+")
_MAX_VALUE_CHARS = 80
_PARAM = "request.param."
_ALL_KEYS = "`imagemill schema job` lists every key"
_OF_KEY = {option.key: option for option in JOB_OPTIONS}


class JobProblem(NamedTuple):
    """One mistake.

    key: dotted. message: what is wrong, ready to show behind the key and its value. meant: the value, or for an unknown
    name the name, that was probably meant. within: where in the key's value, in dotted form (`image.0.usd`). is_name: the
    name is wrong, and not the value.
    """

    key: str
    message: str
    meant: str = ""
    within: str = ""
    is_name: bool = False


def shown_value(key: str, value: Any) -> str:
    """The value of a setting for a message: as TOML, short, on one line, and never one that may be a secret."""
    if secrecy(key) is not Secrecy.OPEN:
        return "(value not shown)"
    if isinstance(value, Mapping):
        return "(a table)"
    as_json = isinstance(value, (bool, list))  # which is TOML, too
    text = REDACTOR.text(json.dumps(value, ensure_ascii=False, default=str) if as_json else str(value))
    text = text if len(text) <= _MAX_VALUE_CHARS else f"{text[:_MAX_VALUE_CHARS]}…"
    return f'"{text}"' if isinstance(value, str) else text


def _shown_key(key: str) -> str:
    """A dotted key for a message, up to a name that TOML would have to quote: that may be a value gone astray."""
    names = key.split(".")
    bare = list(takewhile(_BARE_NAME.fullmatch, names))
    return REDACTOR.text(".".join(bare if bare == names else [*bare, "(name not shown)"]))


def _option(key: str) -> str:
    """What was typed for a key on the command line."""
    option = _OF_KEY.get(key)
    if option is None and key.startswith(_PARAM):
        return f"--param {_shown_key(key[len(_PARAM) :])}"
    return option.flag if option is not None else f"--set {_shown_key(key)}"


def _line(problem: JobProblem, values: Mapping[str, Any], origin: str, lines: Mapping[str, int]) -> str:
    """One mistake on one line: who said it, what, and why it cannot be."""
    key, within = problem.key, problem.within
    known = key in job_keys() or secrecy(key) is Secrecy.OPEN
    value = shown_value(key, values[key]) if known and key in values and not within else ""
    if origin == OPTIONS and not within:
        return f"{_option(key)}{f' {value}' if value else ''}: {problem.message}"
    path = _shown_key(f"{key}.{within}" if within else key)
    if problem.is_name and origin and key not in values:
        path = f"[{path}]"
    place = (
        line_of(f"{key}.{within}" if within else key, lines) if origin not in ("", OPTIONS, DOTENV) else None
    )
    where = origin if place is None else f"{origin}:{place}"
    return f"{path}{f' = {value}' if value else ''}{f' ({where})' if where else ''}: {problem.message}"


def _fix(problem: JobProblem, origin: str) -> str:
    """What to type."""
    key, meant = problem.key, problem.meant
    option = _OF_KEY.get(key)
    if origin == OPTIONS:
        if problem.is_name:
            return (
                f"--set {meant}=…"
                if meant and meant not in _OF_KEY
                else _OF_KEY[meant].flag
                if meant
                else _ALL_KEYS
            )
        if option is None or not option.metavar:
            return f"--set {key}={meant}" if meant else _ALL_KEYS
        return (
            f"{option.flag} {shlex.quote(meant)}"
            if meant
            else f"{option.flag} {option.metavar}: {option.help}"
        )
    if not meant:
        return _ALL_KEYS
    if problem.is_name:
        return f"write {meant}"
    return f"write {key.rpartition('.')[2]} = {meant if _is_toml(meant) else json.dumps(meant)}"


def _typed(key: str) -> str:
    """How a key is given on the command line."""
    option = _OF_KEY.get(key)
    return f"--set {key}=…" if option is None else f"{option.flag} {option.metavar}".rstrip()


def _is_toml(text: str) -> bool:
    return re.fullmatch(r"-?[\d.]+|true|false", text) is not None


def job_error(
    problems: Iterable[JobProblem],
    values: Mapping[str, Any],
    origins: Mapping[str, str],
    lines: Mapping[str, int] | None = None,
) -> JobError:
    """One error that lists every mistake.

    values, origins: dotted key -> the value given and where (`job.toml`, `IMAGEMILL_LIMITS__RPM`, …). lines: dotted key ->
    line of the job file, for the keys that are its.
    """
    found = list(problems)
    told = [_line(each, values, origins.get(each.key, ""), lines or {}) for each in found]
    if len(told) == 1:
        return JobError(told[0], fix=_fix(found[0], origins.get(found[0].key, "")), mistakes=tuple(told))
    typed = all(origins.get(each.key) == OPTIONS for each in found)
    return JobError(
        f"{len(told)} mistakes in the job:\n" + "\n".join(f"  {line}" for line in told),
        fix="`imagemill run --help` shows what each option takes" if typed else _ALL_KEYS,
        mistakes=tuple(told),
    )
