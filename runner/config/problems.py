"""Mistakes in a job, all of them at once: each with its key, value and origin, what is allowed, and the nearest name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError

from jobs.dates import day_of, deadline_of
from runner.config.base_urls import BaseUrlFault, checked_base_url
from runner.config.endpoint_problems import endpoint_problems
from runner.config.json_schema import (
    allowed,
    is_duration,
    job_keys,
    job_tables,
    meant_value,
    node_at,
    whole_tables,
)
from runner.config.out_folder import mended_template, template_fault
from runner.config.problem_report import DOTENV, OPTIONS, JobProblem
from runner.text.nearest import nearest
from schemas.errors import JobError
from schemas.job import Job, chooses_outside
from schemas.providers import PROFILES
from schemas.request import FIELDS
from schemas.secrecy import BY_NAME
from schemas.task_dialects import DIALECTS, SYNC

_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
PREFIX = "IMAGEMILL_"
"""How the variables of the environment begin that set keys."""
_KEY_VARIABLES = ("_KEY", "_TOKEN", "_SECRET")
_NUMERIC = ("integer", "number")


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


def did_you_mean(near: str | None) -> str:
    """The end of a message about an unknown name."""
    return "" if near is None else f"; did you mean {near}?"


def problems_of(error: ValidationError, values: Mapping[str, Any] | None = None) -> Iterator[JobProblem]:
    """pydantic's errors in our words. An error below a key (in a list's item) is reported for that key.

    values: dotted key -> the value given.
    """
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        path = [str(part) for part in item["loc"]]
        key = ".".join(path[:2]) if path[0] in job_tables() else path[0]
        if key in whole_tables() and len(path) > 2:
            yield _problem_within(key, path[2:], unknown=item["type"] == "extra_forbidden")
        else:
            leaf = job_keys()[key]
            yield JobProblem(key, f"must be {allowed(leaf)}", meant_value(leaf, (values or {}).get(key)))


def _problem_within(key: str, path: list[str], *, unknown: bool) -> JobProblem:
    """A mistake in a table that is set as a whole: `endpoint.prices`, `endpoint.task`."""
    *inner, name = path
    within = ".".join(path)
    if unknown:
        near = nearest(name, node_at(key, inner).get("properties", {}))
        return JobProblem(key, "unknown key" + did_you_mean(near), near or "", within, is_name=True)
    node = node_at(key, path)
    if not node:  # an item of a list, which only has a description as a whole
        return JobProblem(key, f"must be {allowed(node_at(key, inner))}", within=".".join(inner))
    return JobProblem(key, f"must be {allowed(node)}", within=within)


def setting_problems(
    settings: Mapping[str, Any], origins: Mapping[str, str] | None = None
) -> Iterator[JobProblem]:
    """Unknown tables and keys, and what pydantic would pass: `true` for a number, text that is no Unicode.

    origins: dotted key -> where it was said; of a job file an unknown table is told once, whatever is in it.
    """
    tables: set[str] = set()
    for key, value in settings.items():
        leaf = job_keys().get(key)
        table = _unknown_table(key, (origins or {}).get(key, OPTIONS))
        if table is not None:
            if table not in tables:
                tables.add(table)
                near = nearest(table, job_tables())
                hint = f"; did you mean [{near}]?" if near else did_you_mean(nearest_key(key))
                yield JobProblem(table, f"unknown table{hint}", f"[{near}]" if near else "", is_name=True)
        elif key in job_tables() or key == "request.param":
            yield JobProblem(key, f"must be a table, [{key}]")
        elif leaf is None and not key.startswith("request.param."):
            kind = "unknown table" if isinstance(value, Mapping) else "unknown key"
            near = nearest_key(key)
            yield JobProblem(key, kind + did_you_mean(near), near or "", is_name=True)
        elif (
            leaf is not None
            and isinstance(value, bool)
            and (leaf.get("type") in _NUMERIC or is_duration(leaf))
        ):
            yield JobProblem(key, f"must be {allowed(leaf)}")
        elif isinstance(value, str) and _SURROGATE.search(value):
            yield JobProblem(key, "is not Unicode text (a file name in another encoding?)")


def _unknown_table(key: str, origin: str) -> str | None:
    """The table of a key of a job file that has no such table."""
    table, mark, _ = key.partition(".")
    is_of_file = origin not in (OPTIONS, DOTENV) and not origin.startswith(PREFIX)
    return table if mark and is_of_file and table not in (*job_tables(), *job_keys()) else None


def dotenv_problems(settings: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[JobProblem]:
    """Settings that `.env` may not make, because a folder of somebody else's may hold one."""
    for key in settings:
        if origins[key] == DOTENV and key in job_keys() and chooses_outside(key):
            yield JobProblem(
                key,
                "a file .env gives keys and limits, and chooses no host, command or file; "
                f"export {variable_of(key)}, or say it by an option or in a job file",
            )


