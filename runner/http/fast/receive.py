"""The rest of a large body, straight from the socket into what takes it: one buffer for all connections, and no copies.

aiohttp has sent the request and read the answer's headers, over whatever proxy or TLS there is. From then on a body of
known length needs no parser, so its transport gets another protocol. Afterwards it gets its own back, with a new parser
at the start of an answer, and aiohttp keeps the connection or closes it, as after any other body.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from runner.http.image_body import WINDOW_MARGIN, Lifter
from runner.http.memory_budget import Held, Room
from runner.http.messages import Body, BodyTooLarge

WINDOW_BYTES = 2**18
LEAST_BYTES = 2**16
"""Less than this is left to aiohttp: it is here already, or nearly."""


class Gatherer:
    """Fed like a `Lifter`, with a body that is not looked into."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self.size = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises BodyTooLarge beyond the cap."""
        self.size += len(chunk)
        if self.size > self._max_bytes:
            raise BodyTooLarge(f"more than {self._max_bytes:,} bytes")
        self._pieces.append(chunk)

    def feed_window(self, window: bytearray, start: int, end: int) -> None:
        """The same for `window[start:end]`."""
        self.feed(bytes(memoryview(window)[start:end]))

    def finish(self) -> Body:
        """The whole body, after its last byte."""
        return Body(b"", (), (), self.size, tuple(self._pieces))


Sink = Lifter | Gatherer
"""What a body's chunks are fed to."""


class Window:
    """The buffer that every connection of one event loop receives into; what came is used before the next one's turn."""

    def __init__(self) -> None:
        self.buffer = bytearray(WINDOW_MARGIN + WINDOW_BYTES)
        self.room = memoryview(self.buffer)[WINDOW_MARGIN:]


class Rest(asyncio.BufferedProtocol):
    """Takes over a connection until so many bytes have come. before: its protocol, told when the connection is lost."""

    def __init__(self, window: Window, sink: Sink, size: int, before: asyncio.BaseProtocol) -> None:
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
        """Wait for the last byte. Raises what `Sink.feed` does, TimeoutError after `idle_s` seconds of silence, and
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


def fits(response: aiohttp.ClientResponse) -> bool:
    """Whether a `Receiver` can take it: a large plain body of told length, nothing chunked, nothing compressed."""
    told = response.headers
    return (
        (response.content_length or 0) >= LEAST_BYTES
        and "Content-Encoding" not in told
        and "Transfer-Encoding" not in told
        and response.connection is not None
        and response.connection.transport is not None
    )


class Receiver:
    """Receives the bodies of one event loop. idle_s: seconds of silence in a body after which it is given up."""

    def __init__(self, window: Window, idle_s: float) -> None:
        self._idle_s = idle_s
        self._window = window

    async def receive(
        self,
        response: aiohttp.ClientResponse,
        sink: Sink,
        room: Room,
        deadline: asyncio.Timeout,
    ) -> None:
        """Feed the sink the whole body of a response that fits.

        Raises BodyTooLarge before anything is read, TimeoutError, and ClientError for a connection that ends first.
        """
        connection, length = response.connection, response.content_length or 0
        if connection is None or connection.transport is None or connection.protocol is None:
            raise aiohttp.ClientPayloadError("the connection ended within the answer")
        if length > room.max_bytes:
            raise BodyTooLarge(f"more than {room.max_bytes:,} bytes")
        while chunk := response.content.read_nowait():
            sink.feed(chunk)
        if response.content.is_eof():
            return
        protocol = connection.protocol
        if not await self.rest(connection.transport, protocol, sink, length, room.held, deadline):
            response.close()
            return
        protocol.set_response_params()
        response.content.feed_eof()

    async def rest(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.BaseProtocol,
        sink: Sink,
        length: int,
        held: Held,
        deadline: asyncio.Timeout,
    ) -> bool:
        """Feed the sink what it lacks of a body of this length, and give the connection back to its protocol.

        False, and the connection not given back, when more came than that. Memory for the body is asked for in one,
        before it is read. Raises TimeoutError, BodyTooLarge, and ClientPayloadError for a connection that ends first.
        """
        rest = Rest(self._window, sink, length - sink.size, protocol)
        transport.set_protocol(rest)
        await hold(held, length, transport, deadline)
        await rest.received(self._idle_s)
        if rest.beyond:
            return False
        transport.set_protocol(protocol)
        return True


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
