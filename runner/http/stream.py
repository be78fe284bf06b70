"""Reading what comes of an answer while aiohttp's parser reads it: piece by piece, as far as there is memory for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

import aiohttp

from runner.http.fast.receive import Sink
from runner.http.memory_budget import Room
from runner.http.messages import Body

ERROR_BODY_BYTES = 256 * 1024

Told = tuple[int, Mapping[str, str], Body]
"""A whole answer: status, headers with lower-case names, body."""


def is_good(status: int) -> bool:
    """Whether the body is what was asked for; of any other, no more is read than a message needs."""
    return 200 <= status < 300


async def read(
    content: aiohttp.StreamReader,
    sink: Sink,
    room: Room,
    deadline: asyncio.Timeout,
    *,
    good: bool,
    idle_s: float,
) -> Body:
    """The body of an answer.

    idle_s: seconds of silence after which it is given up; the deadline does not run while memory is waited for. Raises
    BodyTooLarge, TimeoutError, and ClientError for what ends too early.
    """
    clock = asyncio.get_running_loop().time
    if good and content.is_eof() and room.held.take_now(content.total_bytes):
        sink.feed(content.read_nowait())
        return sink.finish()
    end = deadline.when() or math.inf
    while True:
        deadline.reschedule(min(end, clock() + idle_s))
        chunk = await content.readany()
        if not chunk or (not good and sink.size + len(chunk) > ERROR_BODY_BYTES):
            break
        if not room.held.take_now(len(chunk)):
            deadline.reschedule(None)  # our own memory is full; this is not the service's time
            end += await room.held.take(len(chunk))
        sink.feed(chunk)
    return sink.finish()
