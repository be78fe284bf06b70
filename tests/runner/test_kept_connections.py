"""Requests that cost money, over connections that a server keeps, seems to keep, or drops."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from yarl import URL

from jobs.classify import Broke
from jobs.keeping import LEFT_IDLE_S
from runner.http.client import Deadlines, Transport
from runner.http.memory_budget import Memory, Room
from runner.http.messages import Answer, Broken
from runner.http.ssrf_guard import Guard
from tests.runner.rawserver import Connection, Handler, RawServer, answering

BODY = json.dumps({"data": [{"b64_json": base64.b64encode(b"fox" * 5000).decode()}]}).encode()
LARGE = json.dumps({"data": [{"b64_json": base64.b64encode(b"fox" * 500_000).decode()}]}).encode()


async def ask(transport: Transport) -> Answer | Broken:
    with Memory().holding() as held:
        return await transport.post("images/generations", {"prompt": "a fox"}, {}, Room(10**8, held))


async def asked(server: RawServer, times: int, at_once: int = 8) -> list[Answer | Broken]:
    """What came of so many requests in turn, after one connection had its time to be idle."""
    async with (
        server,
        Transport(server.base_url, {}, Guard(URL(server.base_url), ()), Deadlines(60.0)) as transport,
    ):
        found = [await ask(transport)]
        await asyncio.sleep(LEFT_IDLE_S + 0.1)
        found.append(await ask(transport))
        for _ in range(times):
            found += await asyncio.gather(*(ask(transport) for _ in range(at_once)))
    return found


def whole(found: list[Answer | Broken]) -> int:
    return sum(isinstance(each, Answer) and each.body.images[0].data is not None for each in found)


def test_a_server_that_keeps_connections_is_sent_many_requests_over_few() -> None:
    server = RawServer(answering(BODY))
    found = asyncio.run(asked(server, 20))
    assert whole(found) == len(found) == len(server.requests) == 162
    assert server.connections <= 9
    assert all("connection" not in seen.headers for seen in server.requests)


def test_a_connection_is_kept_after_a_large_answer_too() -> None:
    server = RawServer(answering(LARGE))
    found = asyncio.run(asked(server, 5))
    assert whole(found) == len(found) == len(server.requests) == 42
    assert server.connections <= 9


@pytest.mark.parametrize("later_s", [0.0, 0.05], ids=["with_it", "later"])
def test_a_connection_on_which_more_came_than_was_told_is_not_used_again(later_s: float) -> None:
    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.answer(LARGE)
            await asyncio.sleep(later_s)
            await connection.send(b"x" * 10)

    server = RawServer(handle)

    async def talk() -> list[Answer | Broken]:
        async with (
            server,
            Transport(server.base_url, {}, Guard(URL(server.base_url), ()), Deadlines(60.0)) as transport,
        ):
            found = []
            for _ in range(4):
                found.append(await ask(transport))
                await asyncio.sleep(LEFT_IDLE_S + 0.1)
        return found

    found = asyncio.run(talk())
    assert whole(found) == len(found) == server.connections == 4


def once(connection_s: float = 0.0, **headers: str) -> Handler:
    """Answers one request and closes the connection after so long."""

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.answer(BODY, **headers)
        await asyncio.sleep(connection_s)

    return handle


@pytest.mark.parametrize(
    "handler", [once(), once(0.1), once(Connection="close")], ids=["now", "soon", "told"]
)
def test_a_server_that_closes_after_each_answer_loses_nothing(handler: Handler) -> None:
    server = RawServer(handler)
    found = asyncio.run(asked(server, 20))
    assert whole(found) == len(found) == len(server.requests) == server.connections == 162


def test_a_kept_connection_that_breaks_leaves_that_request_undecided_and_no_other() -> None:
    """It keeps the first connections, and drops one for good when it is asked on it for the third time."""

    async def handle(connection: Connection) -> None:
        for _ in range(2):
            await connection.request()
            await connection.answer(BODY)
        await connection.request()

    server = RawServer(handle)
    found = asyncio.run(asked(server, 20, at_once=1))
    broken = [each for each in found if isinstance(each, Broken)]
    assert [each.how for each in broken] == [Broke.DISCONNECTED]
    assert len(found) == len(server.requests) == 22
    assert whole(found) == 21
    assert server.connections == 1 + 19


def test_an_idle_connection_that_is_closed_is_not_used() -> None:
    """Closed by the server while nothing was asked: seen before the next request, which goes over another."""
    server = RawServer(answering(BODY))

    async def talk() -> list[Answer | Broken]:
        async with (
            server,
            Transport(server.base_url, {}, Guard(URL(server.base_url), ()), Deadlines(60.0)) as transport,
        ):
            found = [await ask(transport)]
            await asyncio.sleep(LEFT_IDLE_S + 0.1)
            found += [await ask(transport) for _ in range(3)]
            server.drop()
            await asyncio.sleep(0.1)
            return [*found, *[await ask(transport) for _ in range(3)]]

    found = asyncio.run(talk())
    assert whole(found) == len(found) == len(server.requests) == 7
    assert server.connections == 2