def variable_of(key: str) -> str:
    """The environment variable that sets a key."""
    return PREFIX + key.upper().replace(".", "__")


def stray_variables(variables: Mapping[str, str], key_variable: object) -> Iterator[str]:
    """What is said of `IMAGEMILL_…` variables that set nothing. key_variable: the name of the one that holds the key.

    Raises JobError (exit 2) for one that is close to a key of a table: whoever set it relies on it.
    """
    for name in variables:
        own = (
            name.upper().startswith(PREFIX)
            and name != key_variable
            and not name.upper().endswith(_KEY_VARIABLES)
        )
        key = name[len(PREFIX) :].lower().replace("__", ".")
        if not own or key.partition(".")[0] in (*job_tables(), *job_keys()):
            continue
        near = nearest_key(key)
        told = f"environment variable {name} sets no key of the job"
        if near is not None and "." in key:
            meant = variable_of(near)
            raise JobError(told + did_you_mean(meant), fix=f"unset {name}; export {meant}=…")
        yield f"{told} and is ignored{did_you_mean(near and variable_of(near))}"


def job_problems(job: Job) -> Iterator[JobProblem]:
    """Mistakes in values whose types are right."""
    endpoint = job.endpoint
    for leaf, known in (("profile", tuple(PROFILES)), ("dialect", (*DIALECTS, SYNC))):
        name = getattr(endpoint, leaf)
        if name not in known:
            listed = f"unknown {leaf}, known are {', '.join(known)}"
            near = nearest(name, known)
            yield JobProblem(f"endpoint.{leaf}", listed + did_you_mean(near), near or "")
    for key, fault in endpoint_problems(endpoint):
        yield JobProblem(key, fault)
    if endpoint.base_url is not None:
        try:
            checked_base_url(endpoint.base_url, allow_http=endpoint.allow_http)
        except BaseUrlFault as fault:
            yield JobProblem("endpoint.base_url", str(fault), fault.suggestion)
    if endpoint.api_key_env is not None and _VARIABLE_NAME.fullmatch(endpoint.api_key_env) is None:
        yield JobProblem("endpoint.api_key_env", "must be the NAME of a variable, not the key itself")
    if (wrong := template_fault(job.out)) is not None:
        yield JobProblem("out", wrong, mended_template(job.out))
    yield from _time_problems(job)
    yield from _param_problems(job.request.param)


def _time_problems(job: Job) -> Iterator[JobProblem]:
    try:
        day_of(job.date, date.max)
    except ValueError:
        yield JobProblem("date", "must be a day such as 2026-11-21, or today or yesterday", "yesterday")
    try:
        deadline_of(job.run.deadline or "00:00", datetime.min)
    except ValueError:
        yield JobProblem(
            "run.deadline",
            "must be a time such as 06:00, or a date and time such as 2026-11-21T06:00",
            "06:00",
        )
    url = job.run.ping_url
    if url is not None and not url.startswith((BY_NAME, "https://", "http://")):
        yield JobProblem("run.ping_url", "must begin with https:// or http://, or be env:NAME")


def _param_problems(params: Mapping[str, Any]) -> Iterator[JobProblem]:
    for name, value in params.items():
        key = f"request.param.{name}"
        if name == "prompt":
            yield JobProblem(key, "the prompt comes from the manifest")
        elif name in FIELDS:
            yield JobProblem(key, f"has a key of its own: request.{name}")
        elif name == "stream" and value is True:
            yield JobProblem(
                key, "must be false: an answer that is streamed would be paid for and not be read"
            )
        elif not _is_json(value):
            yield JobProblem(key, "must be text, a finite number, true or false, a list or a table")


def _is_json(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_json, value))
    return isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))
