"""One connection of our own: it sends a request, and tells what came first of its answer."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp.client_proto import ResponseHandler

from runner.http.fast.receive import Window

FIRST_BYTES = 2**15
"""Of an answer, at most: what comes first waits in memory of its own until there is room for all of it."""


class Connection(asyncio.BufferedProtocol):
    """One connection, asked for one answer at a time."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._came = b""
        self._waiting: asyncio.Future[None] | None = None
        self._heir: ResponseHandler | None = None
        self.transport: asyncio.Transport
        self.lost = False
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._window.room[:FIRST_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        """So many have come; nobody asked for those that come while it is idle."""
        if self._waiting is None:
            self.close()
            return
        self._came += bytes(self._window.room[:nbytes])
        if not self._waiting.done():
            self._waiting.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.lost = True
        if self._heir is not None:
            self._heir.connection_lost(exc)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(
                aiohttp.ClientOSError(*exc.args)
                if isinstance(exc, OSError)
                else aiohttp.ServerDisconnectedError()
            )

    @property
    def ended(self) -> bool:
        """Whether nothing can be asked on it any more."""
        return self.lost or self.transport.is_closing()

    async def ask(self, request: bytes) -> bytes:
        """Send a request; what came first of its answer. Raises ClientConnectionError."""
        self._came = b""
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        await self._waiting
        return self._came

    def hand_over(self) -> ResponseHandler:
        """Have aiohttp read all that came and comes."""
        handler = self._heir = ResponseHandler(asyncio.get_running_loop())
        handler.connection_made(self.transport)
        handler.set_response_params(read_until_eof=True)
        self.transport.set_protocol(handler)
        handler.data_received(self._came)
        if self.lost:
            handler.connection_lost(None)
        return handler

    def take_back(self) -> bool:
        """What aiohttp read has ended; whether the connection is idle now."""
        handler, self._heir = self._heir, None
        if handler is None or handler.should_close or not self.rest():
            return False
        self.transport.set_protocol(self)
        return True

    def rest(self) -> bool:
        """Its answer has been read; whether it is idle now, and not ending or still sending."""
        self._waiting, self._came = None, b""
        return not (self.ended or self.transport.get_write_buffer_size())

    def close(self) -> None:
        """End it, whatever is under way."""
        self.transport.abort()
