"""`imagemill doctor --explain`: what imagemill understands of a saved answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.doctor.findings import Check, Level
from runner.http.image_body import ImageLifter
from runner.http.messages import Answer, Body
from runner.providers import image_answers, task_documents
from runner.providers.answer_forms import AnswerForm, form_of
from runner.providers.conversation import Checkpoint, Fetch, StepResult
from runner.providers.generations import ClientProfile, Proof, converse
from runner.providers.polling import PollTiming, poll_urls
from runner.text.wording import count_text
from schemas.errors import ExitCode, JobError
from schemas.failures import FailureKind
from schemas.outcome import Task
from schemas.received import Received, ReceivedImage, Rejected, Result
from schemas.request import ImageRequest
from schemas.task_dialects import TaskDialect

_MAX_N = 10
_MOST_BYTES = 512 * 2**20


def explain(path: Path, dialect: TaskDialect) -> Iterator[Check]:
    """What the answer in this file means, read as the service's answer under 200. Raises JobError (exit 2)."""
    answer = Answer(200, {}, _body(path), 0.0)
    form = form_of(answer)
    if form.document is None and not form.images:
        kept = (
            "not paid for" if form.page is not None else "kept in quarantine/, the row failed as bad_content"
        )
        yield Check("document", Level.FAIL, f"{form.problem}: {kept}", ExitCode.USAGE)
        return
    yield Check("document", Level.OK, f"{_form(form)}, {answer.body.size:,} bytes")
    yield _dialect(dialect)
    words = task_documents.status_words(form.document, dialect)
    if words:
        yield Check("status", Level.OK, f"{', '.join(words)}: {_meaning(form.document, dialect)}")
    yield _outcome(answer, dialect)
    yield _reported(form.document)


def _form(form: AnswerForm) -> str:
    if form.images:
        return count_text(len(form.images), "image") + " as bytes"
    return "a stream of events" if isinstance(form.document, dict) and "events" in form.document else "JSON"


def _body(path: Path) -> Body:
    lifter = ImageLifter(_MOST_BYTES)
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
    suffix = f" with {', '.join(switch)}" if switch else ""
    return Check("dialect", Level.OK, f"{dialect.name}: submits to {dialect.submit_path}{suffix}")


def _meaning(document: Any, dialect: TaskDialect) -> str:
    if task_documents.is_dead(document, dialect):
        return "the task has failed"
    if task_documents.is_done(document, dialect):
        return "the task is done"
    if task_documents.is_going(document, dialect):
        return "the task goes on"
    return "an unknown word: the task goes on until its images are there"


def _outcome(answer: Answer, dialect: TaskDialect) -> Check:
    """What a request comes to that is answered so. Nothing is sent, polled or fetched."""
    timing = PollTiming(0.0, 0.0, time.monotonic, time.time)
    profile = ClientProfile(dialect, timing, proof=Proof(is_api=True))
    conversation = converse(ImageRequest("", (("n", _MAX_N),)), profile)
    next(conversation)
    reply: StepResult = answer
    try:
        while True:
            step = conversation.send(reply)
            if isinstance(step, Checkpoint) and isinstance(step.task, Task):
                urls = ", ".join(poll_urls(step.task, dialect))
                return Check("task", Level.OK, f"accepted, id {step.task.task_id}; polled at {urls}")
            reply = (step.url.encode("utf-8", "replace"),) if isinstance(step, Fetch) else None
    except StopIteration as end:
        result: Result = end.value
    if isinstance(result, Received):
        return _images(result)
    assert isinstance(result, Rejected)
    failure = result.failure
    if failure.kind is not FailureKind.BAD_CONTENT:
        return Check("failure", Level.OK, f"{failure.kind.value}: {failure.message} ({failure.rule.meaning})")
    advice = "describe the answer in [endpoint.task]: id, status, images"
    return Check(
        "images",
        Level.FAIL,
        f"no image, no task and no error is found ({failure.message}); {advice}",
        ExitCode.USAGE,
    )


def _images(received: Received) -> Check:
    usable = [item for item in received.items if item.data is not None or item.link is not None]
    if usable:
        shown = ", ".join(map(_shown, usable[:5]))
        return Check("images", Level.OK, f"{len(usable) + received.more}: {shown}")
    problem = next((item.failure.message for item in received.items if item.failure is not None), "")
    return Check("images", Level.FAIL, f"{len(received.items)}, none usable: {problem}", ExitCode.USAGE)


def _shown(item: ReceivedImage) -> str:
    if item.link is None:
        return f"{sum(map(len, item.data or ())):,} bytes in base64"
    return f"a URL ({'absolute' if '://' in item.link.url else 'relative to the endpoint'})"


def _reported(document: Any) -> Check:
    reported = image_answers.reported(document, {})
    known = {
        "created": reported.created,
        "input tokens": reported.input_tokens,
        "output tokens": reported.output_tokens,
        "cost": reported.cost_usd,
    }
    text = ", ".join(f"{name} {value}" for name, value in known.items() if value is not None)
    return Check("reported", Level.OK, text or "nothing (no created, no usage, no cost)")
