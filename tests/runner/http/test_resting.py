"""G19. A picture stands under the row whose request made it, though a gateway sends answers that nobody asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from runner.http.messages import Answer
from tests.support.clock import run
from tests.support.exchanges import Way, opened, post, rest
from tests.support.exchanges import way as way
from tests.support.rawserver import Connection, Handler, RawServer

GOOD = 10


def numbered(prompt: str, size: int) -> bytes:
    """The answer to this prompt."""
    return json.dumps({"data": [], "prompt": prompt, "padding": "x" * size}).encode()


def twice_after(good: int, gap_s: float, size: int, stray: Callable[[bytes], bytes]) -> Handler:
    """Answers so many requests well, and sends something more behind each later one."""
    seen = iter(range(10**6))

    async def handle(connection: Connection) -> None:
        late: set[asyncio.Task[None]] = set()

        async def again(answer: bytes) -> None:
            await asyncio.sleep(gap_s)
            await connection.send(stray(answer))

        while True:
            request = await connection.request()
            body = numbered(json.loads(request.body)["prompt"], size)
            await connection.answer(body)
            if next(seen) >= good:
                late.add(asyncio.create_task(again(body)))

    return handle


def an_answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def rubbish(_body: bytes) -> bytes:
    return b"\r\n0\r\n\r\n"


@pytest.mark.parametrize("gap_s", [0.0, 0.0005, 0.002, 0.004])
@pytest.mark.parametrize("size", [10, 200_000])
@pytest.mark.parametrize("stray", [an_answer, rubbish])
def test_what_nobody_asked_for_is_no_rows_picture_and_ends_the_reuse_of_connections(
    gap_s: float, size: int, stray: Callable[[bytes], bytes]
) -> None:
    async def main() -> tuple[list[bool], int, int]:
        async with (
            RawServer(twice_after(GOOD, gap_s, size, stray)) as server,
            opened(server.base_url) as transport,
        ):
            rights = []
            for turn in range(10):
                prompts = [f"{turn}/{lane}" for lane in range(4)]
                found = await asyncio.gather(*(post(transport, prompt=prompt) for prompt in prompts))
                rights += [
                    isinstance(each, Answer) and each.body.document()["prompt"] == prompt
                    for each, prompt in zip(found, prompts, strict=True)
                ]
                if turn == 4:
                    await rest()
                    before = server.connections
            return rights, server.connections - before, len(server.requests)

    rights, opened_later, requests = run(main())
    assert rights == [True] * 40
    assert (opened_later, requests) == (20, 40), "each of the last has a connection of its own"


def test_connections_that_have_rested_are_used_again(way: Way) -> None:
    async def main() -> int:
        async with (
            RawServer(twice_after(10**6, 0.0, 10, rubbish)) as server,
            opened(server.base_url) as transport,
        ):
            for _ in range(8):
                await post(transport)
                await rest()
            return server.connections

    if way.keeps:
        assert run(main()) == 1
