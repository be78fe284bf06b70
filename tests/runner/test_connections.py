"""Requests over connections of our own, once a server has shown that it keeps them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp.client_proto import ResponseHandler
from yarl import URL

import runner.http.fast.connection
from jobs.classify import Broke
from jobs.keeping import LEFT_IDLE_S, YOUNG_S
from runner.http.client import Deadlines, Transport
from runner.http.fast import pool
from runner.http.fast.connection import FIRST_BYTES
from runner.http.fast.pool import Connections
from runner.http.fast.receive import Receiver, Window
from runner.http.memory_budget import Memory, Room
from runner.http.messages import Answer, Broken
from runner.http.sessions import CONNECT_TIMEOUT_S, Sockets
from runner.http.ssrf_guard import Guard
from tests.runner.clock import clock, run
from tests.runner.rawserver import (
    Connection,
    Handler,
    RawServer,
    Seen,
    answering,
    chunked,
    closed_port,
    head,
    sending,
)

BODY = json.dumps({"data": [{"b64_json": base64.b64encode(b"fox" * 5000).decode()}]}).encode()
PLAIN = head(200, Content_Length=str(len(BODY))) + BODY


async def ask(
    transport: Transport, prompt: str = "a fox", path: str = "images/generations"
) -> Answer | Broken:
    with Memory().holding() as held:
        return await transport.post(path, {"prompt": prompt}, {"Idempotency-Key": "k"}, Room(10**8, held))


@asynccontextmanager
async def trusting(server: RawServer, query: str = "") -> AsyncIterator[Transport]:
    """A transport that has seen twice that the server, at work already, keeps its connections."""
    url = server.base_url + query
    async with Transport(
        url, {"Authorization": "Bearer k"}, Guard(URL(url), ()), Deadlines(60.0)
    ) as transport:
        await ask(transport)
        clock().put_forward(LEFT_IDLE_S + 0.01)
        await ask(transport)
        await asyncio.sleep(0.02)
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


def whole(found: Answer | Broken, body: bytes = BODY) -> Answer:
    assert isinstance(found, Answer), found
    assert b"".join(found.body.verbatim()) == body
    return found


@pytest.mark.parametrize("query", ["", "?api-version=2026-01-01&x=%20a"])
def test_the_same_is_sent_as_aiohttp_sends(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> Seen:
        async with RawServer(answering(BODY)) as server:
            url = server.base_url + query
            key = {"Authorization": "Bearer k"}
            async with Transport(url, key, Guard(URL(url), ()), Deadlines(60.0)) as transport:
                await ask(transport)  # may leave its connection; what comes at once has one to itself
                whole(await ask(transport, "a fox é 🦊"))
                assert server.connections == 2
                last = server.requests[-1]
                return replace(last, headers=last.headers | {"host": last.headers["host"].partition(":")[0]})

    async def no() -> bool:
        return False

    ours = run(main())
    monkeypatch.setattr(pool, "_aiohttp_reads_on", no)
    assert run(main()) == ours
    assert ours.headers["connection"] == "close"


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
            return server.connections

    assert run(main()) == 1


@pytest.mark.parametrize(
    "answer",
    [
        head(200, Content_Length=str(len(BODY)), Connection="close") + BODY,
        head(200, Transfer_Encoding="chunked", Connection="close") + chunked(BODY, 1000),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN + b"x",
    ],
    ids=["close", "chunked, close", "1.0", "more than told"],
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


def test_bytes_that_nobody_asked_for_end_an_idle_connection() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.answer(BODY)
        await asyncio.sleep(0.02)
        await connection.send(PLAIN)
        await connection.gone()

    async def main() -> int:
        async with RawServer(after_trust(handle)) as server, trusting(server) as transport:
            for _ in range(3):
                whole(await ask(transport))
                await asyncio.sleep(0.05)
            return server.connections

    assert run(main()) == 4


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
            clock().put_forward(YOUNG_S / 2)
            await asyncio.sleep(0.02)
            assert not gone
            clock().put_forward(YOUNG_S / 2)
            async with asyncio.timeout(10):
                while not gone:  # noqa: ASYNC110 - nobody tells of it
                    await asyncio.sleep(0.01)
            assert gone[0] >= answered + YOUNG_S

    run(main())


def test_a_head_that_is_cut_at_any_byte_is_read() -> None:
    body = b'{"data":[{"b64_json":"QUJD"}]}'
    answer = head(200, Content_Length=str(len(body)), X_Request_Id="r") + body
    ends = iter(range(1, len(answer)))

    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            end = next(ends)
            await connection.send(answer[:end])
            await asyncio.sleep(0.002)
            await connection.send(answer[end:])

    async def main() -> int:
        async with RawServer(after_trust(handle)) as server, trusting(server) as transport:
            for _ in range(1, len(answer)):
                assert whole(await ask(transport), body).headers["x-request-id"] == "r"
            return server.connections

    assert run(main()) == 2


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
    async def main() -> tuple[Answer | Broken, int, int]:
        async with RawServer(after_trust(sending(sent))) as server, trusting(server) as transport:
            found = await ask(transport)
            asked = len(server.requests)
            server.handler = answering(BODY)
            for _ in range(3):
                whole(await ask(transport))
            return found, asked, server.connections

    found, asked, opened = run(main())
    assert isinstance(found, Broken)
    assert (found.how, found.status) == (Broke.DISCONNECTED, None)
    assert (asked, opened) == (3, 5)


def test_little_of_a_large_answer_is_read_before_there_is_room_for_it() -> None:
    async def main() -> int:
        window = Window()
        async with (
            RawServer(answering(b"x" * 2_000_000)) as server,
            Connections(URL(server.base_url), Sockets(), Receiver(window, 60.0), window, 60.0) as made,
        ):
            connection = await made._connected()
            came = await connection.ask(b"POST / HTTP/1.1\r\n\r\n")
            connection.close()
            return len(came)

    assert run(main()) <= FIRST_BYTES


def test_where_aiohttp_does_not_read_on_its_own_way_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a later version might refuse: the arguments of something that is not documented."""

    async def usable(url: str) -> bool:
        window = Window()
        async with Connections(URL(url), Sockets(), Receiver(window, 60.0), window, 60.0) as made:
            return made.usable

    assert asyncio.run(usable("http://127.0.0.1/v1"))
    assert not asyncio.run(usable("http://user:pass@127.0.0.1/v1"))
    usual = ResponseHandler.set_response_params

    def another(self: ResponseHandler) -> None:
        usual(self)

    monkeypatch.setattr(ResponseHandler, "set_response_params", another)
    assert not asyncio.run(usable("http://127.0.0.1/v1"))


