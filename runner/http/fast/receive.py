"""The rest of a large body, straight from the socket into what takes it: one buffer for all connections, and no copies.

aiohttp has sent the request and read the answer's headers, over whatever proxy or TLS there is. From then on a body of
known length needs no parser, so its transport gets another protocol. Afterwards it gets its own back, with a new parser
at the start of an answer, and aiohttp keeps the connection or closes it, as after any other body.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from runner.http.image_body import WINDOW_MARGIN, Lifter, Sink
from runner.http.memory_budget import Held, Room
from runner.http.messages import Body, BodyTooLarge
from runner.http.stream import StreamBodyReader, is_good

WINDOW_BYTES = 2**18
LEAST_BYTES = 2**16
"""Less than this is left to aiohttp: it is here already, or nearly."""
_HALF_AN_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfox"
_AN_ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nfox"


class Window:
    """The buffer that every connection of one event loop receives into; what came is used before the next one's turn."""

    def __init__(self) -> None:
        self.buffer = bytearray(WINDOW_MARGIN + WINDOW_BYTES)
        self.room = memoryview(self.buffer)[WINDOW_MARGIN:]


class Rest(asyncio.BufferedProtocol):
    """Takes over a connection until so many bytes have come. before: its protocol, told when the connection is lost."""

    def __init__(self, window: Window, sink: Lifter, size: int, before: asyncio.BaseProtocol) -> None:
        self._loop = asyncio.get_running_loop()
        self._window = window
        self._sink = sink
        self._left = size
        self._before = before
        self.beyond = False
        """Whether more came than that: such a connection is not to be used again."""
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._last = self._loop.time()

    async def received(self, idle_s: float) -> None:
        """Wait for the last byte. Raises what `Lifter.feed` does, TimeoutError after `idle_s` seconds of silence, and
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
        """Where the next bytes go; one of them to be thrown away when all are here."""
        return self._window.room[: max(1, self._left)]

    def buffer_updated(self, nbytes: int) -> None:
        """So many have come."""
        if not self._left:
            self.beyond = True
            return
        self._last = self._loop.time()
        self._left -= nbytes
        try:
            self._sink.feed_window(self._window.buffer, WINDOW_MARGIN, WINDOW_MARGIN + nbytes)
        except BodyTooLarge as error:
            self._fail(error)
        if not self._left and not self._done.done():
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
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

    What is needed of it is not documented, and what it would read has been paid for; so it is tried first, on a head and
    half a body, and on another answer after that.
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

    idle_s: seconds of silence in a body after which it is given up. least_bytes: of a body that is worth it.
    """

    def __init__(self, idle_s: float, least_bytes: int = LEAST_BYTES) -> None:
        self._idle_s = idle_s
        self._least_bytes = least_bytes
        self._window = Window()
        self._stream = StreamBodyReader(idle_s)

    async def read(
        self, response: aiohttp.ClientResponse, sink: Sink, room: Room, deadline: asyncio.Timeout
    ) -> Body:
        """See `BodyReader.read`; a body that is too large is refused before anything of it is read."""
        if isinstance(sink, Lifter) and self._fits(response):
            await self._receive(response, sink, room, deadline)
            return sink.finish()
        return await self._stream.read(response, sink, room, deadline)

    def _fits(self, response: aiohttp.ClientResponse) -> bool:
        """Whether it is a large plain body of told length, nothing chunked, nothing compressed."""
        told = response.headers
        return (
            is_good(response.status)
            and (response.content_length or 0) >= self._least_bytes
            and "Content-Encoding" not in told
            and "Transfer-Encoding" not in told
            and response.connection is not None
            and response.connection.transport is not None
        )

    async def _receive(
        self, response: aiohttp.ClientResponse, sink: Lifter, room: Room, deadline: asyncio.Timeout
    ) -> None:
        connection, length = response.connection, response.content_length or 0
        if connection is None or connection.transport is None or connection.protocol is None:
            raise aiohttp.ClientPayloadError("the connection ended within the answer")
        if length > room.max_bytes:
            raise BodyTooLarge(f"more than {room.max_bytes:,} bytes")
        while chunk := response.content.read_nowait():
            sink.feed(chunk)
        if response.content.is_eof():
            return
        protocol, transport = connection.protocol, connection.transport
        rest = Rest(self._window, sink, length - sink.size, protocol)
        transport.set_protocol(rest)
        await hold(room.held, length, transport, deadline)
        await rest.received(self._idle_s)
        if rest.beyond:
            response.close()
            return
        transport.set_protocol(protocol)
        protocol.set_response_params()
        response.content.feed_eof()


async def hold(held: Held, size: int, transport: asyncio.Transport, deadline: asyncio.Timeout) -> None:
    """Hold so many bytes; while that has to wait, nothing is read and the deadline does not run."""
    if held.take_now(size):
        return
    transport.pause_reading()
    end = deadline.when()
    deadline.reschedule(None)
    waited = await held.take(size)
    deadline.reschedule(None if end is None else end + waited)
    transport.resume_reading()
