"""How a job is written: TOML values and OUT/job.toml, and the output folder's name from its template."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from jobs.addresses import is_url
from runner.config.json_schema import job_keys
from runner.process.redaction import REDACTOR
from schemas.job import Job, secrecy
from schemas.secrecy import BY_NAME, Secrecy

_HEADER = "# The resolved job of this folder, written by imagemill. It holds no secrets.\n"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_value(value: Any) -> str:
    """One TOML value, on one line, from text, a number, true/false, a list or a table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml_key(key)} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return str(value)


def _toml_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)


def job_toml(job: Job) -> str:
    """OUT/job.toml: manifest, out, simulate and every setting that is not the default, without secrets.

    A local manifest, scenario or key file is written as an absolute path, so the folder can be used from anywhere; a
    URL loses its query; what is secret (`schemas.job.Secrecy`) is left out. The same job gives the same text.
    """
    lines = [_HEADER]
    written = dict(_settings(job))
    for key in ("manifest", "out", "date", "simulate"):
        if key in written:
            lines.append(f"{key} = {written.pop(key)}\n")
    table = ""
    for key, text in written.items():
        name, _, leaf = key.partition(".")
        if name != table:
            table = name
            lines.append(f"\n[{table}]\n")
        lines.append(f"{leaf} = {text}\n")
    return "".join(lines)


def _settings(job: Job) -> Iterator[tuple[str, str]]:
    """Dotted key and TOML value of everything that job.toml holds."""
    for key in job_keys():
        table, _, leaf = key.rpartition(".")
        owner = getattr(job, table) if table else job
        value = getattr(owner, leaf)
        always = key in ("manifest", "out", "simulate") or (
            key == "endpoint.profile" and leaf in owner.model_fields_set
        )
        if value is None or (
            value == type(owner).model_fields[leaf].get_default(call_default_factory=True) and not always
        ):
            continue
        if key in ("manifest", "simulator.scenario", "endpoint.api_key_file", "run.metrics_file"):
            value = _portable(value)
        value = _without_secrets(secrecy(key), value)
        if value is None:
            continue
        if isinstance(value, BaseModel):
            value = value.model_dump(exclude_defaults=True)
        yield key, toml_value(value)


def _without_secrets(kind: Secrecy, value: Any) -> Any:
    """What of a setting job.toml may hold; None: nothing."""
    if kind is Secrecy.SECRET:
        named = [text for text in ([value] if isinstance(value, str) else value) if text.startswith(BY_NAME)]
        return (named[0] if isinstance(value, str) else named) if named else None
    hidden = kind is Secrecy.PRIVATE and isinstance(value, str) and REDACTOR.hide(value) != value
    return None if hidden else value


def _portable(source: str) -> str:
    return source.partition("?")[0] if is_url(source) else str(Path(source).absolute())
