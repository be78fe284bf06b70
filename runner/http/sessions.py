"""The aiohttp sessions of a run: no cookies, no compression, and a mark when a request's headers are about to leave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp import ClientTimeout, TCPConnector, TraceConfig
from aiohttp.connector import AddrInfoType

from runner.http.memory_budget import BYTES_IN_FLIGHT
from runner.http.ssrf_guard import Guard, GuardedResolver

CONNECT_TIMEOUT_S = 10.0
FILE_CONNECTIONS = 64
FILE_IDLE_S = 2.0
"""How long a connection for image URLs is kept. For requests that cost money see `jobs.keeping`."""
POLL_CONNECTIONS = 16
POLL_IDLE_S = 15.0
"""Polls are free, so they may share connections; a server that closes one under a poll does no harm."""
MOST_RECEIVED_BYTES = 2**20
MOST_LEAVING = 128
"""Requests at most that have not left yet; more at a time would all wait for the last, and meet a server's backlog."""

PLAIN = {"Accept-Encoding": "identity", "User-Agent": "imagemill"}


class Sessions:
    """Three sessions, open inside the async context manager.

    requests: for what costs money where `runner.http.fast.pool` is of no use, each over a fresh connection. files: for image
    URLs, and polls: for tasks; what is free goes where the guard allows, over connections that are kept, and waits its
    turn.
    """

    def __init__(self, guard: Guard, sockets: Sockets) -> None:
        self._guard = guard
        self._sockets = sockets

    async def __aenter__(self) -> Sessions:
        self.requests = self._charged()
        self.files = self._free(FILE_CONNECTIONS, FILE_IDLE_S)
        self.polls = self._free(POLL_CONNECTIONS, POLL_IDLE_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (self.requests, self.files, self.polls):
            await session.close()

    def _charged(self) -> aiohttp.ClientSession:
        timeout = ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        connector = TCPConnector(
            limit=0, ttl_dns_cache=60, socket_factory=self._sockets.open, force_close=True
        )
        return _session(connector, timeout)

    def _free(self, limit: int, kept_s: float) -> aiohttp.ClientSession:
        connector = TCPConnector(
            limit=limit,
            keepalive_timeout=kept_s,
            resolver=GuardedResolver(self._guard),
            use_dns_cache=False,
            socket_factory=self._sockets.open,
        )
        return _session(connector, ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S))


class Sockets:
    """Makes sockets that have room from the start for an answer that comes fast; less each, the more there are.

    Linux lets the room grow while an answer arrives, but megabytes from near are here before it has. `SO_RCVBUF` would
    end that growing, and has a limit meant for other things; a low-water mark, set and taken back, does neither.
    """

    def __init__(self) -> None:
        self._open: WeakSet[socket.socket] = WeakSet()

    def open(self, address: AddrInfoType) -> socket.socket:
        """A socket for this address, as aiohttp would make it but for the room."""
        family, kind, protocol, *_ = address
        opened = socket.socket(family, kind, protocol)
        self._open.add(opened)
        with suppress(OSError):
            for least_bytes in (min(MOST_RECEIVED_BYTES, BYTES_IN_FLIGHT // len(self._open)), 1):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least_bytes)
        return opened


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

    def leaves(self) -> None:
        """Its headers are about to leave."""
        self.sent = True
        if self.deadline is not None:
            self.deadline.reschedule(asyncio.get_running_loop().time() + self._total_s)
        if self._turn is not None:
            self._turn.end()
        self._on_sent()


def _session(connector: TCPConnector, timeout: ClientTimeout) -> aiohttp.ClientSession:
    """Each request's `trace_request_ctx` is its `Progress`, or None."""
    trace = TraceConfig()
    trace.on_request_headers_sent.append(_mark_sent)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        headers=PLAIN,
        trace_configs=[trace],
    )


async def _mark_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.leaves()
