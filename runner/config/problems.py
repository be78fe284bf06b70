"""Mistakes in a job, all of them at once: each with its key, value and place, what is allowed, and the nearest name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from itertools import takewhile
from typing import Any, NamedTuple

from pydantic import ValidationError

from jobs.dates import day_of, deadline_of
from runner.config.credentials import checked_base_url
from runner.config.json_schema import allowed, is_duration, job_keys, job_tables, whole_tables
from runner.config.out_folder import template_fault
from runner.config.toml_writer import toml_value
from runner.process.redaction import REDACTOR
from runner.text.nearest import nearest
from schemas.errors import JobError
from schemas.job import Job, secrecy
from schemas.providers import PROFILES
from schemas.request import FIELDS
from schemas.secrecy import BY_NAME, Secrecy
from schemas.task_dialects import DIALECTS, SYNC

_BARE_NAME = re.compile(r"[A-Za-z0-9_-]+")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_VALUE_CHARS = 80
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMERIC = ("integer", "number")


class Problem(NamedTuple):
    """One mistake: the dotted key and what is wrong with it, ready to show behind the key and its value."""

    key: str
    message: str


def nearest_key(key: str) -> str | None:
    """The key (or table) of the job file that was probably meant by an unknown one, wherever in the tree it stands.

    The same name in another table comes first (`rpm` is `limits.rpm`), then a close name in the same table, then a
    close name anywhere.
    """
    table, _, leaf = key.rpartition(".")
    by_leaf = {known.rpartition(".")[2]: known for known in reversed(job_keys())}
    if table in job_tables():
        siblings = {known.partition(".")[2]: known for known in job_keys() if known.startswith(f"{table}.")}
        close = nearest(leaf, siblings)
        if close is not None:
            return siblings[close]
    if leaf in by_leaf:
        return _same_name(leaf, table)
    whole = nearest(key, [*job_keys(), *job_tables()])
    close = nearest(leaf, by_leaf)
    return whole or (by_leaf[close] if close is not None else None)


def _same_name(leaf: str, table: str) -> str:
    """Of the keys with this name, the one whose table is closest to the one that was written."""
    same = [known for known in job_keys() if known.rpartition(".")[2] == leaf]
    return nearest(f"{table}.{leaf}", same) or same[0]


def shown(key: str, value: Any) -> str:
    """The value of a setting for a message: as TOML, short, on one line, and never one that may be a secret."""
    if secrecy(key) is not Secrecy.OPEN:
        return "(value not shown)"
    if isinstance(value, Mapping):
        return "(a table)"
    text = REDACTOR.text(value if isinstance(value, str) else toml_value(value))
    text = text if len(text) <= _MAX_VALUE_CHARS else f"{text[:_MAX_VALUE_CHARS]}…"
    return f'"{text}"' if isinstance(value, str) else text


def problems_of(error: ValidationError) -> Iterator[Problem]:
    """pydantic's findings in our words. A place below a key (a list's item) belongs to that key."""
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        place = [str(part) for part in item["loc"]]
        key = ".".join(place[:2]) if place[0] in job_tables() else place[0]
        if key in whole_tables() and len(place) > 2:
            yield Problem(key, f"{'.'.join(place[2:])}: {item['msg']}")
        else:
            yield Problem(key, f"must be {allowed(job_keys()[key])}")


def setting_problems(settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Unknown keys, and what pydantic would pass: `true` for a number, text that is no Unicode."""
    for key, value in settings.items():
        leaf = job_keys().get(key)
        if key in job_tables():
            yield Problem(key, f"must be a table, [{key}]")
        elif leaf is None and not key.startswith("request.param."):
            near = nearest_key(key)
            kind = "unknown table" if isinstance(value, Mapping) else "unknown key"
            yield Problem(key, kind + (f"; did you mean {near}?" if near is not None else ""))
        elif (
            leaf is not None
            and isinstance(value, bool)
            and (leaf.get("type") in _NUMERIC or is_duration(leaf))
        ):
            yield Problem(key, f"must be {allowed(leaf)}")
        elif isinstance(value, str) and _SURROGATE.search(value):
            yield Problem(key, "is not Unicode text (a file name in another encoding?)")


