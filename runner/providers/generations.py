"""One request for images: a POST, and what came back decides: images, a task to follow, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobs.classify import classify_break, classify_refusal
from jobs.error_documents import is_error
from jobs.error_words import declines
from runner.http.messages import Answer, BrokenExchange
from runner.providers import image_answers, image_places, refused_fields, task_documents
from runner.providers.answer_forms import AnswerForm, form_of
from runner.providers.conversation import Checkpoint, Conversation, Send
from runner.providers.field_mapping import renamed
from runner.providers.image_answers import ImageEntry
from runner.providers.image_links import receive_images
from runner.providers.polling import PollTiming, follow_task, task_failure
from schemas.failures import Billed, Failure, FailureKind
from schemas.outcome import Reported
from schemas.received import Rejected, Result
from schemas.request import ImageRequest
from schemas.task_dialects import AUTO, TaskDialect

_MOST_ERROR_BYTES = 64 * 1024
"""An answer under 2xx that is longer may hold an image in a form that is not known: it is kept, and never sent again."""


@dataclass(slots=True)
class Proof:
    """Whether anything but web pages has come from the service in this run."""

    is_api: bool = False


@dataclass(frozen=True, slots=True)
class ClientProfile:
    """How one service is spoken to.

    dialect: how it takes requests and describes tasks. task_dialect: the same for the models of `task_models`.
    names: body fields that have another name there. server_error_billed: what a 500 with its own error may cost.
    """

    dialect: TaskDialect
    timing: PollTiming
    server_error_billed: Billed = Billed.NO
    names: Mapping[str, str] = field(default_factory=dict)
    task_models: frozenset[str] = frozenset()
    task_dialect: TaskDialect = AUTO
    proof: Proof = field(default_factory=Proof)

    def dialect_of(self, request: ImageRequest) -> TaskDialect:
        """How this request is submitted and followed."""
        return self.task_dialect if request.get("model") in self.task_models else self.dialect

    def send(self, request: ImageRequest) -> Send:
        """The request as this service takes it."""
        dialect = self.dialect_of(request)
        body = renamed(request.body(), self.names) | dict(dialect.submit_body)
        return Send(dialect.submit_path, body, dialect.submit_query)


def converse(request: ImageRequest, client_profile: ClientProfile) -> Conversation:
    """Ask for the request's images."""
    dialect = client_profile.dialect_of(request)
    send = client_profile.send(request)
    answer = yield send
    if isinstance(answer, BrokenExchange):
        if answer.local:
            return Rejected(Failure(FailureKind.LOCAL, answer.detail))
        return Rejected(classify_break(answer.how, answer.detail, http_status=answer.status), answer.body)
    assert isinstance(answer, Answer)
    form = form_of(answer)
    client_profile.proof.is_api |= isinstance(form.document, dict) or bool(form.images)
    reported = image_answers.reported(form.document, answer.headers)
    if not 200 <= answer.status < 300:
        return _refusal(answer, form, reported, client_profile, send)
    found = images_at_once(form, answer, dialect)
    if not found and not _names_error(form.document):
        task = task_documents.accepted_task(form.document, answer.headers, answer.status, dialect)
        if task is not None:
            yield Checkpoint(task)
            ended = yield from follow_task(task, request.n, dialect, client_profile.timing)
            return _with_first_answer(ended, answer)
    found = found or images_anywhere(form, answer, dialect)
    if found:
        now_ms = int(client_profile.timing.now() * 1000)
        return (yield from receive_images(found, request.n, answer, reported, now_ms))
    return _without_images(answer, form, reported, client_profile, send)


def images_at_once(form: AnswerForm, answer: Answer, dialect: TaskDialect) -> Sequence[ImageEntry]:
    """The images that an answer holds whatever else it says: those that keep it from being taken for a promise."""
    listed = image_answers.image_entries(form.document, answer.body) or []
    if form.images or any(item.is_usable for item in listed):
        return form.images or listed
    if task_documents.is_going(form.document, dialect):
        return ()
    if task_documents.is_done(form.document, dialect):
        return images_anywhere(form, answer, dialect)
    return image_places.in_hand(form.document, answer.body)


