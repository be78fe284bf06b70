"""Requests that cost money, over connections that a server keeps, seems to keep, or drops."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from jobs.classify import BreakKind
from jobs.connection_reuse import LEFT_IDLE_S, MAX_IDLE_S
from runner.http.client import HttpClient, Timeouts
from runner.http.fast.receive import can_take_over
from runner.http.memory_budget import MemoryBudget, ResponseBudget
from runner.http.messages import Answer, BrokenExchange
from runner.http.resting import REST_S
from runner.http.sessions import CONNECT_TIMEOUT_S
from runner.http.ssrf_guard import Guard
from tests.support.clock import clock, run
from tests.support.exchanges import rest
from tests.support.rawserver import (
    Connection,
    Handler,
    RawServer,
    answering,
    chunked,
    closed_port,
    head,
    sending,
)

BODY = json.dumps({"data": [{"b64_json": base64.b64encode(b"fox" * 5000).decode()}]}).encode()
LARGE = json.dumps({"data": [{"b64_json": base64.b64encode(b"fox" * 500_000).decode()}]}).encode()
PLAIN = head(200, Content_Length=str(len(BODY))) + BODY


async def ask(transport: HttpClient, prompt: str = "a fox") -> Answer | BrokenExchange:
    with MemoryBudget().share() as share:
        return await transport.post(
            "images/generations", {"prompt": prompt}, {}, ResponseBudget(10**8, share)
        )


@asynccontextmanager
async def opened(server: RawServer) -> AsyncIterator[HttpClient]:
    url = server.base_url
    async with HttpClient(url, {}, Guard(URL(url), ()), Timeouts(60.0)) as transport:
        yield transport


@asynccontextmanager
async def trusting(server: RawServer) -> AsyncIterator[HttpClient]:
    """A transport that has seen twice that the server, at work already, keeps its connections."""
    async with opened(server) as transport:
        await ask(transport)
        await rest()
        clock().put_forward(LEFT_IDLE_S + 0.01)
        await ask(transport)
        await rest()
        yield transport


def after_trust(later: Handler) -> Handler:
    """Answers two requests of the first connection, as trust asks for, and ends it; `later` has each one after it."""
    numbers = iter(range(1000))

    async def handle(connection: Connection) -> None:
        if next(numbers):
            await later(connection)
            return
        for _ in range(2):
            await connection.request()
            await connection.answer(BODY)

    return handle


def whole(found: Answer | BrokenExchange, body: bytes = BODY) -> Answer:
    assert isinstance(found, Answer), found
    assert b"".join(found.body.verbatim()) == body
    return found


async def asked(server: RawServer, times: int, at_once: int = 8) -> list[Answer | BrokenExchange]:
    """What came of so many requests in turn, after one connection had its time to be idle."""
    async with server, opened(server) as transport:
        found = [await ask(transport)]
        await asyncio.sleep(0.05)
        clock().put_forward(LEFT_IDLE_S + 0.01)
        found.append(await ask(transport))
        for _ in range(times):
            await rest()
            found += await asyncio.gather(*(ask(transport) for _ in range(at_once)))
    return found


def count_whole(found: list[Answer | BrokenExchange]) -> int:
    return sum(isinstance(each, Answer) and each.body.images[0].data is not None for each in found)


def test_a_server_that_keeps_connections_is_sent_many_requests_over_few() -> None:
    server = RawServer(answering(BODY))
    found = run(asked(server, 20))
    assert count_whole(found) == len(found) == len(server.requests) == 162
    assert server.connections <= 9
    assert all("connection" not in seen.headers for seen in server.requests)


def test_a_connection_is_kept_after_a_large_answer_too() -> None:
    server = RawServer(answering(LARGE))
    found = run(asked(server, 5))
    assert count_whole(found) == len(found) == len(server.requests) == 42
    assert server.connections <= 9


@pytest.mark.parametrize("later_s", [0.0, 0.01], ids=["with_it", "later"])
def test_a_connection_on_which_more_came_than_was_told_is_not_used_again(later_s: float) -> None:
    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.answer(LARGE)
            await asyncio.sleep(later_s)
            await connection.send(b"x" * 10)

    server = RawServer(handle)

    async def talk() -> list[Answer | BrokenExchange]:
        async with server, opened(server) as transport:
            found = []
            for _ in range(4):
                found.append(await ask(transport))
                await asyncio.sleep(0.05)
                clock().put_forward(LEFT_IDLE_S + 0.01)
        return found

    found = run(talk())
    assert count_whole(found) == len(found) == server.connections == 4


def once(connection_s: float = 0.0, **headers: str) -> Handler:
    """Answers one request and closes the connection after so long."""

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.answer(BODY, status=200, **headers)
        await asyncio.sleep(connection_s)

    return handle


@pytest.mark.parametrize(
    "handler", [once(), once(0.02), once(Connection="close")], ids=["now", "soon", "told"]
)
def test_a_server_that_closes_after_each_answer_loses_nothing(handler: Handler) -> None:
    server = RawServer(handler)
    found = run(asked(server, 20))
    assert count_whole(found) == len(found) == len(server.requests) == server.connections == 162


def test_a_kept_connection_that_breaks_leaves_that_request_undecided_and_no_other() -> None:
    """It keeps the first connections, and drops one for good when it is asked on it for the third time."""

    async def handle(connection: Connection) -> None:
        for _ in range(2):
            await connection.request()
            await connection.answer(BODY)
        await connection.request()

    server = RawServer(handle)
    found = run(asked(server, 20, at_once=1))
    broken = [each for each in found if isinstance(each, BrokenExchange)]
    assert [each.how for each in broken] == [BreakKind.DISCONNECTED]
    assert len(found) == len(server.requests) == 22
    assert count_whole(found) == 21
    assert server.connections == 1 + 19


def test_an_idle_connection_that_is_closed_is_not_used() -> None:
    """Closed by the server while nothing was asked: seen before the next request, which goes over another."""
    server = RawServer(answering(BODY))

    async def talk() -> list[Answer | BrokenExchange]:
        async with server, opened(server) as transport:
            found = [await ask(transport)]
            await rest()
            clock().put_forward(LEFT_IDLE_S + 0.01)
            for _ in range(3):
                found.append(await ask(transport))
                await rest()
            server.drop()
            await asyncio.sleep(0.02)
            for _ in range(3):
                found.append(await ask(transport))
                await rest()
            return found

    found = run(talk())
    assert count_whole(found) == len(found) == len(server.requests) == 7
    assert server.connections == 2


def test_chunked_answers_leave_a_connection_that_can_be_used_again() -> None:
    data = head(200, Transfer_Encoding="chunked") + chunked(BODY, 1000)

    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(data)

    async def main() -> int:
        async with RawServer(handle) as server, trusting(server) as transport:
            for _ in range(5):
                whole(await ask(transport))
                await rest()
            return server.connections

    assert run(main()) == 1


@pytest.mark.parametrize(
    "answer",
    [
        head(200, Content_Length=str(len(BODY)), Connection="close") + BODY,
        head(200, Transfer_Encoding="chunked", Connection="close") + chunked(BODY, 1000),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["close", "chunked, close", "1.0"],
)
def test_a_connection_that_is_not_to_be_used_again_is_not(answer: bytes) -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer)
        await connection.gone()

    async def main() -> int:
        async with RawServer(after_trust(handle)) as server, trusting(server) as transport:
            for _ in range(3):
                whole(await ask(transport))
            return server.connections

    assert run(main()) == 4


@pytest.mark.parametrize("late_s", [0.01, REST_S + 0.02], ids=["resting", "rested"])
def test_an_answer_that_nobody_asked_for_is_not_the_next_requests(late_s: float) -> None:
    """It comes whole over an idle connection; the next request goes over a fresh one, and so do all after it."""
    stray = b'{"data": [{"b64_json": "c3RyYXk="}]}'

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.answer(BODY)
        await asyncio.sleep(late_s)
        await connection.answer(stray)
        await connection.gone()

    async def main() -> tuple[int, int]:
        async with RawServer(after_trust(handle)) as server, trusting(server) as transport:
            for _ in range(3):
                whole(await ask(transport))
                await asyncio.sleep(0.02 + late_s)
            return server.connections, len(server.requests)

    assert run(main()) == (4, 5)


def test_a_large_body_is_taken_over_with_the_aiohttp_that_is_installed() -> None:
    """What that needs of aiohttp is not documented; without it every body would come by its stream."""
    assert run(can_take_over())


def test_an_idle_connection_is_closed_when_it_is_not_young_any_more() -> None:
    gone: list[float] = []

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.answer(BODY)
        await connection.gone()
        gone.append(asyncio.get_running_loop().time())

    async def main() -> None:
        async with RawServer(after_trust(handle)) as server, trusting(server) as transport:
            whole(await ask(transport))
            answered = asyncio.get_running_loop().time()
            clock().put_forward(MAX_IDLE_S / 2)
            await asyncio.sleep(0.02)
            assert not gone
            clock().put_forward(MAX_IDLE_S / 2)
            async with asyncio.timeout(10):
                while not gone:  # noqa: ASYNC110 - nobody tells of it
                    await asyncio.sleep(0.01)
            assert gone[0] >= answered + MAX_IDLE_S

    run(main())


def test_an_answer_before_the_request_has_left_is_an_answer_and_ends_the_connection() -> None:
    async def handle(connection: Connection) -> None:
        await connection.reader.readuntil(b"\r\n\r\n")
        await connection.answer(b'{"error": "too large"}', status=413)
        await connection.gone()

    async def main() -> tuple[int, int]:
        async with RawServer(after_trust(handle)) as server, trusting(server) as transport:
            found = await ask(transport, "x" * 20_000_000)
            assert isinstance(found, Answer)
            await ask(transport)
            return found.status, server.connections

    assert run(main()) == (413, 3)


def test_a_request_that_is_cancelled_leaves_no_connection() -> None:
    gone = asyncio.Event()

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(PLAIN[:-10])
        await connection.gone()
        gone.set()

    async def main() -> int:
        async with RawServer(after_trust(handle)) as server, trusting(server) as transport:
            asking = asyncio.create_task(ask(transport))
            server.arrived.clear()
            await server.arrived.wait()
            await asyncio.sleep(0.02)
            asking.cancel()
            async with asyncio.timeout(10):
                await gone.wait()
            return server.connections

    assert run(main()) == 2


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"rubbish\r\n\r\n"])
def test_one_that_breaks_is_undecided_and_no_other_is_trusted(sent: bytes) -> None:
    async def main() -> tuple[Answer | BrokenExchange, int, int]:
        async with RawServer(after_trust(sending(sent))) as server, trusting(server) as transport:
            found = await ask(transport)
            asked = len(server.requests)
            server.handler = answering(BODY)
            for _ in range(3):
                whole(await ask(transport))
            return found, asked, server.connections

    found, asked, opened = run(main())
    assert isinstance(found, BrokenExchange)
    assert (found.how, found.status) == (BreakKind.DISCONNECTED, None)
    assert (asked, opened) == (3, 5)


def test_what_cannot_be_connected_to_is_told_by_name() -> None:
    port = closed_port()

    async def silence(connection: Connection) -> None:
        await connection.reader.read(1)
        clock().put_forward(CONNECT_TIMEOUT_S + 1)
        await connection.gone()

    async def one(base_url: str) -> str:
        async with HttpClient(base_url, {}, Guard(URL(base_url), ()), Timeouts(60.0)) as transport:
            found = await ask(transport)
            assert isinstance(found, BrokenExchange)
            assert found.how is BreakKind.BEFORE_SENDING
            return found.detail

    async def main() -> tuple[str, str, int]:
        async with RawServer(silence) as server:
            late = await one(server.base_url.replace("http:", "https:"))
            return await one(f"http://127.0.0.1:{port}/v1"), late, server.port

    refused, late, late_port = run(main())
    assert refused.startswith(f"no connection: Cannot connect to host 127.0.0.1:{port}: ")
    assert late == f"no connection: Cannot connect to host 127.0.0.1:{late_port} within 10 s"


def test_a_request_with_a_connection_to_itself_leaves_it_to_nobody() -> None:
    """Where a server is still tried: the first connection is left alone, and what comes meanwhile has its own."""
    here: set[int] = set()

    async def handle(connection: Connection) -> None:
        number = connection.server.connections
        here.add(number)
        try:
            while True:
                await connection.request()
                await connection.answer(BODY)
        finally:
            here.remove(number)

    async def main() -> None:
        async with RawServer(handle) as server:
            guard = Guard(URL(server.base_url), ())
            async with HttpClient(server.base_url, {}, guard, Timeouts(60.0)) as transport:
                for _ in range(3):
                    whole(await ask(transport))
                await asyncio.sleep(0.02)
                assert (here, server.connections) == ({1}, 3)

    run(main())
