"""The synchronous call: one POST, one whole answer, and its images (in the answer, or at URLs)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobs.evidence import broken, refused
from runner.body import Body
from runner.dialects import answers
from runner.dialects.conversation import Conversation, Fetch, Received, ReceivedImage, Rejected, Send
from runner.transport import Answer, Broken
from schemas.failures import Billed, Failure, FailureKind
from schemas.request import ImageRequest

GENERATIONS = "images/generations"


def converse(request: ImageRequest, *, server_error_billed: Billed, now: Callable[[], float]) -> Conversation:
    """Ask for the request's images. now: Unix seconds, for dates in `Retry-After`."""
    answer = yield Send(GENERATIONS, request.body())
    if isinstance(answer, Broken):
        kind = FailureKind.LOCAL if answer.local else None
        failure = broken(answer.how, answer.detail, http_status=answer.status)
        return Rejected(failure if kind is None else Failure(kind, answer.detail))
    assert isinstance(answer, Answer)
    document, problem = _document(answer.body)
    reported = answers.reported(document, answer.headers)
    whole = 200 <= answer.status < 300
    if not whole or _is_error(document):
        failure = refused(
            answer.status,
            answer.headers,
            document,
            answer.body.text(),
            now=now(),
            server_error_billed=server_error_billed,
        )
        return Rejected(failure, answer.body if whole else None, reported)
    found = answers.items(document, answer.body)
    if not found:
        detail = problem or (
            "the answer's data is empty" if found is not None else "the answer has no list `data`"
        )
        return Rejected(
            Failure(FailureKind.BAD_CONTENT, detail, http_status=answer.status), answer.body, reported
        )
    received = []
    for item in found:
        received.append((yield from _receive(item)))
    return Received(tuple(received), answer.body, answer.status, reported)


def _receive(item: answers.Item) -> Any:
    if item.url is None:
        failure = Failure(FailureKind.BAD_CONTENT, item.problem) if item.problem else None
        return ReceivedImage(item.data, failure, item.revised_prompt)
    fetched = yield Fetch(item.url)
    if isinstance(fetched, Failure):
        return ReceivedImage(None, fetched, item.revised_prompt)
    return ReceivedImage(fetched, None, item.revised_prompt)


def _document(body: Body) -> tuple[Any, str | None]:
    """The parsed document, or None and what is wrong with it."""
    if not body.size:
        return None, "the answer is empty"
    try:
        return body.document(), None
    except ValueError as error:
        return None, f"the answer is not JSON: {str(error)[:200]}"


def _is_error(document: Any) -> bool:
    """Whether a document under 2xx is an error after all: an `error` that says something, and no images."""
    return isinstance(document, dict) and bool(document.get("error")) and not document.get("data")
