"""A whole document is an answer, however its transfer ends; of any other, what came is kept. The same by every way."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Callable

import pytest

from jobs.classify import BreakKind
from runner.http.messages import BrokenExchange
from tests.support.clock import clock
from tests.support.exchanges import fetched, posted, whole
from tests.support.exchanges import way as way
from tests.support.rawserver import Connection, Handler, chunked, head


def document(size: int) -> bytes:
    """A whole answer with an image of this many bytes."""
    image = random.Random(size).randbytes(size)
    return json.dumps({"created": 1, "data": [{"b64_json": base64.b64encode(image).decode()}]}).encode()


def too_long(body: bytes) -> bytes:
    return head(200, Content_Length=str(len(body) + 10)) + body


def no_last_chunk(body: bytes) -> bytes:
    return head(200, Transfer_Encoding="chunked") + chunked(body, 10_000).removesuffix(b"0\r\n\r\n")


def half_a_last_chunk(body: bytes) -> bytes:
    return head(200, Transfer_Encoding="chunked") + chunked(body, 10_000).removesuffix(b"\r\n")


def closed(connection: Connection) -> None:
    """The server closes the connection."""


def reset(connection: Connection) -> None:
    """The server breaks it."""
    connection.reset()


def silent(connection: Connection) -> None:
    """The server says no more."""
    clock().put_forward(61)


def ending(sent: bytes, end: Callable[[Connection], None], *, apart: bool) -> Handler:
    """Sends this and ends so. apart: the end comes when all before it has been read."""

    async def handle(connection: Connection) -> None:
        await connection.request()
        at = sent.index(b"\r\n\r\n") + 4
        for piece in (sent[:at], sent[at:]) if apart else (sent,):
            await connection.send(piece)
            await asyncio.sleep(0.02 if apart else 0)
        if end is silent:
            await asyncio.sleep(0.02)
            end(connection)
            await connection.gone()
        end(connection)

    return handle


@pytest.mark.parametrize("framed", [too_long, no_last_chunk, half_a_last_chunk])
@pytest.mark.parametrize("end", [closed, silent])
@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("size", [300, 300_000])
def test_a_whole_document_in_broken_framing_is_an_answer(
    framed: Callable[[bytes], bytes], end: Callable[[Connection], None], apart: bool, size: int
) -> None:
    """G2."""
    body = document(size)
    found, _ = posted(ending(framed(body), end, apart=apart))
    assert whole(found, body).unterminated


@pytest.mark.parametrize("framed", [too_long, no_last_chunk])
def test_a_reset_behind_the_last_brace_takes_nothing_away(framed: Callable[[bytes], bytes]) -> None:
    body = document(300)
    found, _ = posted(ending(framed(body), reset, apart=True))
    assert whole(found, body).unterminated


def test_events_that_say_that_they_are_done_are_an_answer() -> None:
    body = b'data: {"type": "image_generation.completed", "b64_json": "QUJD"}\n\ndata: [DONE]\n\n'
    found, _ = posted(ending(too_long(body), closed, apart=True))
    assert whole(found, body).unterminated


def test_a_whole_answer_is_not_called_unterminated() -> None:
    body = document(300)
    found, _ = posted(ending(head(200, Content_Length=str(len(body))) + body, closed, apart=True))
    assert not whole(found, body).unterminated


@pytest.mark.parametrize("size", [300, 300_000])
@pytest.mark.parametrize("missing", [1, 2, 3, 100])
def test_of_a_document_that_is_cut_all_that_came_is_kept(size: int, missing: int) -> None:
    body = document(size)
    cut = body[:-missing]
    found, _ = posted(ending(head(200, Content_Length=str(len(body))) + cut, closed, apart=True))
    assert isinstance(found, BrokenExchange)
    assert (found.how, found.status) == (BreakKind.BODY_CUT, 200)
    assert found.body is not None
    assert b"".join(found.body.verbatim()) == cut


@pytest.mark.parametrize("status", [429, 500])
def test_an_error_document_in_broken_framing_stays_what_it_was(status: int) -> None:
    body = b'{"error": {"message": "no"}}'
    found, _ = posted(ending(head(status, Content_Length=str(len(body) + 5)) + body, closed, apart=True))
    assert isinstance(found, BrokenExchange)
    assert (found.status, found.body) == (status, None)


def test_an_image_that_is_fetched_is_whole_by_its_framing() -> None:
    """It is fetched again for free."""
    found, _ = fetched(ending(too_long(b'{"an": "image"}'), closed, apart=True))
    assert isinstance(found, BrokenExchange)


@pytest.mark.parametrize("size", [300, 300_000])
def test_a_document_without_framing_that_ends_too_early_is_cut(size: int) -> None:
    body = document(size)
    found, _ = posted(ending(head(200) + body[:-10], closed, apart=True))
    assert isinstance(found, BrokenExchange)
    assert (found.how, found.status) == (BreakKind.BODY_CUT, 200)
    assert found.body is not None
    assert b"".join(found.body.verbatim()) == body[:-10]
    whole(posted(ending(head(200) + body, closed, apart=True))[0], body)
