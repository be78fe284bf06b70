"""Exchanges with a server of plain sockets, by every way that bodies and connections can come."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import Any

import pytest
from yarl import URL

from jobs.classify import BreakKind
from jobs.connection_reuse import LEFT_IDLE_S, ConnectionReuse
from runner.http.client import IDLE_TIMEOUT_S, HttpClient, Timeouts
from runner.http.fast.receive import DirectBodyReader
from runner.http.memory_budget import MemoryBudget, ResponseBudget
from runner.http.messages import Answer, BrokenExchange
from runner.http.resting import REST_S
from runner.http.ssrf_guard import Guard
from runner.http.stream import BodyReader, StreamBodyReader
from tests.support.canary import CANARY
from tests.support.clock import run
from tests.support.rawserver import (
    Handler,
    RawServer,
    Seen,
)

KEY = {"Authorization": f"Bearer {CANARY}"}
IMAGE = random.Random(3).randbytes(40_000)
BODY = json.dumps({"created": 1, "data": [{"b64_json": base64.b64encode(IMAGE).decode()}]}).encode()
PATH = "images/generations"


class Way(Enum):
    """How bodies come, and over which connections."""

    AS_RUNS = "as in a run"
    FRESH_BY_STREAM = "fresh connections, aiohttp's stream"
    FRESH_DIRECT = "fresh connections, straight from the socket"
    KEPT_BY_STREAM = "a kept connection, aiohttp's stream"
    KEPT_DIRECT = "a kept connection, straight from the socket"

    @property
    def keeps(self) -> bool:
        """Whether a connection is used again at once."""
        return self in (Way.KEPT_BY_STREAM, Way.KEPT_DIRECT)

    @property
    def is_fresh(self) -> bool:
        """Whether none is ever used again."""
        return self in (Way.FRESH_BY_STREAM, Way.FRESH_DIRECT)

    def reuse(self) -> ConnectionReuse:
        """What is known of the server."""
        reuse = ConnectionReuse()
        if self.is_fresh:
            reuse.broke(reuse_allowed=True)
        return trusting() if self.keeps else reuse

    def reader(self) -> BodyReader | None:
        """What reads bodies."""
        match self:
            case Way.FRESH_BY_STREAM | Way.KEPT_BY_STREAM:
                return StreamBodyReader(IDLE_TIMEOUT_S)
            case Way.FRESH_DIRECT | Way.KEPT_DIRECT:
                return DirectBodyReader(IDLE_TIMEOUT_S, least_bytes=1)
        return None


_WAY: ContextVar[Way] = ContextVar("way", default=Way.AS_RUNS)


@pytest.fixture(params=Way, ids=lambda each: each.name, autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """One suite for every way; a module has it by importing this."""
    token = _WAY.set(request.param)
    yield request.param
    _WAY.reset(token)


def trusting() -> ConnectionReuse:
    """A server that has shown that it keeps its connections."""
    reuse = ConnectionReuse()
    reuse.allows(0.0)
    reuse.answered(0.0, 0.1, reuse_allowed=True, reused=False)
    reuse.allows(LEFT_IDLE_S)
    reuse.answered(LEFT_IDLE_S, 0.1, reuse_allowed=True, reused=True)
    return reuse


@asynccontextmanager
async def opened(base_url: str, *listed: str, total_s: float = 600.0) -> AsyncIterator[HttpClient]:
    """A transport to this endpoint."""
    way = _WAY.get()
    guard, timeouts = Guard(URL(base_url), listed), Timeouts(total_s)
    async with HttpClient(
        base_url, KEY, guard, timeouts, reuse=way.reuse(), reader=way.reader()
    ) as transport:
        yield transport


@contextmanager
def response_budget(max_bytes: int = 10**7, memory: MemoryBudget | None = None) -> Iterator[ResponseBudget]:
    """Room for one answer."""
    with (memory or MemoryBudget()).share() as share:
        yield ResponseBudget(max_bytes, share)


async def post(transport: HttpClient, max_bytes: int = 10**7, **body: Any) -> Answer | BrokenExchange:
    """One POST."""
    with response_budget(max_bytes) as space:
        return await transport.post(PATH, body or {"prompt": "a fox"}, {"Idempotency-Key": "k1"}, space)


async def rest() -> None:
    """Let connections rest, so that they may be used again."""
    await asyncio.sleep(REST_S + 0.01)


async def fetch(transport: HttpClient, url: str, max_bytes: int = 10**7) -> Answer | BrokenExchange:
    """One fetch."""
    with response_budget(max_bytes) as space:
        return await transport.fetch(url, space)


def posted(handler: Handler, *, max_bytes: int = 10**7) -> tuple[Answer | BrokenExchange, list[Seen]]:
    """What a POST to a server with this handler came to, and the requests that the server saw."""

    async def main() -> tuple[Answer | BrokenExchange, list[Seen]]:
        async with RawServer(handler) as server, opened(server.base_url) as transport:
            return await post(transport, max_bytes), server.requests

    return run(main())


def fetched(
    handler: Handler, path: str = "/v1/files/1.png", *listed: str, max_bytes: int = 10**7
) -> tuple[Answer | BrokenExchange, list[Seen]]:
    """What a fetch of this path came to, and the requests that the server saw."""

    async def main() -> tuple[Answer | BrokenExchange, list[Seen]]:
        async with RawServer(handler) as server, opened(server.base_url, *listed) as transport:
            return await fetch(transport, server.origin + path, max_bytes), server.requests

    return run(main())


def broke(found: Answer | BrokenExchange) -> tuple[BreakKind, int | None]:
    """How it broke and the status that was seen."""
    assert isinstance(found, BrokenExchange), found
    return found.how, found.status


def whole(found: Answer | BrokenExchange, data: bytes) -> Answer:
    """The answer, which must hold these bytes."""
    assert isinstance(found, Answer), found
    assert b"".join(found.body.verbatim()) == data
    return found
