"""Connections of our own to one endpoint, for requests that cost money: aiohttp's way with a request would cost more than
all else that a small image takes.

A plain answer is read here: HTTP/1.1, a length that is told, nothing done to the body. Any other is handed, from its
first byte on, to the protocol that aiohttp's own connections have.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque

import aiohappyeyeballs
import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError
from yarl import URL

from jobs.keeping import YOUNG_S
from runner.http.fast.connection import Connection
from runner.http.fast.heads import Head, plain
from runner.http.fast.receive import Receiver, Window, hold
from runner.http.image_body import Lifter
from runner.http.memory_budget import Room
from runner.http.messages import Body, BodyTooLarge
from runner.http.sessions import CONNECT_TIMEOUT_S, Progress, Sockets, Turns
from runner.http.stream import Told, is_good, read

_HAPPY_EYEBALLS_DELAY_S = 0.25
"""Before the next of a host's addresses is tried beside the first: RFC 8305."""
_ADDRESSES_S = 60.0
_TRIAL = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfox\r\n0\r\n\r\n"


class NotConnected(aiohttp.ClientConnectionError):
    """There is no connection, and nothing was sent. errno: the system's, where it told one."""

    def __init__(self, message: str, errno: int | None) -> None:
        super().__init__(message)
        self.errno = errno


class Connections:
    """Those to one endpoint. base: its URL. Use as an async context manager.

    usable: whether requests can go over them; where they cannot, aiohttp's way is there for all of them.
    """

    def __init__(
        self, base: URL, sockets: Sockets, receiver: Receiver, window: Window, idle_s: float
    ) -> None:
        self._base = base
        self._sockets = sockets
        self._receiver = receiver
        self._window = window
        self._idle_s = idle_s
        self._idle: deque[Connection] = deque()
        self._sweeping: asyncio.TimerHandle | None = None
        self._addresses: tuple[float, list[AddrInfoType]] | None = None
        self._tls: ssl.SSLContext | None = None
        self.usable = False

    async def __aenter__(self) -> Connections:
        spoken = self._base.scheme in ("http", "https") and self._base.user is None
        self.usable = spoken and await _aiohttp_reads_on()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        while self._idle:
            self._idle.pop().close()

    async def exchange(
        self, request: bytes, room: Room, progress: Progress, opening: Turns, *, kept: bool
    ) -> Told:
        """Send a request, and read its answer. opening: so many connections at a time.

        kept: it may go over a connection that another was answered on, and leave its own to others; otherwise it has a
        fresh one to itself. Raises ClientError, OSError, TimeoutError and BodyTooLarge.
        """
        connection = self._take() if kept else None
        progress.reused = connection is not None
        if connection is None:
            async with opening.turn():
                connection = await self._open()
        keeps = False
        try:
            if connection.ended:
                raise aiohttp.ServerDisconnectedError
            progress.leaves()
            came = await connection.ask(request)
            head = plain(came)
            if head is None or not (is_good(head.status) or len(came) - head.start >= head.length):
                told, keeps = await self._unusual(connection, room, progress)
                return told
            progress.status = head.status
            room.held.arrives()
            body, exact = await self._body(connection, head, came, room, progress)
            keeps = head.keeps and exact and connection.rest()
            return head.status, head.headers, body
        finally:
            if keeps and kept:
                self._keep(connection)
            else:
                connection.close()

    async def _body(
        self, connection: Connection, head: Head, came: bytes, room: Room, progress: Progress
    ) -> tuple[Body, bool]:
        """The body, and whether no more came than that."""
        if head.length > room.max_bytes:
            raise BodyTooLarge(f"more than {room.max_bytes:,} bytes")
        assert progress.deadline is not None
        sink, here = Lifter(room.max_bytes), len(came) - head.start
        if here < head.length:
            sink.feed(came[head.start :])
            exact = await self._receiver.rest(
                connection.transport, connection, sink, head.length, room.held, progress.deadline
            )
            return sink.finish(), exact
        await hold(room.held, head.length, connection.transport, progress.deadline)
        sink.feed(came[head.start : head.start + head.length])
        return sink.finish(), here == head.length

    async def _unusual(self, connection: Connection, room: Room, progress: Progress) -> tuple[Told, bool]:
        """An answer that is not plain, or a long error; and whether the connection is idle after it."""
        handler = connection.hand_over()
        try:
            status = 100
            while 100 <= status < 200 and status != 101:
                message, content = await handler.read()
                status = message.code
        except HttpProcessingError as error:
            raise aiohttp.ClientPayloadError(error.message) from None
        assert progress.deadline is not None
        progress.status = status
        room.held.arrives()
        body = await read(
            content,
            Lifter(room.max_bytes),
            room,
            progress.deadline,
            good=is_good(status),
            idle_s=self._idle_s,
        )
        headers = {name.lower(): value for name, value in message.headers.items()}
        return (status, headers, body), content.is_eof() and connection.take_back()

    def _take(self) -> Connection | None:
        """The idle connection that was used last, if it is young."""
        while self._idle:
            connection = self._idle.pop()
            young = asyncio.get_running_loop().time() - connection.idle_since < YOUNG_S
            if young and not connection.ended:
                return connection
            connection.close()
        return None

    def _keep(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(YOUNG_S, self._sweep)

    def _sweep(self) -> None:
        """Close those that are not young any more, and look again when the next one is not."""
        loop, self._sweeping = asyncio.get_running_loop(), None
        while self._idle and self._idle[0].idle_since + YOUNG_S <= loop.time():
            self._idle.popleft().close()
        if self._idle:
            self._sweeping = loop.call_at(self._idle[0].idle_since + YOUNG_S, self._sweep)

    async def _open(self) -> Connection:
        """A fresh connection. Raises NotConnected, or TimeoutError after `CONNECT_TIMEOUT_S`."""
        where = f"{self._base.raw_host}:{self._base.port}"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await self._connected()
        except TimeoutError:
            raise TimeoutError(f"Cannot connect to host {where} within {CONNECT_TIMEOUT_S:.0f} s") from None
        except OSError as error:
            raise NotConnected(
                f"Cannot connect to host {where}: {error.strerror or error}", error.errno
            ) from error

    async def _connected(self) -> Connection:
        secure = await self._secured() if self._base.scheme == "https" else None
        opened = await aiohappyeyeballs.start_connection(
            await self._resolved(),
            happy_eyeballs_delay=_HAPPY_EYEBALLS_DELAY_S,
            interleave=1,
            socket_factory=self._sockets.open,
        )
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self._window),
            sock=opened,
            ssl=secure,
            server_hostname=(self._base.raw_host or "").rstrip(".") if secure else None,
        )
        return connection

    async def _resolved(self) -> list[AddrInfoType]:
        """The endpoint's addresses, asked for once a minute."""
        loop = asyncio.get_running_loop()
        if self._addresses is None or self._addresses[0] + _ADDRESSES_S < loop.time():
            found = await loop.getaddrinfo(self._base.raw_host, self._base.port, type=socket.SOCK_STREAM)
            self._addresses = (loop.time(), list(found))
        return self._addresses[1]

    async def _secured(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


async def _aiohttp_reads_on() -> bool:
    """Whether this aiohttp's protocol can take over in the middle: it is not documented, and what it would read is paid."""
    try:
        handler = ResponseHandler(asyncio.get_running_loop())
        handler.set_response_params(read_until_eof=True)
        handler.data_received(_TRIAL)
        message, content = await handler.read()
        return message.code == 200 and await content.read() == b"fox"
    except (AttributeError, TypeError, ValueError, LookupError):
        return False
