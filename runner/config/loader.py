"""Reading a job: options over environment over `.env` over the job file, checked as a whole.

`.env` is the file of whoever made the folder, who may be somebody else. So it gives keys and limits, but it chooses no host,
command or file.

Relative paths in a job file (`manifest`, `endpoint.api_key_file`, `endpoint.ca_file`, `simulator.scenario`) are taken
from the job file's folder when they exist there, otherwise from the current folder. `out` is relative to the current
folder, with two exceptions: where only the job file's folder has such an output folder, the job goes on in that one; and
a job.toml that lies in an output folder means that folder, wherever it was moved.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from glob import iglob
from pathlib import Path
from types import NoneType
from typing import Any

from pydantic import ValidationError

from jobs.addresses import is_glob, is_url, with_date
from jobs.dates import day_of
from runner.config.base_urls import checked_base_url, profile_known_by
from runner.config.credentials import dotenv_variables
from runner.config.job_secrets import register_secrets
from runner.config.json_schema import job_json_schema, job_tables, whole_tables
from runner.config.out_folder import dated, out_folder, out_template
from runner.config.problem_report import DOTENV, OPTIONS, JobProblem, job_error
from runner.config.problems import (
    PREFIX,
    dotenv_problems,
    job_problems,
    problems_of,
    setting_problems,
    stray_variables,
    variable_of,
)
from runner.config.toml_lines import lines_of, syntax_error
from runner.config.toml_values import _PARAM, read_setting
from runner.config.toml_writer import job_toml
from runner.process.redaction import REDACTOR
from schemas.errors import JobError
from schemas.job import Job

__all__ = ["job_json_schema", "job_toml", "load_job", "out_folder", "read_out_job", "read_setting"]

LEDGER = "ledger.sqlite"
PATH_KEYS = ("manifest", "endpoint.api_key_file", "endpoint.ca_file", "simulator.scenario")

_LOG = logging.getLogger(__name__)

Settings = dict[str, Any]
"""Dotted key -> value, for one layer."""


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys down to what has a value; below `request.param` the body fields, whatever their names hold."""
    for name, value in table.items():
        key = f"{path}{name}"
        if key.startswith(_PARAM) or key in whole_tables() or not isinstance(value, Mapping):
            yield key, value
        elif value:
            yield from _flat(value, f"{key}.")
        elif key not in (*job_tables(), _PARAM[:-1]):
            yield key, value


def _nested(settings: Settings, problems: Iterable[JobProblem]) -> dict[str, Any]:
    """The tree that pydantic checks, from the keys that are known and have no problem."""
    wrong = {problem.key for problem in problems}
    tree: dict[str, Any] = {}
    for key in (key for key in settings if wrong.isdisjoint((key, key.partition(".")[0]))):
        *tables, leaf = key.split(".", 2)
        node = tree
        for table in tables:
            node = node.setdefault(table, {})
        node[leaf] = settings[key]
    return tree


def _file_layer(path: Path, cwd: Path, day: object = None) -> Settings:
    """What a job file says. day: a setting of `date` that goes before the file's own."""
    shown = REDACTOR.text(str(path))
    try:
        text = (cwd / path).read_text("utf-8-sig")
        settings = dict(_flat(tomllib.loads(text)))
    except FileNotFoundError:
        raise JobError(f"no job file {shown}", fix="name an existing .toml file, or a manifest") from None
    except UnicodeDecodeError as error:
        raise JobError(f"{shown} is not UTF-8 text (byte {error.start})", fix="save it as UTF-8") from None
    except OSError as error:
        raise JobError(f"{shown} cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        line, reason, fix = syntax_error(text, error)
        raise JobError(
            f"{shown}:{line} is not valid TOML: {REDACTOR.text(reason)}", fix=REDACTOR.text(fix)
        ) from None
    out = out_template(settings)
    _fill_date(settings, day)
    folder = path.parent
    is_output = (cwd / folder / LEDGER).is_file()
    for key in PATH_KEYS:
        if isinstance(settings.get(key), str):
            settings[key] = _beside(folder, settings[key], cwd, moved=is_output)
    if is_output:
        settings["out"] = str(folder)
    elif out is not None and out.is_only_in(cwd / folder, cwd):
        settings["out"] = str(folder / out.text)
    return settings


def _lines(path: Path) -> dict[str, int]:
    """Dotted key -> its line in a job file; empty where that cannot be read any more."""
    try:
        return lines_of(path.read_text("utf-8-sig"))
    except (OSError, ValueError):
        return {}


def raw_manifest(path: Path) -> str | None:
    """The manifest as a job file writes it, its `{date}` not filled in; None when it names none, or cannot be read."""
    try:
        manifest = tomllib.loads(path.read_text("utf-8-sig")).get("manifest")
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, str) else None


def _fill_date(settings: Settings, day: object) -> None:
    """The manifest's `{date}`, before the file is looked for. A day that is none is reported with other mistakes."""
    day, manifest = day or settings.get("date"), settings.get("manifest")
    if isinstance(manifest, str) and isinstance(day, (str, date, NoneType)):
        with suppress(ValueError):
            settings["manifest"] = with_date(manifest, day_of(str(day) if day else None, date.today()))


