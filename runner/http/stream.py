"""Reading the body of an answer as aiohttp gives it: piece by piece, as far as there is memory for it."""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

import aiohttp

from runner.http.image_body import Sink
from runner.http.memory_budget import Room
from runner.http.messages import Body

ERROR_BODY_BYTES = 256 * 1024


def is_good(status: int) -> bool:
    """Whether the body is what was asked for; of any other, no more is read than a message needs."""
    return 200 <= status < 300


class BodyReader(Protocol):
    """A way to read bodies. Every way passes the same tests, and which one is taken can only be seen by its speed."""

    async def read(
        self, response: aiohttp.ClientResponse, sink: Sink, room: Room, deadline: asyncio.Timeout
    ) -> Body:
        """Feed the sink a whole body, or the start of an error's.

        Args:
            deadline: of the exchange; it does not run while memory is waited for.

        Raises:
            BodyTooLarge: the answer has more bytes than `room.max_bytes`.
            TimeoutError: the deadline, or silence for too long.
            aiohttp.ClientError: the connection ended first, or its framing is broken.
        """


class StreamBodyReader:
    """Reads from aiohttp's own stream. idle_s: seconds of silence after which a body is given up."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s

    async def read(
        self, response: aiohttp.ClientResponse, sink: Sink, room: Room, deadline: asyncio.Timeout
    ) -> Body:
        """See `BodyReader.read`."""
        clock = asyncio.get_running_loop().time
        content, good = response.content, is_good(response.status)
        if good and content.is_eof() and room.held.take_now(content.total_bytes):
            sink.feed(content.read_nowait())
            return sink.finish()
        end = deadline.when() or math.inf
        while True:
            deadline.reschedule(min(end, clock() + self._idle_s))
            chunk = await content.readany()
            if not chunk or (not good and sink.size + len(chunk) > ERROR_BODY_BYTES):
                return sink.finish()
            if not room.held.take_now(len(chunk)):
                deadline.reschedule(None)  # our own memory is full; this is not the service's time
                end += await room.held.take(len(chunk))
            sink.feed(chunk)
