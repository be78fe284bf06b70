"""The aiohttp sessions of a run: no cookies, no compression, and a mark when a request's headers are about to leave."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp import ClientTimeout, TCPConnector, TraceConfig

from runner.guard import Guard, GuardedResolver

_PLAIN = {"Accept-Encoding": "identity", "User-Agent": "imagemill"}


def for_requests(connect_s: float, *, kept_s: float | None = None) -> aiohttp.ClientSession:
    """For requests that cost money: each has a fresh connection, or one that was idle for up to `kept_s` seconds."""
    timeout = ClientTimeout(total=None, connect=connect_s, sock_connect=connect_s)
    if kept_s is None:
        return _session(TCPConnector(limit=0, force_close=True, ttl_dns_cache=60), timeout)
    return _session(TCPConnector(limit=0, keepalive_timeout=kept_s, ttl_dns_cache=60), timeout)


def guarded(guard: Guard, connect_s: float, *, limit: int, kept_s: float) -> aiohttp.ClientSession:
    """For what is free: connections are kept for `kept_s` seconds, go where the guard allows, and wait their turn."""
    connector = TCPConnector(
        limit=limit, keepalive_timeout=kept_s, resolver=GuardedResolver(guard), use_dns_cache=False
    )
    return _session(connector, ClientTimeout(total=None, sock_connect=connect_s))


def _session(connector: TCPConnector, timeout: ClientTimeout) -> aiohttp.ClientSession:
    """Each request's `trace_request_ctx` has `on_sent()`, called when its headers are about to leave, and `reused`, set
    when it goes over a connection that was kept."""
    trace = TraceConfig()
    trace.on_connection_reuseconn.append(_mark_reused)
    trace.on_request_headers_sent.append(_mark_sent)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        headers=_PLAIN,
        trace_configs=[trace],
    )


async def _mark_sent(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.on_sent()


async def _mark_reused(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.reused = True
