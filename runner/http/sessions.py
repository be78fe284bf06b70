"""The aiohttp sessions of a run: no cookies, no compression, and a mark when a request's headers are about to leave.

The marks are made by subclasses of aiohttp's request and connector. Its traces would do the same, and take 0.05 ms more of
the event loop for each request (a tenth of what a 20 KB answer takes).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp import ClientTimeout, TCPConnector
from aiohttp.client_proto import ResponseHandler

from jobs.connection_reuse import MAX_IDLE_S
from runner.http.broken_framing import Arriving
from runner.http.resting import RestingConnector
from runner.http.ssrf_guard import Guard, GuardedResolver

CONNECT_TIMEOUT_S = 10.0
"""From the name's resolution to the end of the TLS handshake."""
FILE_CONNECTIONS = 64
FILE_IDLE_S = 2.0
"""How long a connection for image URLs is kept. For requests that cost money see `jobs.connection_reuse`."""
POLL_CONNECTIONS = 16
POLL_IDLE_S = 15.0
"""Polls are free, so they may share connections; a server that closes one under a poll does no harm."""
MAX_UNSENT = 128
"""Requests at most that have not left yet; more at a time would all wait for the last, and meet a server's backlog."""

MOST_HEADER_BYTES = 2**16
"""Of one line of an answer's head. Proxies add policies and traces to it, and behind it is an image that was paid for."""

PLAIN = {"Accept-Encoding": "identity", "User-Agent": "imagemill"}


class ConnectionUnusable(aiohttp.ClientConnectionError):
    """A connection ended, or brought bytes that nobody had asked for, before a request was sent over it."""


class _Request(aiohttp.ClientRequest):
    """Marks the progress of its exchange."""

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """See `aiohttp.ClientRequest.send`."""
        if (progress := PROGRESS.get()) is not None:
            progress.sending()
        return await super().send(conn)


class _PaidRequest(_Request):
    """Checks its connection again before it is sent.

    aiohttp takes bytes that arrived on an idle connection for the answer to the next request, which would save one row's
    image under another; and it reports headers as sent when there is nothing left to write them to.
    """

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """See `aiohttp.ClientRequest.send`. Raises ConnectionUnusable before anything is sent."""
        protocol = conn.protocol
        if protocol is None or not protocol.is_connected() or protocol.should_close:
            raise ConnectionUnusable("the connection ended before the request was sent")
        return await super().send(conn)


class _Connector(TCPConnector):
    """Marks when a connection is made for an exchange, rather than reused."""

    async def _create_connection(self, *arguments: Any) -> ResponseHandler:
        if (progress := PROGRESS.get()) is not None:
            progress.connecting()
        return await super()._create_connection(*arguments)


class _KeptConnector(RestingConnector, _Connector):
    """Does both."""


class Sessions:
    """Four sessions, open inside the async context manager.

    For what costs money: fresh, with a connection for each request, and keepalive, whose connections are used
    again for a short while (see `jobs.connection_reuse`). For what is free: files, for image URLs, and polls, for tasks;
    both reuse connections, within a limit, and go only where the guard allows.

    unasked: called when a connection for what costs money brings bytes that nobody asked for.
    """

    def __init__(self, guard: Guard, unasked: Callable[[], None]) -> None:
        self._guard = guard
        self._unasked = unasked

    async def __aenter__(self) -> Sessions:
        self.fresh = self._paid(_Connector(limit=0, ttl_dns_cache=60, force_close=True))
        self.keepalive = self._paid(
            _KeptConnector(self._unasked, limit=0, ttl_dns_cache=60, keepalive_timeout=MAX_IDLE_S)
        )
        self.files = self._free(FILE_CONNECTIONS, FILE_IDLE_S)
        self.polls = self._free(POLL_CONNECTIONS, POLL_IDLE_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (self.fresh, self.keepalive, self.files, self.polls):
            await session.close()

    def _paid(self, connector: TCPConnector) -> aiohttp.ClientSession:
        return _session(connector, _PaidRequest)

    def _free(self, limit: int, kept_s: float) -> aiohttp.ClientSession:
        connector = _Connector(
            limit=limit,
            keepalive_timeout=kept_s,
            resolver=GuardedResolver(self._guard),
            use_dns_cache=False,
        )
        return _session(connector)


class SendSlots:
    """Limits how many requests are about to be sent at a time."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    def slot(self) -> SendSlot:
        """One slot, taken at the start of the block."""
        return SendSlot(self._free)


class SendSlot:
    """A slot, held until `end` is called or its block ends. Use as an async context manager, once."""

    __slots__ = ("_free", "_taken")

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._taken = False

    async def __aenter__(self) -> SendSlot:
        await self._free.acquire()
        self._taken = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Free the slot. Later calls do nothing."""
        if self._taken:
            self._taken = False
            self._free.release()


class RequestProgress:
    """How far a request has come. Its deadline starts when its headers leave; connecting has a limit of its own.

    fresh: a connection was made for it. status: of its answer, once that begins. arriving: that answer.
    """

    __slots__ = ("_on_sent", "_slot", "_total_s", "arriving", "deadline", "fresh", "sent", "status")

    def __init__(self, total_s: float, on_sent: Callable[[], None], slot: SendSlot | None = None) -> None:
        self._total_s = total_s
        self._on_sent = on_sent
        self._slot = slot
        self.deadline: asyncio.Timeout | None = None
        self.sent = self.fresh = False
        self.status: int | None = None
        self.arriving: Arriving | None = None

    def connecting(self) -> None:
        """A connection is being made for it."""
        self.fresh = True
        self._expires_in(CONNECT_TIMEOUT_S)

    def sending(self) -> None:
        """Its headers are about to leave."""
        self.sent = True
        self._expires_in(self._total_s)
        if self._slot is not None:
            self._slot.end()
        on_sent, self._on_sent = (
            self._on_sent,
            _nothing,
        )  # a kept connection keeps this object, by its context variables
        on_sent()

    def _expires_in(self, seconds: float) -> None:
        if self.deadline is not None:
            self.deadline.reschedule(asyncio.get_running_loop().time() + seconds)


def _nothing() -> None:
    """What is called when headers leave a second time."""


PROGRESS: ContextVar[RequestProgress | None] = ContextVar("progress", default=None)
"""Of the exchange that this task carries out."""


def _session(
    connector: TCPConnector, request_class: type[aiohttp.ClientRequest] = _Request
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        request_class=request_class,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=ClientTimeout(total=None, sock_connect=None),
        headers=PLAIN,
        max_line_size=MOST_HEADER_BYTES,
        max_field_size=MOST_HEADER_BYTES,
    )
