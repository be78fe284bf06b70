"""Receives large bodies straight from the socket: one buffer for all connections, and no copies.

aiohttp sends the request and reads the answer's headers, through any proxy and TLS. A body of known length needs no parser,
so its transport then gets another protocol. Afterwards the transport gets its own protocol back, with a new parser at the
start of an answer, and aiohttp keeps the connection open or closes it as after any other body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from runner.http.image_body import WINDOW_MARGIN, ImageLifter, Sink
from runner.http.memory_budget import MemoryShare, ResponseBudget
from runner.http.messages import Body, BodyTooLarge
from runner.http.stream import StreamBodyReader, feed_rest, is_good

WINDOW_BYTES = 2**18
LEAST_BYTES = 2**16
"""Smaller bodies are left to aiohttp: most of their bytes have arrived with the headers."""
_HALF_AN_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfox"
_AN_ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nfox"


class ReceiveBuffer:
    """The buffer that every connection of one event loop receives into; its bytes are used before the next one receives."""

    def __init__(self) -> None:
        self.buffer = bytearray(WINDOW_MARGIN + WINDOW_BYTES)
        self.space = memoryview(self.buffer)[WINDOW_MARGIN:]


class BodyReceiver(asyncio.BufferedProtocol):
    """A protocol that receives `size` bytes into the sink. before: the connection's own protocol, which also hears of a lost
    connection."""

    def __init__(
        self, buffer: ReceiveBuffer, sink: ImageLifter, size: int, before: asyncio.BaseProtocol
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = buffer
        self._sink = sink
        self._left = size
        self._before = before
        self.beyond = False
        """Whether more bytes came than that; such a connection must not be reused."""
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._last = self._loop.time()

    async def received(self, idle_s: float) -> None:
        """Wait for the last byte. Raises what `ImageLifter.feed` does, TimeoutError after `idle_s` seconds of silence, and
        ClientPayloadError when the connection ends first."""
        watch = self._loop.call_later(idle_s, self._look, idle_s)
        self._watch = watch
        try:
            await self._done
        finally:
            self._watch.cancel()
            self._left = 0

    def _look(self, idle_s: float) -> None:
        left = self._last + idle_s - self._loop.time()
        if left <= 0:
            self._fail(TimeoutError())
        else:
            self._watch = self._loop.call_later(left, self._look, idle_s)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go. When all have arrived, one byte, which only shows that there are too many."""
        return self._buffer.space[: max(1, self._left)]

    def buffer_updated(self, nbytes: int) -> None:
        """Pass the bytes that have arrived to the sink."""
        if not self._left:
            self.beyond = True
            return
        self._last = self._loop.time()
        self._left -= nbytes
        try:
            self._sink.feed_window(self._buffer.buffer, WINDOW_MARGIN, WINDOW_MARGIN + nbytes)
        except BodyTooLarge as error:
            self._fail(error)
        if not self._left and not self._done.done():
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection was lost; both the waiting reader and the connection's own protocol hear of it."""
        self._fail(
            aiohttp.ClientPayloadError(f"{self._left:,} bytes of the answer are missing: {exc or 'closed'}")
        )
        lost: Any = self._before
        lost.connection_lost(exc)

    def _fail(self, error: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(error)
            self._done.exception()  # nobody may be waiting any more


async def can_take_over() -> bool:
    """Whether this version of aiohttp lets a connection be taken over within a body, and given back for the next answer.

    This relies on undocumented behaviour, and the bodies are paid for; so it is tried first, on a head with half a body, and
    then on another answer.
    """
    try:
        handler = ResponseHandler(asyncio.get_running_loop())
        handler.set_response_params()
        handler.data_received(_HALF_AN_ANSWER)
        _, content = await handler.read()
        if content.read_nowait() != b"fox":
            return False
        handler.set_response_params()
        content.feed_eof()
        handler.data_received(_AN_ANSWER)
        message, content = await handler.read()
        return message.code == 201 and await content.read() == b"fox" and not handler.should_close
    except (AttributeError, TypeError, ValueError, LookupError, AssertionError, aiohttp.ClientError):
        return False


class DirectBodyReader:
    """Receives large plain bodies of known length, and leaves all others to aiohttp's stream.

    idle_s: seconds of silence in a body after which it is given up. least_bytes: of a body that is worth it. unasked: called
    when more came than the length said.
    """

    def __init__(
        self,
        idle_s: float,
        least_bytes: int = LEAST_BYTES,
        unasked: Callable[[], None] = lambda: None,
    ) -> None:
        self._unasked = unasked
        self._idle_s = idle_s
        self._least_bytes = least_bytes
        self._buffer = ReceiveBuffer()
        self._stream = StreamBodyReader(idle_s)

    async def read(
        self, response: aiohttp.ClientResponse, sink: Sink, budget: ResponseBudget, deadline: asyncio.Timeout
    ) -> Body:
        """See `BodyReader.read`; a body that is too large is refused before anything of it is read."""
        if isinstance(sink, ImageLifter) and self._fits(response):
            await self._receive(response, sink, budget, deadline)
            return sink.finish()
        return await self._stream.read(response, sink, budget, deadline)

    def _fits(self, response: aiohttp.ClientResponse) -> bool:
        """Whether the body is large, of known length, not chunked and not compressed."""
        headers = response.headers
        return (
            is_good(response.status)
            and (response.content_length or 0) >= self._least_bytes
            and "Content-Encoding" not in headers
            and "Transfer-Encoding" not in headers
            and response.connection is not None
            and response.connection.transport is not None
        )

    async def _receive(
        self,
        response: aiohttp.ClientResponse,
        sink: ImageLifter,
        budget: ResponseBudget,
        deadline: asyncio.Timeout,
    ) -> None:
        connection, length = response.connection, response.content_length or 0
        if connection is None or connection.transport is None or connection.protocol is None:
            raise aiohttp.ClientPayloadError("the connection ended within the answer")
        if length > budget.max_bytes:
            raise BodyTooLarge(f"more than {budget.max_bytes:,} bytes")
        try:
            while chunk := response.content.read_nowait():
                sink.feed(chunk)
        except aiohttp.ClientError:
            feed_rest(response.content, sink)
            raise
        if response.content.is_eof():
            return
        protocol, transport = connection.protocol, connection.transport
        rest = BodyReceiver(self._buffer, sink, length - sink.size, protocol)
        transport.set_protocol(rest)
        await acquire_memory(budget.share, length, transport, deadline)
        await rest.received(self._idle_s)
        if rest.beyond:
            self._unasked()
            response.close()
            return
        transport.set_protocol(protocol)
        protocol.set_response_params()
        response.content.feed_eof()


async def acquire_memory(
    share: MemoryShare, size: int, transport: asyncio.Transport, deadline: asyncio.Timeout
) -> None:
    """Acquire memory for so many bytes. While that waits, reading is paused and the deadline does not run."""
    if share.try_acquire(size):
        return
    transport.pause_reading()
    end = deadline.when()
    deadline.reschedule(None)
    waited = await share.acquire(size)
    deadline.reschedule(None if end is None else end + waited)
    transport.resume_reading()
