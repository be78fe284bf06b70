"""Reads the body of an answer from aiohttp's stream, piece by piece, as far as there is memory for it."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import Any, Protocol

import aiohttp

from runner.http.image_body import Sink
from runner.http.memory_budget import ResponseBudget
from runner.http.messages import Body, BodyTooLarge

ERROR_BODY_BYTES = 256 * 1024


def is_good(status: int) -> bool:
    """Whether the body holds a result; of any other body, only as much is read as a message needs."""
    return 200 <= status < 300


class BodyReader(Protocol):
    """Reads bodies. Every implementation passes the same tests; they differ in speed only."""

    async def read(
        self, response: aiohttp.ClientResponse, sink: Sink, budget: ResponseBudget, deadline: asyncio.Timeout
    ) -> Body:
        """Feed the sink a whole body, or the start of an error's.

        Args:
            deadline: of the exchange; it is paused while the reader waits for memory.

        Raises:
            BodyTooLarge: the answer has more bytes than `budget.max_bytes`.
            TimeoutError: the deadline, or silence for too long.
            aiohttp.ClientError: the connection ended first, or its framing is broken.
        """


def feed_rest(content: aiohttp.StreamReader, sink: Sink) -> None:
    """Feed the sink what had arrived before the connection broke: aiohttp hands out no byte once it knows of that.

    This is no public part of aiohttp; without it, a document that came whole together with a reset would be lost.
    """
    rest: Any = content
    with suppress(AttributeError, TimeoutError, BodyTooLarge):
        if data := rest._read_nowait(-1):
            sink.feed(data)


class StreamBodyReader:
    """Reads from aiohttp's own stream. idle_s: seconds of silence after which a body is given up."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s

    async def read(
        self, response: aiohttp.ClientResponse, sink: Sink, budget: ResponseBudget, deadline: asyncio.Timeout
    ) -> Body:
        """See `BodyReader.read`."""
        clock = asyncio.get_running_loop().time
        content, good = response.content, is_good(response.status)
        if good and content.is_eof() and budget.share.try_acquire(content.total_bytes):
            sink.feed(content.read_nowait())
            return sink.finish()
        end = deadline.when() or math.inf
        while True:
            deadline.reschedule(min(end, clock() + self._idle_s))
            try:
                chunk = await content.readany()
            except aiohttp.ClientError:
                feed_rest(content, sink)
                raise
            if not chunk or (not good and sink.size + len(chunk) > ERROR_BODY_BYTES):
                return sink.finish()
            if not budget.share.try_acquire(len(chunk)):
                deadline.reschedule(None)  # our own memory is full; this is not the service's time
                end += await budget.share.acquire(len(chunk))
            sink.feed(chunk)