def test_what_cannot_be_connected_to_is_told_by_name() -> None:
    port = closed_port()

    async def silence(connection: Connection) -> None:
        await connection.reader.read(1)
        clock().put_forward(CONNECT_TIMEOUT_S + 1)
        await connection.gone()

    async def one(base_url: str) -> str:
        async with Transport(base_url, {}, Guard(URL(base_url), ()), Deadlines(60.0)) as transport:
            found = await ask(transport)
            assert isinstance(found, Broken)
            assert found.how is Broke.BEFORE_SENDING
            return found.detail

    async def main() -> tuple[str, str, int]:
        async with RawServer(silence) as server:
            late = await one(server.base_url.replace("http:", "https:"))
            return await one(f"http://127.0.0.1:{port}/v1"), late, server.port

    refused, late, late_port = run(main())
    assert refused.startswith(f"no connection: Cannot connect to host 127.0.0.1:{port}: ")
    assert late == f"no connection: Cannot connect to host 127.0.0.1:{late_port} within 10 s"


def test_a_connection_that_ends_before_anything_was_sent_is_before_sending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when TLS is there, and gone in the same moment."""
    usual = Connections._connected

    async def slowly(self: Connections) -> runner.http.fast.connection.Connection:
        made = await usual(self)
        while not made.lost:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.001)
        return made

    async def leaves_at_once(connection: Connection) -> None:
        """Closes without reading."""

    async def main() -> tuple[Answer | Broken, int]:
        async with RawServer(leaves_at_once) as server:
            guard = Guard(URL(server.base_url), ())
            async with Transport(server.base_url, {}, guard, Deadlines(60.0)) as transport:
                return await ask(transport), len(server.requests)

    monkeypatch.setattr(Connections, "_connected", slowly)
    found, requests = run(main())
    assert isinstance(found, Broken)
    assert (found.how, requests) == (Broke.BEFORE_SENDING, 0)


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
            async with Transport(server.base_url, {}, guard, Deadlines(60.0)) as transport:
                for _ in range(3):
                    whole(await ask(transport))
                await asyncio.sleep(0.02)
                assert (here, server.connections) == ({1}, 3)

    run(main())
