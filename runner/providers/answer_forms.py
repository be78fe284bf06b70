"""The form of a whole answer: a document, a stream of events, the bytes of an image, parts of several, or a web page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from jobs.error_documents import is_page, title_of
from runner.http.messages import MAX_VALUES, Answer, Body
from runner.providers import event_streams
from runner.providers.image_answers import ImageEntry

_IMAGE = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF.{4}WEBP|\0\0\0.ftyp(?:avif|avis|heic|mif1)|II\*\0|MM\0\*",
    re.DOTALL,
)
"""How the bytes of an image begin."""
_BOUNDARY = re.compile(r"boundary=\"?([^\";,\s]{1,200})", re.IGNORECASE)
_MOST_PARTS = 1000
_SEPARATORS = (b"{", b"[", b",", b":")


class AnswerForm(NamedTuple):
    """What a whole answer holds.

    document: parsed, one for a whole stream; None where there is none. problem: why there is none. images: those that
    stand in no document. page: the title of a web page ("" without one), None where it is no page.
    """

    document: Any = None
    problem: str | None = None
    images: tuple[ImageEntry, ...] = ()
    page: str | None = None


def form_of(answer: Answer) -> AnswerForm:
    """The form of an answer, by its bytes first and by its content type where these leave it open."""
    body = answer.body
    if not body.size:
        return AnswerForm(problem="the answer is empty")
    content_type = answer.headers.get("content-type", "")[:1000].strip().lower()
    start = body.skeleton[:4096]
    named = content_type.startswith("image/") and not start.lstrip().startswith((b"{", b"["))
    if _IMAGE.match(start) or named:
        return AnswerForm(images=(ImageEntry(data=tuple(body.verbatim())),))
    if content_type.startswith("multipart/") and (found := _BOUNDARY.search(answer.headers["content-type"])):
        return _of_parts(body, found[1].encode("utf-8", "replace"))
    try:
        return AnswerForm(body.document())
    except ValueError as error:
        problem = f"the answer is not JSON: {str(error)[:200]}"
    return _of_text(body, content_type) or AnswerForm(problem=problem)


def _of_text(body: Body, content_type: str) -> AnswerForm | None:
    """The form of what is not JSON; None where it is nothing that is known."""
    text = body.text(4096)
    if is_page(text):
        return AnswerForm(problem="the answer is a web page", page=title_of(body.text()))
    if sum(map(body.skeleton.count, _SEPARATORS)) > MAX_VALUES:
        return None
    whole = body.text(body.size)
    stream = event_streams.is_stream(body.skeleton[:2048], content_type)
    documents = list(event_streams.parse_events(whole) if stream else event_streams.parse_lines(whole))
    return AnswerForm(event_streams.merge(documents)) if documents else None


def _of_parts(body: Body, boundary: bytes) -> AnswerForm:
    """A body of several parts: its images, and its first document."""
    images, form = [], AnswerForm(problem="the answer's parts hold no document")
    for head, content in _parts(b"".join(body.verbatim()), boundary):
        if _IMAGE.match(content) or b"image/" in head:
            images.append(ImageEntry(data=(content,)))
        elif form.document is None:
            document = _document(content)
            form = form if document is None else AnswerForm(document)
    return form._replace(images=tuple(images))


def _document(content: bytes) -> Any:
    try:
        return Body(content, (), (), len(content)).document()
    except ValueError:
        return None


def _parts(data: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Head (lower case) and content of each part."""
    for part in data.split(b"--" + boundary)[1:_MOST_PARTS]:
        head, found, content = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        if found:
            yield head.lower()[:4096], content.removesuffix(b"\r\n")
