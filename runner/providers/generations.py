"""One request for images: a POST, and what came back decides: images, a task to follow, or a refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.classify import broken, refused
from runner.http.messages import Answer, Broken
from runner.providers import image_answers, task_documents
from runner.providers.conversation import Checkpoint, Conversation, Received, Rejected, Send
from runner.providers.field_mapping import renamed
from runner.providers.polling import Patience, follow, receive
from schemas.failures import Billed, Failure, FailureKind
from schemas.outcome import Reported
from schemas.request import ImageRequest
from schemas.task_dialects import AUTO, TaskDialect

_UNKNOWN = re.compile(r"unknown parameter", re.IGNORECASE)
"""What is left of the code `unknown_parameter` behind a LiteLLM proxy."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """How one service is spoken to.

    dialect: how it takes requests and tells of tasks. task_dialect: the same for the models of `task_models`.
    names: body fields that have another name there. server_error_billed: what a 500 with its own error may cost.
    """

    dialect: TaskDialect
    patience: Patience
    server_error_billed: Billed = Billed.NO
    names: Mapping[str, str] = field(default_factory=dict)
    task_models: frozenset[str] = frozenset()
    task_dialect: TaskDialect = AUTO

    def dialect_of(self, request: ImageRequest) -> TaskDialect:
        """How this request is submitted and followed."""
        return self.task_dialect if request.get("model") in self.task_models else self.dialect

    def send(self, request: ImageRequest) -> Send:
        """The request as this service takes it."""
        dialect = self.dialect_of(request)
        body = renamed(request.body(), self.names) | dict(dialect.submit_body)
        return Send(dialect.submit_path, body, dialect.submit_query)


def converse(request: ImageRequest, speaker: Speaker) -> Conversation:
    """Ask for the request's images."""
    dialect = speaker.dialect_of(request)
    answer = yield speaker.send(request)
    if isinstance(answer, Broken):
        if answer.local:
            return Rejected(Failure(FailureKind.LOCAL, answer.detail))
        return Rejected(broken(answer.how, answer.detail, http_status=answer.status))
    assert isinstance(answer, Answer)
    document, problem = task_documents.parsed(answer.body)
    reported = image_answers.reported(document, answer.headers)
    whole = 200 <= answer.status < 300
    found = image_answers.items(document, answer.body) if whole else None
    if whole and not _any_image(found) and not _is_error(document):
        task = task_documents.accepted(document, answer.headers, answer.status, dialect)
        if task is not None:
            yield Checkpoint(task)
            return (yield from follow(task, request.n, dialect, speaker.patience))
    if not whole or _is_error(document):
        return _refusal(answer, document, reported, speaker)
    if not _any_image(found):
        found = task_documents.images(document, answer.body, dialect, ended=True) or found
    if not found:
        detail = problem or (
            "the answer's data is empty" if found is not None else "the answer has no list `data`"
        )
        failure = Failure(FailureKind.BAD_CONTENT, detail, http_status=answer.status)
        return Rejected(failure, answer.body, reported)
    received = []
    for item in found:
        received.append((yield from receive(item)))
    return Received(tuple(received), answer.body, answer.status, reported)


def _refusal(answer: Answer, document: Any, reported: Reported, speaker: Speaker) -> Rejected:
    failure = refused(
        answer.status,
        answer.headers,
        document,
        answer.body.text(),
        now=speaker.patience.now(),
        server_error_billed=speaker.server_error_billed,
    )
    parameter = task_documents.dig(document, "error.param")
    if (
        failure.kind is FailureKind.INVALID_REQUEST
        and isinstance(parameter, str)
        and (failure.code == "unknown_parameter" or _UNKNOWN.search(failure.message))
    ):
        hint = f"; leave it out with --set endpoint.drop_params='[\"{parameter[:40]}\"]'"
        failure = replace(failure, message=failure.message + hint)
    whole = 200 <= answer.status < 300
    return Rejected(failure, answer.body if whole else None, reported)


def _any_image(found: list[image_answers.Item] | None) -> bool:
    return any(item.url is not None or item.data is not None for item in found or ())


def _is_error(document: Any) -> bool:
    """Whether a document under 2xx is an error after all: an `error` that says something, and no images."""
    return isinstance(document, dict) and bool(document.get("error")) and not document.get("data")
