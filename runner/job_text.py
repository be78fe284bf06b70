"""How a job is written: TOML values and OUT/job.toml, and the output folder's name from its template."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from jobs.days import day_of
from runner.job_schema import job_keys
from runner.redaction import REDACTOR
from schemas.exit_codes import JobError
from schemas.job import Job

PLACEHOLDERS = ("date", "manifest_stem", "run_id")
BY_NAME = "env:"
"""How the value of a notify or ping URL begins that names the environment variable which holds it."""

_HEADER = "# The resolved job of this folder, written by imagemill. It holds no secrets.\n"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PLACEHOLDER = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")
_DATE = re.compile(r"\{date(?::([^{}]*))?\}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_GLOB = re.compile(r"[*?\[]")
_COMPRESSED = (".gz", ".zst", ".zstd")
_MAX_STEM_CHARS = 80


def is_url(source: str) -> bool:
    """Whether a manifest source is a URL, not a path."""
    return _URL.match(source) is not None


def is_glob(source: str) -> bool:
    """Whether a manifest source is a pattern over paths."""
    return _GLOB.search(source) is not None and not is_url(source)


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
    URL loses its query; an `api_key_command` that holds a secret is left out, and so are notify and ping URLs, which
    are secrets, unless they are named (`env:NAME`). The same job gives the same text.
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
        elif key == "endpoint.api_key_command" and REDACTOR.hide(value) != value:
            continue
        elif key == "notify.urls":
            value = [url for url in value if url.startswith(BY_NAME)]
            if not value:
                continue
        elif key == "run.ping_url" and not value.startswith(BY_NAME):
            continue
        if isinstance(value, BaseModel):
            value = value.model_dump(exclude_defaults=True)
        yield key, toml_value(value)


def _portable(source: str) -> str:
    return source.partition("?")[0] if is_url(source) else str(Path(source).absolute())


def manifest_stem(manifest: str | None) -> str:
    """The manifest's name as part of a folder's name.

    `prompts.csv.gz` gives `prompts`; a folder its name; a glob the name of the folder that it searches; a URL its last
    path part; a DataFrame (None) `manifest`.
    """
    if manifest is None:
        return "manifest"
    path = Path(unquote(urlsplit(manifest).path) if is_url(manifest) else manifest)
    name = path.name
    if is_glob(manifest):
        fixed = [part for part in path.parent.parts if not is_glob(part)]
        name = fixed[-1] if fixed and fixed[-1] not in ("/", ".", "..") else path.name
    elif not manifest.endswith("/") and not path.is_dir():
        name = Path(name).stem if path.suffix.lower() in _COMPRESSED else name
        name = Path(name).stem
    return re.sub(r"[^\w.-]+", "_", name).strip("._")[:_MAX_STEM_CHARS] or "manifest"


def template_fault(template: str) -> str | None:
    """What is wrong with an output template; None when nothing is."""
    if not template.strip():
        return "is empty"
    for name, form in _PLACEHOLDER.findall(template):
        if name not in PLACEHOLDERS:
            near = get_close_matches(name, PLACEHOLDERS, 1)
            hint = f"; did you mean {{{near[0]}}}?" if near else ""
            return (
                f"has an unknown placeholder {{{name}}}{hint} Known: {{date}}, {{manifest_stem}}, {{run_id}}"
            )
        if form and name != "date":
            return f"gives {{{name}}} a format; only {{date:…}} takes one"
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        return "has a brace without its partner"
    return None


def with_date(template: str, day: date) -> str:
    """The text with `{date}` and `{date:%Y-%m-%d}` filled in; other braces stand as they are."""
    return _DATE.sub(lambda match: day.strftime(match[1] or "%Y-%m-%d"), template)


def has_date(template: str | None) -> bool:
    """Whether the text holds `{date}` or `{date:…}`."""
    return template is not None and _DATE.search(template) is not None


def dated(job: Job, today: date) -> Job:
    """The job of one day: `{date}` filled in in its manifest, `date` that day. A job without `{date}` has no date."""
    if not (has_date(job.out) or has_date(job.manifest)):
        return job.model_copy(update={"date": None})
    day = day_of(job.date, today)
    manifest = None if job.manifest is None else with_date(job.manifest, day)
    return job.model_copy(update={"date": day.isoformat(), "manifest": manifest})


def out_folder(job: Job, *, today: date, run_id: str) -> Path:
    """The output folder: `job.out` with `{date}` (or `{date:%Y-%m-%d}`), `{manifest_stem}` and `{run_id}` filled in.

    A relative folder is relative to the current one. Raises JobError for any other placeholder.
    """
    fault = template_fault(job.out)
    if fault is not None:
        raise JobError(f"out = {toml_value(REDACTOR.text(job.out))} {fault}")

    def filled(match: re.Match[str]) -> str:
        if match[1] == "date":
            return day_of(job.date, today).strftime(match[2] or "%Y-%m-%d")
        return run_id if match[1] == "run_id" else manifest_stem(job.manifest)

    return Path(_PLACEHOLDER.sub(filled, job.out)).expanduser()
