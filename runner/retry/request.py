"""The request for a retry: job settings that differ, overrides of request fields, and its record in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from jobs.overrides import FIXED, PROMPT, Overrides, Template, TemplateError, template
from jobs.selection import RetrySelection
from runner.config.json_schema import job_keys
from runner.config.toml_values import read_setting
from runner.process.redaction import HIDDEN, REDACTOR
from runner.results.picks import Picks
from schemas.durations import parse_duration
from schemas.errors import JobError
from schemas.job import secrecy
from schemas.request import FIELDS
from schemas.secrecy import Secrecy
from schemas.secret_names import names_secret, without_secrets

_REQUEST = "request."
_PARAM = "param."
_NOT_ITS_OWN = ("manifest", "out", "simulate", "columns", "input")
_OF_A_RUN = ("run.metrics_file", "run.ping_url", "run.carry_over", "notify.urls", "notify.on")
_KEPT_OF_ENDPOINT = (
    "endpoint.timeout",
    "endpoint.task_timeout",
    "endpoint.fetch_timeout",
    "endpoint.poll_every",
)
_SERVICE_KEYS = ("endpoint.base_url", "endpoint.profile")


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """One call of `retry`. settings: job keys that differ, for this run only. yes: a success may be paid for again.

    typed: the selection as it was typed, for the ledger. picks: which images were picked; None: they play no part.
    """

    selection: RetrySelection = field(default_factory=RetrySelection)
    overrides: Overrides = field(default_factory=Overrides)
    settings: Mapping[str, Any] = field(default_factory=dict)
    yes: bool = False
    typed: Mapping[str, Any] = field(default_factory=dict)
    picks: Picks | None = None

    @property
    def pays_again(self) -> bool:
        """Whether images that are there may be paid for again. An expression over picks says which, and is consent."""
        return self.yes or (self.picks is not None and self.selection.where is not None)

    @property
    def other_endpoint(self) -> bool:
        """Whether another service is named."""
        return any(self.settings.get(key) is not None for key in _SERVICE_KEYS)

    def command(self, *, other_endpoint: bool) -> str:
        """The request as the ledger records it: JSON without secrets. other_endpoint: it goes to another service."""
        changed = {name: _shown(value) for name, value in self.overrides.fields}
        changed |= {
            f"{_PARAM}{name}": HIDDEN if names_secret(name) else _shown(value)
            for name, value in self.overrides.params
        }
        settings = {
            key: without_secrets(value, key)
            if key.startswith(_REQUEST) or secrecy(key) is Secrecy.OPEN
            else HIDDEN
            for key, value in self.settings.items()
            if value is not None
        }
        record = {
            "command": "retry",
            "select": dict(self.typed),
            "set": changed,
            "settings": settings,
            "elsewhere": other_endpoint,
        }
        return json.dumps(_hidden({key: value for key, value in record.items() if value}), ensure_ascii=True)


def _shown(value: Template) -> str:
    escaped = [text.replace("{", "{{").replace("}", "}}") for text in value.texts]
    names = [f"{{{name}}}" for name in value.columns]
    return escaped[0] + "".join(name + text for name, text in zip(names, escaped[1:], strict=True))


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return REDACTOR.hide(value).encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {key: _hidden(item) for key, item in value.items()}
    return [_hidden(item) for item in value] if isinstance(value, list | tuple) else value


def parse_overrides(
    pairs: Iterable[tuple[str, str]], params: Iterable[tuple[str, str]], given: Mapping[str, Any]
) -> tuple[Overrides, dict[str, Any]]:
    """Request overrides, and job keys that differ, from `--set`, `--param` and the options with a job key of their own.

    Raises JobError for a field or template that is none, and for what a retry leaves to the folder's job.
    """
    fields: dict[str, Template] = {}
    others: dict[str, Template] = {}
    settings: dict[str, Any] = {}
    for key, text in pairs:
        name = key.removeprefix(_REQUEST)
        if name.startswith(_PARAM):
            value = read_setting(_REQUEST + name, text)
            param = _template(key, value) if isinstance(value, str) else None
            if param is not None and param.columns:
                others[name.removeprefix(_PARAM)] = param
            else:
                settings[_REQUEST + name] = param.texts[0] if param is not None else value
        elif name in (PROMPT, *FIELDS):
            fields[name] = _template(key, read_setting(_REQUEST + name, text))
        else:
            settings[_job_key(key)] = read_setting(key, text)
    settings |= {f"{_REQUEST}{_PARAM}{name}": read_setting(_REQUEST + _PARAM, text) for name, text in params}
    for key, value in given.items():
        if key.startswith(_REQUEST):
            fields[key.removeprefix(_REQUEST)] = Template((str(value),))
        else:
            settings[key] = value
    for name in FIXED:
        if name in fields:
            raise JobError(
                f"{name} cannot be changed by a retry: a row has as many images as the manifest says",
                fix=f"change {name} in the manifest and run it; that makes new rows",
            )
    return Overrides(tuple(fields.items()), tuple(others.items())), settings | _other_endpoint_settings(
        settings
    )


def _template(key: str, value: Any) -> Template:
    if not isinstance(value, str):
        raise JobError(f"--set {key}: takes a text, not {value!r}", fix="put the text in quotes")
    try:
        return template(value)
    except TemplateError as error:
        raise JobError(
            f"--set {key}: {error}", fix="write it like: --set prompt='{prompt}, watercolour'"
        ) from None


def _job_key(key: str) -> str:
    table, dot, _ = key.partition(".")
    if table in _NOT_ITS_OWN:
        raise JobError(
            f"--set {key}: a retry takes the folder's own manifest and output", fix="leave it out, or use run"
        )
    if key == "run.on_change":
        raise JobError(
            f"--set {key}: a retry does with edited rows as the folder's job says",
            fix="run it with --on-change first, which the folder's job keeps",
        )
    if key in _OF_A_RUN:
        raise JobError(f"--set {key}: only a run does that, not a retry", fix="leave it out")
    if not dot:
        near = get_close_matches(key, (PROMPT, *FIELDS), 1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise JobError(
            f"--set {key}: no field of a request{hint}",
            fix=f"the fields are {', '.join((PROMPT, *FIELDS))}; any other is --param {key}=…, a job key has a dot",
        )
    return key


def _other_endpoint_settings(settings: Mapping[str, Any]) -> dict[str, None]:
    """Resets the folder's own endpoint settings for another service: key and dialect of the one are not for the other."""
    if not any(key in settings for key in _SERVICE_KEYS):
        return {}
    keys = (key for key in job_keys() if key.startswith("endpoint.") and key not in _KEPT_OF_ENDPOINT)
    return {key: None for key in keys if key not in settings}


def since(text: str, now: datetime) -> int:
    """Unix milliseconds of `2h`, `1d`, a date or a date and time (without a zone: of this machine). Raises JobError."""
    stripped = text.strip()
    if stripped[-1:].isalpha() and not stripped.endswith(("Z", "z")):
        try:
            return int((now - timedelta(seconds=float(parse_duration(stripped)))).timestamp() * 1000)
        except (ValueError, OverflowError):
            pass
    try:
        return int(datetime.fromisoformat(stripped).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise JobError(
            f"--since {text!r} is neither an age nor a time",
            fix="write 2h, 1d, 2026-11-22 or 2026-11-22T02:00",
        ) from None
