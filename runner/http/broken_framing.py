"""Answers whose framing is broken: a document that is whole is an answer, and what came of another is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from jobs.classify import BreakKind
from runner.http.image_body import ImageLifter, Sink
from runner.http.messages import Answer, Body, BrokenExchange
from runner.http.stream import is_good

_LAST_EVENT = b"data: [DONE]"


class Arriving(NamedTuple):
    """An answer whose body is being read into the sink. headers: lower-case names."""

    status: int
    headers: Mapping[str, str]
    sink: Sink


def as_it_came(
    broken: BrokenExchange, arriving: Arriving | None, *, latency_s: float, reused: bool
) -> Answer | BrokenExchange:
    """The answer, if its document is whole: a length that was told too large, a last chunk or an end that did not come, take
    nothing from it. Otherwise the broken exchange, with what came of a good answer's body.

    Images that are fetched stay broken: they are fetched again for free.
    """
    if arriving is None or broken.how is not BreakKind.BODY_CUT or not isinstance(arriving.sink, ImageLifter):
        return broken
    status, headers, sink = arriving
    if not is_good(status) or not sink.size:
        return broken
    body = sink.finish()
    if _is_whole(body):
        return Answer(status, headers, body, latency_s, reused, unterminated=True)
    return replace(broken, body=body)


def ended_within(status: int, headers: Mapping[str, str], body: Body) -> bool:
    """Whether an answer that only its connection's end could end is a JSON document that goes on behind it."""
    framed = "content-length" in headers or "transfer-encoding" in headers
    if framed or not is_good(status):
        return False
    return body.skeleton.lstrip().startswith(b"{") and not _is_whole(body)


def _is_whole(body: Body) -> bool:
    """Whether the body is a JSON document or a stream of events to its end."""
    text = body.skeleton.strip()
    if text.startswith((b"{", b"[")):
        try:
            body.document()
        except ValueError:
            return False
        return True
    return text.endswith(_LAST_EVENT)