def _beside(folder: Path, source: str, cwd: Path, *, moved: bool) -> str:
    """A path from a job file: from its folder when something is there, otherwise as it stands.

    moved: the folder may have been elsewhere when the path was written; a file of that name in it is then the one.
    """
    if is_url(source):
        return source
    path = folder / Path(source).expanduser()
    if is_glob(source) and not path.is_absolute():
        # Path.glob raises on patterns that it dislikes, such as `**x`.
        there = any(iglob(source, root_dir=cwd / folder, recursive=True))  # noqa: PTH207
        return str(path) if there else source
    if moved and not (cwd / path).exists():
        path = folder / path.name
    return str(path) if (cwd / path).exists() else source


def _variable_layer(variables: Mapping[str, str]) -> Settings:
    """The job's keys among the variables. Empty ones count as not set."""
    if not any(name.upper().startswith(PREFIX) for name in variables):
        return {}
    from runner.config.variables import variable_settings

    texts = _flat(variable_settings(variables))
    return dict(
        _flat({key: read_setting(key, value) if isinstance(value, str) else value for key, value in texts})
    )


def _resolved(layers: Iterable[tuple[str | None, Settings]], file: Path | None = None) -> Job:
    """The job of layers of settings, each over the ones before it; None takes a key back to its default.

    A layer's origin is shown in messages; None: the variable of each key. file: the job file, whose lines are named.
    Raises JobError (exit 2) that lists every mistake at once.
    """
    settings: Settings = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        register_secrets(layer)
        settings |= layer
        origins |= {key: origin or variable_of(key) for key in layer}
    settings = {key: value for key, value in settings.items() if value is not None}
    problems = [*setting_problems(settings, origins), *dotenv_problems(settings, origins)]
    try:
        job = Job.model_validate(_nested(settings, problems))
    except ValidationError as error:
        problems += problems_of(error, settings)
        job = Job.model_validate(_nested(settings, problems))  # what is left of it may hold other mistakes
    problems += job_problems(job)
    if problems:
        raise _listed(problems, settings, origins, file)
    return job


def _listed(
    problems: list[JobProblem], settings: Settings, origins: dict[str, str], file: Path | None
) -> JobError:
    """The error about them. A table that is told as a whole was said where its first key was."""
    for problem in problems:
        inner = (key for key in settings if key.startswith(f"{problem.key}."))
        if problem.key not in origins and (first := next(inner, None)) is not None:
            origins[problem.key] = origins[first]
    return job_error(problems, settings, origins, {} if file is None else _lines(file))


def load_job(
    source: str | None, overrides: Mapping[str, Any], *, environ: Mapping[str, str], cwd: Path
) -> Job:
    """The job named by `source`, with `overrides`, checked as a whole.

    source: a job file (a path that ends in .toml) or a manifest (path, glob, URL); None when `overrides` says all.
    overrides: dotted key -> value, as text or already typed; None counts as not given.
    environ: read for `IMAGEMILL_…`; `.env` in `cwd` comes below it. Variables that look like mistyped keys are logged.

    Raises JobError (exit 2) that lists every mistake at once.
    """
    is_job_file = source is not None and source.lower().endswith(".toml") and not is_url(source)
    dotenv = dotenv_variables(cwd)
    named = {"manifest": source} if source is not None and not is_job_file else {}
    given = {**named, **{key: value for key, value in overrides.items() if value is not None}}
    layers: list[tuple[str | None, Settings]] = [
        (DOTENV, _variable_layer(dotenv)),
        (None, _variable_layer(environ)),
        (OPTIONS, dict(_flat(given))),
    ]
    if source is not None and is_job_file:
        day = next((layer["date"] for _, layer in reversed(layers) if "date" in layer), None)
        layers.insert(0, (source, _file_layer(Path(source), cwd, day)))
    job = _resolved(layers, cwd / source if source is not None and is_job_file else None)
    for stray in stray_variables({**dotenv, **environ}, job.endpoint.api_key_env):
        _LOG.warning("%s", stray)
    if job.retry.on_ambiguous == "retry" and job.retry.ambiguous_budget == 0:
        _LOG.warning("retry.on_ambiguous = retry sends nothing again while retry.ambiguous_budget is 0")
    return dated(_normal(job), date.today())


def _normal(job: Job) -> Job:
    """The base URL in its one spelling, with the profile that is known by it."""
    endpoint = job.endpoint
    if endpoint.base_url is None:
        return job
    url = checked_base_url(endpoint.base_url, allow_http=endpoint.allow_http)
    found = {"base_url": url}
    known = profile_known_by(url)
    if known is not None and "profile" not in endpoint.model_fields_set:
        found["profile"] = known
    return job.model_copy(update={"endpoint": endpoint.model_copy(update=found)})


def read_out_job(out: Path, overrides: Settings | None = None) -> Job:
    """The job recorded in an output folder, whose `out` is that folder even after it was moved.

    overrides: dotted keys that are to differ; None as a value takes a key back to its default.

    Raises JobError (exit 2) when the folder holds no usable job.toml.
    """
    path = out / "job.toml"
    if not path.is_file():
        raise JobError(
            f"{REDACTOR.text(str(out))} is not an output folder of imagemill: it has no job.toml",
            fix="name the folder that `imagemill run` wrote",
        )
    given = dict(_flat(overrides or {}))
    job = _resolved(
        ((REDACTOR.text(str(path)), _file_layer(path, Path()) | {"out": str(out)}), (OPTIONS, given)), path
    )
    return _normal(job) if given else job