def job_problems(job: Job) -> Iterator[Problem]:
    """Mistakes in values whose types are right."""
    endpoint = job.endpoint
    if endpoint.profile not in PROFILES:
        near = nearest(endpoint.profile, PROFILES)
        hint = f"; did you mean {near}?" if near is not None else ""
        yield Problem("endpoint.profile", f"unknown profile, known are {', '.join(PROFILES)}{hint}")
    if endpoint.dialect not in (*DIALECTS, SYNC):
        near = nearest(endpoint.dialect, (*DIALECTS, SYNC))
        hint = f"; did you mean {near}?" if near is not None else ""
        yield Problem("endpoint.dialect", f"unknown dialect, known are {', '.join((*DIALECTS, SYNC))}{hint}")
    if endpoint.task is not None and "{id}" not in (endpoint.task.poll_path or "{id}"):
        yield Problem("endpoint.task.poll_path", "must hold {id}, where the task's id goes")
    if endpoint.base_url is not None:
        try:
            checked_base_url(endpoint.base_url, allow_http=endpoint.allow_http)
        except ValueError as reason:
            yield Problem("endpoint.base_url", str(reason))
    if endpoint.api_key_env is not None and _VARIABLE_NAME.fullmatch(endpoint.api_key_env) is None:
        yield Problem("endpoint.api_key_env", "must be the NAME of a variable, not the key itself")
    fault = template_fault(job.out)
    if fault is not None:
        yield Problem("out", fault)
    yield from _time_problems(job)
    yield from _param_problems(job.request.param)


def _time_problems(job: Job) -> Iterator[Problem]:
    try:
        day_of(job.date, date.max)
    except ValueError:
        yield Problem("date", "must be a day such as 2026-11-21, or today or yesterday")
    try:
        deadline_of(job.run.deadline or "00:00", datetime.min)
    except ValueError:
        yield Problem(
            "run.deadline", "must be a time such as 06:00, or a date and time such as 2026-11-21T06:00"
        )
    url = job.run.ping_url
    if url is not None and not url.startswith((BY_NAME, "https://", "http://")):
        yield Problem("run.ping_url", "must begin with https:// or http://, or be env:NAME")


def _param_problems(params: Mapping[str, Any]) -> Iterator[Problem]:
    for name, value in params.items():
        key = f"request.param.{name}"
        if name == "prompt":
            yield Problem(key, "the prompt comes from the manifest")
        elif name in FIELDS:
            yield Problem(key, f"has a key of its own: request.{name}")
        elif name == "stream" and value is True:
            yield Problem(key, "must be false: an answer that is streamed would be paid for and not be read")
        elif not _is_json(value):
            yield Problem(key, "must be text, a finite number, true or false, a list or a table")


def _is_json(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_json, value))
    return isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))


def _shown_key(key: str) -> str:
    """A dotted key for a message, up to a name that TOML would have to quote: that may be a value gone astray."""
    names = key.split(".")
    bare = list(takewhile(_BARE_NAME.fullmatch, names))
    return REDACTOR.text(".".join(bare if bare == names else [*bare, "(name not shown)"]))


def job_error(problems: Iterable[Problem], values: Mapping[str, Any], origins: Mapping[str, str]) -> JobError:
    """One error that lists every mistake.

    values, origins: dotted key -> the value given and where (`job.toml`, `IMAGEMILL_LIMITS__RPM`, …).
    """
    lines = []
    for problem in problems:
        origin = origins.get(problem.key, "")
        known = problem.key in job_keys() or secrecy(problem.key) is Secrecy.OPEN
        value = f" = {shown(problem.key, values[problem.key])}" if known and problem.key in values else ""
        lines.append(f"{_shown_key(problem.key)}{value}{f' ({origin})' if origin else ''}: {problem.message}")
    fix = "`imagemill schema job` lists every key"
    if len(lines) == 1:
        return JobError(lines[0], fix=fix)
    return JobError(
        f"{len(lines)} mistakes in the job:\n" + "\n".join(f"  {line}" for line in lines), fix=fix
    )
