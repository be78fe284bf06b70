"""`imagemill doctor --explain`: what imagemill understands of a saved answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.classify import read_error, refused
from runner.doctor.checks import Check, Level
from runner.http.image_body import Lifter
from runner.http.messages import Body
from runner.providers import image_answers, task_documents
from runner.providers.polling import poll_places
from runner.text.wording import count_text
from schemas.errors import ExitCode, JobError
from schemas.failures import Billed, Failure
from schemas.task_dialects import TaskDialect

_MOST_BYTES = 512 * 2**20


def explain(path: Path, dialect: TaskDialect) -> Iterator[Check]:
    """What the answer in this file means, read as the service's answer under 200. Raises JobError (exit 2)."""
    body = _body(path)
    try:
        document = body.document()
    except ValueError as error:
        kept = "kept in quarantine/, the row failed as bad_content"
        yield Check("document", Level.FAIL, f"not JSON ({str(error)[:100]}): {kept}", ExitCode.USAGE)
        return
    images = count_text(len(body.images), "image")
    yield Check("document", Level.OK, f"JSON, {body.size:,} bytes, {images} in base64 within")
    yield _dialect(dialect)
    words = task_documents.words(document, dialect)
    if words:
        yield Check("status", Level.OK, f"{', '.join(words)}: {_meaning(document, dialect)}")
    yield _outcome(document, body, dialect)
    yield _reported(document)


def _body(path: Path) -> Body:
    lifter = Lifter(_MOST_BYTES)
    try:
        with path.open("rb") as file:
            while chunk := file.read(2**18):
                lifter.feed(chunk)
    except OSError as error:
        raise JobError(
            f"{path} cannot be read: {error.strerror}", fix="name a file with a saved answer"
        ) from None
    return lifter.finish()


def _dialect(dialect: TaskDialect) -> Check:
    switch = [f"{name}={value}" for name, value in (*dialect.submit_query, *dialect.submit_body)]
    told = f" with {', '.join(switch)}" if switch else ""
    return Check("dialect", Level.OK, f"{dialect.name}: submits to {dialect.submit_path}{told}")


def _meaning(document: Any, dialect: TaskDialect) -> str:
    if task_documents.is_dead(document, dialect):
        return "the task has failed"
    if task_documents.is_done(document, dialect):
        return "the task is done"
    if task_documents.is_going(document, dialect):
        return "the task goes on"
    return "an unknown word: the task goes on until its images are there"


def _outcome(document: Any, body: Body, dialect: TaskDialect) -> Check:
    found = task_documents.images(document, body, dialect, ended=True)
    usable = [item for item in found if item.data is not None or item.url is not None]
    if usable:
        return Check("images", Level.OK, f"{len(usable)}: " + ", ".join(map(_shown, usable[:5])))
    if found:
        return Check("images", Level.FAIL, f"{len(found)}, none usable: {found[0].problem}", ExitCode.USAGE)
    task = task_documents.accepted(document, {}, 200, dialect)
    if task is not None:
        places = ", ".join(poll_places(task, dialect))
        return Check("task", Level.OK, f"accepted, id {task.task_id}; polled at {places}")
    if task_documents.is_dead(document, dialect) or read_error(document, "").own_json:
        failure = _failure(document, body)
        return Check("failure", Level.OK, f"{failure.kind.value}: {failure.message} ({failure.rule.meaning})")
    advice = "describe the answer in [endpoint.task]: id, status, images"
    return Check("images", Level.FAIL, f"no image, no task and no error is found; {advice}", ExitCode.USAGE)


def _shown(item: image_answers.Item) -> str:
    if item.data is not None:
        return f"{sum(map(len, item.data)):,} bytes in base64"
    return f"a URL ({'absolute' if '://' in (item.url or '') else 'relative to the endpoint'})"


def _failure(document: Any, body: Body) -> Failure:
    told = task_documents.error_of(document)
    return refused(400, {}, told, body.text(), now=time.time(), server_error_billed=Billed.MAYBE)


def _reported(document: Any) -> Check:
    told = image_answers.reported(document, {})
    known = {
        "created": told.created,
        "input tokens": told.input_tokens,
        "output tokens": told.output_tokens,
        "cost": told.cost_usd,
    }
    text = ", ".join(f"{name} {value}" for name, value in known.items() if value is not None)
    return Check("reported", Level.OK, text or "nothing (no created, no usage, no cost)")
