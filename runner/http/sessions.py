"""The aiohttp sessions of a run: no cookies, no compression, and a mark when a request's headers are about to leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp import ClientTimeout, TCPConnector, TraceConfig

from jobs.keeping import YOUNG_S
from runner.http.ssrf_guard import Guard, GuardedResolver

CONNECT_TIMEOUT_S = 10.0
"""From the name's resolution to the end of the TLS handshake."""
FILE_CONNECTIONS = 64
FILE_IDLE_S = 2.0
"""How long a connection for image URLs is kept. For requests that cost money see `jobs.keeping`."""
POLL_CONNECTIONS = 16
POLL_IDLE_S = 15.0
"""Polls are free, so they may share connections; a server that closes one under a poll does no harm."""
MOST_LEAVING = 128
"""Requests at most that have not left yet; more at a time would all wait for the last, and meet a server's backlog."""

PLAIN = {"Accept-Encoding": "identity", "User-Agent": "imagemill"}


class ConnectionUnusable(aiohttp.ClientConnectionError):
    """A connection ended, or brought bytes that nobody had asked for, before a request was sent over it."""


class _PaidRequest(aiohttp.ClientRequest):
    """Looks at its connection once more before it leaves.

    aiohttp takes an answer that came over an idle connection for that of the next request, which would put one row's
    picture under another; and it says that headers leave when there is nothing left to write them to.
    """

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """See `aiohttp.ClientRequest.send`. Raises ConnectionUnusable before anything is sent."""
        protocol = conn.protocol
        if protocol is None or not protocol.is_connected() or protocol.should_close:
            raise ConnectionUnusable("the connection ended before the request was sent")
        return await super().send(conn)


class Sessions:
    """Four sessions, open inside the async context manager.

    For what costs money: fresh, with a connection for each request, and kept, whose connections are used again while
    they are young (see `jobs.keeping`). files: for image URLs, and polls: for tasks; what is free goes where the guard
    allows, over connections that are kept, and waits its turn.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def __aenter__(self) -> Sessions:
        self.fresh = self._paid(force_close=True)
        self.kept = self._paid(keepalive_timeout=YOUNG_S)
        self.files = self._free(FILE_CONNECTIONS, FILE_IDLE_S)
        self.polls = self._free(POLL_CONNECTIONS, POLL_IDLE_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (self.fresh, self.kept, self.files, self.polls):
            await session.close()

    def _paid(self, **keeping: Any) -> aiohttp.ClientSession:
        connector = TCPConnector(limit=0, ttl_dns_cache=60, **keeping)
        return _session(connector, _PaidRequest)

    def _free(self, limit: int, kept_s: float) -> aiohttp.ClientSession:
        connector = TCPConnector(
            limit=limit,
            keepalive_timeout=kept_s,
            resolver=GuardedResolver(self._guard),
            use_dns_cache=False,
        )
        return _session(connector)


class Turns:
    """So many at a time."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)

    def turn(self) -> Turn:
        """One of them, from the start of its block."""
        return Turn(self._free)


class Turn:
    """Lasts until it is told to end, or as long as its block. Use as an async context manager, once."""

    __slots__ = ("_free", "_has_it")

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._has_it = False

    async def __aenter__(self) -> Turn:
        await self._free.acquire()
        self._has_it = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Let the next one begin. Once it has ended, this does nothing."""
        if self._has_it:
            self._has_it = False
            self._free.release()


class Progress:
    """How far a request has come. Its deadline starts when its headers leave; connecting has a limit of its own.

    reused: it goes over a connection that was kept. status: of its answer, once that begins.
    """

    __slots__ = ("_on_sent", "_total_s", "_turn", "deadline", "reused", "sent", "status")

    def __init__(self, total_s: float, on_sent: Callable[[], None], turn: Turn | None = None) -> None:
        self._total_s = total_s
        self._on_sent = on_sent
        self._turn = turn
        self.deadline: asyncio.Timeout | None = None
        self.sent = self.reused = False
        self.status: int | None = None

    def connects(self) -> None:
        """A connection is being made for it."""
        self._expires_in(CONNECT_TIMEOUT_S)

    def leaves(self) -> None:
        """Its headers are about to leave."""
        self.sent = True
        self._expires_in(self._total_s)
        if self._turn is not None:
            self._turn.end()
        self._on_sent()

    def _expires_in(self, seconds: float) -> None:
        if self.deadline is not None:
            self.deadline.reschedule(asyncio.get_running_loop().time() + seconds)


def _session(
    connector: TCPConnector, request_class: type[aiohttp.ClientRequest] = aiohttp.ClientRequest
) -> aiohttp.ClientSession:
    """Each request's `trace_request_ctx` is its `Progress`, or None."""
    trace = TraceConfig()
    trace.on_connection_create_start.append(_mark_connecting)
    trace.on_connection_reuseconn.append(_mark_reused)
    trace.on_request_headers_sent.append(_mark_sent)
    return aiohttp.ClientSession(
        connector=connector,
        request_class=request_class,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=ClientTimeout(total=None, sock_connect=None),
        headers=PLAIN,
        trace_configs=[trace],
    )


async def _mark_connecting(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.connects()


async def _mark_reused(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.reused = True


async def _mark_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.leaves()