def images_anywhere(form: AnswerForm, answer: Answer, dialect: TaskDialect) -> Sequence[ImageEntry]:
    """The images of an answer in whatever place, at a URL too."""
    found = task_documents.task_images(form.document, answer.body, dialect, ended=True)
    if any(item.is_usable for item in found):
        return found
    return image_places.images(form.document, answer.body)


def _with_first_answer(ended: Result, answer: Answer) -> Result:
    """What was taken for a task, and is one no longer, is kept: there may have been more in it than a promise."""
    if isinstance(ended, Rejected) and ended.body is None and ended.failure.kind is FailureKind.TASK_LOST:
        return replace(ended, body=answer.body)
    return ended


def _without_images(
    answer: Answer, form: AnswerForm, reported: Reported, client_profile: ClientProfile, send: Send
) -> Result:
    """What a whole answer under 2xx is without an image."""
    status, document = answer.status, form.document
    if form.page is not None:
        return _page(answer, form.page, reported, client_profile)
    long = answer.body.size > _MOST_ERROR_BYTES or bool(answer.body.images)
    if not long and (is_error(document) or (document is None and answer.body.size)):
        return _refusal(answer, form, reported, client_profile, send)
    listed = image_answers.image_entries(document, answer.body)
    slot = next((item for item in listed or () if item.refused), listed[0] if listed else None)
    if slot is not None and slot.problem is not None:
        kind = FailureKind.MODERATION if slot.refused else FailureKind.BAD_CONTENT
        return Rejected(Failure(kind, slot.problem, slot.code, status), answer.body, reported)
    if words := image_places.words_instead(document):
        kind = FailureKind.MODERATION if declines(words) else FailureKind.BAD_CONTENT
        failure = Failure(kind, f"words instead of an image: {words}"[:1000], http_status=status)
        return Rejected(failure, answer.body, reported)
    detail = form.problem or (
        "the answer's data is empty" if listed is not None else "the answer has no list `data`"
    )
    return Rejected(Failure(FailureKind.BAD_CONTENT, detail, http_status=status), answer.body, reported)


def _page(answer: Answer, title: str, reported: Reported, client_profile: ClientProfile) -> Rejected:
    """A web page under 2xx: the wrong address while nothing else has come from it, and a gateway's page later on."""
    named = f" (title: {title})" if title else ""
    if client_profile.proof.is_api:
        text = f"a web page{named} came instead of the service's answer"
        return Rejected(Failure(FailureKind.GATEWAY, text, http_status=answer.status), answer.body, reported)
    text = f"this looks like a web page{named}; does the base URL lack /v1?"
    return Rejected(Failure(FailureKind.NOT_AN_API, text, http_status=answer.status), None, reported)


def _refusal(
    answer: Answer, form: AnswerForm, reported: Reported, client_profile: ClientProfile, send: Send
) -> Rejected:
    document = form.document
    failure = classify_refusal(
        answer.status,
        answer.headers,
        document,
        answer.body.text(),
        now=client_profile.timing.now(),
        server_error_billed=client_profile.server_error_billed,
    )
    if failure.kind is FailureKind.BAD_CONTENT and form.problem:
        failure = replace(failure, message=form.problem)
    if failure.kind is FailureKind.GATEWAY and task_documents.is_dead(document, client_profile.dialect):
        failure = task_failure(answer, document, client_profile.dialect, client_profile.timing)
    ours = {theirs.partition(":")[0]: name for name, theirs in client_profile.names.items()}
    failure = refused_fields.with_setting(failure, document, send.body, ours)
    paid = 200 <= answer.status < 300 and failure.maybe_billed
    return Rejected(failure, answer.body if paid else None, reported)


def _names_error(document: Any) -> bool:
    """Whether a document has an `error` that says something, and so promises nothing."""
    return isinstance(document, dict) and bool(document.get("error")) and not document.get("data")
