"""OUT/job.toml: how a job is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w

from jobs.addresses import is_url
from runner.config.job_secrets import BODY_SETTINGS
from runner.config.json_schema import job_keys
from runner.process.redaction import REDACTOR
from schemas.job import Job, secrecy
from schemas.output_folder import JOB_HEADER
from schemas.secrecy import BY_NAME, Secrecy
from schemas.secret_names import NOT_KEPT, commands_secret, without_secrets

_PATHS = (
    "manifest",
    "simulator.scenario",
    "endpoint.api_key_file",
    "endpoint.ca_file",
    "run.metrics_file",
)


_OF_ONE_COMMAND = frozenset(
    {
        *("output.progress", "output.log_format", "run.wait_lock", "run.deadline", "run.max_duration"),
        "run.new_endpoint",
    }
)
"""How one command shows itself, how long it may take, and what it is allowed: the next one on the folder may be at a
terminal, or at night."""


def job_toml(job: Job) -> str:
    """OUT/job.toml: manifest, out, simulate and every setting that is not the default, without secrets.

    What is of one command only is left out.

    A local manifest, scenario or key file is written as an absolute path, so the folder can be used from anywhere; a
    URL loses its query; what is secret (`schemas.job.Secrecy`) is left out, and so is what has the name of a secret among
    the body's fields. The same job gives the same text.
    """
    document: dict[str, Any] = {}
    for key in (each for each in job_keys() if each not in _OF_ONE_COMMAND):
        table, _, leaf = key.rpartition(".")
        owner = getattr(job, table) if table else job
        always = key in ("manifest", "out", "simulate") or (
            key == "endpoint.profile" and leaf in owner.model_fields_set
        )
        chosen = owner.model_dump(include={leaf}, exclude_defaults=not always)
        value = _kept(key, chosen.get(leaf))
        if value is not None:
            (document.setdefault(table, {}) if table else document)[leaf] = value
    return JOB_HEADER + tomli_w.dumps(document)


def settings_in_force(job: Job) -> dict[str, Any]:
    """Every setting of the job by its dotted key, defaults too, without secrets; those that are not set are left out."""
    found: dict[str, Any] = {}
    for key in job_keys():
        table, _, leaf = key.rpartition(".")
        owner = getattr(job, table) if table else job
        value = _kept(key, owner.model_dump(include={leaf}).get(leaf))
        if value is not None:
            found[key] = value
    return found


def _kept(key: str, value: Any) -> Any:
    """What of a setting job.toml may hold; None: nothing."""
    if value is None:
        return None
    if key in _PATHS:
        value = _portable(value)
    kind = secrecy(key)
    if kind is Secrecy.SECRET:
        named = [text for text in ([value] if isinstance(value, str) else value) if text.startswith(BY_NAME)]
        return (named[0] if isinstance(value, str) else named) if named else None
    hidden = kind is Secrecy.PRIVATE and isinstance(value, str) and REDACTOR.hide(value) != value
    if key == "endpoint.api_key_command":
        return NOT_KEPT if hidden or commands_secret(value) else value
    if hidden:
        return None
    return without_secrets(value) if key in BODY_SETTINGS else value


def may_hold_secrets(job: Job) -> bool:
    """Whether secrets may stand in OUT/job.toml under names that do not tell."""
    endpoint = job.endpoint
    return bool(job.request.param or endpoint.api_key_command or endpoint.task)


def _portable(source: str) -> str:
    return source.partition("?")[0] if is_url(source) else str(Path(source).absolute())
