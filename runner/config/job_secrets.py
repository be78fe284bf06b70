"""Secrets among a job's settings: hidden wherever they show, kept in no file, and never the key in place of a field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from runner.process.redaction import REDACTOR, Redactor
from schemas.errors import JobError
from schemas.job import secrecy
from schemas.secrecy import BY_NAME, Secrecy
from schemas.secret_names import NOT_KEPT, secret_texts

if TYPE_CHECKING:
    from schemas.job import Job

BODY_SETTINGS = ("request.param", "endpoint.task")
"""Settings whose values go into the body or the query of a request, under names that the user chooses."""


def register_secrets(settings: Mapping[str, Any]) -> None:
    """Hide secret settings wherever they show, before they are checked: they may be of any form.

    settings: dotted key -> value, as written.
    """
    for key, value in settings.items():
        if secrecy(key) is Secrecy.SECRET:
            for text in _texts(value):
                if not text.startswith(BY_NAME):
                    REDACTOR.register_url(text)
        elif key.startswith(BODY_SETTINGS):
            for text in secret_texts(value, key.rpartition(".")[2]):
                if text != NOT_KEPT:
                    REDACTOR.register(text)


def check_secrets(job: Job, key: str) -> None:
    """See that the job can be sent, and kept without secrets.

    Raises JobError (exit 2) where the key itself would be sent as a field of the body, and so stand in OUT/job.toml and
    the ledger, and where a secret that job.toml does not keep is to be given again.
    """
    task = job.endpoint.task
    sent = {"request.param": job.request.param}
    if task is not None:
        sent |= {
            "endpoint.task.submit_body": task.submit_body,
            "endpoint.task.submit_query": task.submit_query,
        }
    redactor = Redactor()
    redactor.register(key)
    for setting, fields in sent.items():
        for name, value in fields.items():
            text = json.dumps(value, ensure_ascii=False)
            if redactor.keys(text) != text or redactor.keys(name) != name:
                raise JobError(
                    f"{setting} holds the API key (its name is not shown), which would stand in OUT/job.toml and the ledger",
                    fix="leave it out: the key goes with each request in the header that endpoint.key_header names",
                )
            if NOT_KEPT in text:
                raise JobError(
                    f"{setting}.{name} is a secret, and job.toml does not keep it",
                    fix=f"give it again, as by --param {name}=…, or run the job file or command that gave it first",
                )


def refuse_unkept(command: str) -> None:
    """Raises JobError (exit 2) where job.toml has left the command out that prints the key."""
    if command == NOT_KEPT:
        raise JobError(
            "endpoint.api_key_command holds a secret, and job.toml does not keep it",
            fix="run the job file that gave it first; or let the command read its secret from a file or a variable",
        )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield name
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
