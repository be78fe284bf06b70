"""What an exchange holds of the memory for all of them."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack

from runner.http.client import HttpClient
from runner.http.memory_budget import MemoryBudget, ResponseBudget
from runner.http.messages import Answer, BrokenExchange
from tests.support.clock import clock, run
from tests.support.exchanges import (
    BODY,
    PATH,
    opened,
    whole,
)
from tests.support.exchanges import way as way
from tests.support.rawserver import (
    Connection,
    RawServer,
    answering,
    head,
)


def test_when_memory_is_used_up_the_oldest_answer_goes_on() -> None:
    async def main() -> list[str]:
        landed: list[str] = []
        memory = MemoryBudget(total=len(BODY) + 1000, oldest=1)
        first_held = asyncio.Event()

        async def handle(connection: Connection) -> None:
            seen = await connection.request()
            half = len(BODY) // 2
            await connection.send(head(200, Content_Length=str(len(BODY))) + BODY[:half])
            if json.loads(seen.body)["prompt"] == "old":
                first_held.set()
                await asyncio.sleep(0.05)
            await connection.send(BODY[half:])

        async def exchange(prompt: str, transport: HttpClient) -> None:
            with memory.share() as share:
                found = await transport.post(PATH, {"prompt": prompt}, {}, ResponseBudget(10**7, share))
                whole(found, BODY)
                landed.append(prompt)

        async with RawServer(handle) as server, opened(server.base_url) as transport:
            old = asyncio.create_task(exchange("old", transport))
            await first_held.wait()
            await asyncio.sleep(0.02)
            young = asyncio.create_task(exchange("young", transport))
            await asyncio.gather(old, young)
        assert memory.used == 0
        return landed

    assert run(main()) == ["old", "young"]


def test_time_spent_waiting_for_our_own_memory_is_not_the_services() -> None:
    async def main() -> Answer | BrokenExchange:
        memory = MemoryBudget(total=1000, oldest=1)
        async with RawServer(answering(BODY)) as server, opened(server.base_url) as transport:
            older = ExitStack()
            await older.enter_context(memory.share()).acquire(1000)
            with memory.share() as share:
                exchange = asyncio.create_task(
                    transport.post(PATH, {"prompt": "x"}, {}, ResponseBudget(10**7, share))
                )
                await server.arrived.wait()
                await asyncio.sleep(0.03)
                clock().put_forward(5000)
                await asyncio.sleep(0.01)
                assert not exchange.done()
                older.close()
                return await exchange

    whole(run(main()), BODY)


def test_a_second_body_of_an_attempt_arrives_like_the_first() -> None:
    """What holds memory and has not arrived is not taken to be landing."""

    async def main() -> None:
        go_on = asyncio.Event()

        async def handle(connection: Connection) -> None:
            await connection.request()
            await connection.send(head(200, Content_Length="10") + b"01234")
            await go_on.wait()
            await connection.send(b"56789")

        memory = MemoryBudget()
        async with RawServer(handle) as server, opened(server.base_url) as transport:
            with memory.share() as share:
                assert share.try_acquire(7)
                share.received()
                assert memory.awaiting_disk == 7
                fetching = asyncio.create_task(
                    transport.fetch(f"{server.origin}/fox.png", ResponseBudget(100, share))
                )
                async with asyncio.timeout(10):
                    while not share.arriving:  # noqa: ASYNC110 - nobody tells of it
                        await asyncio.sleep(0.01)
                assert memory.awaiting_disk == 0
                go_on.set()
                assert isinstance(await fetching, Answer)
                assert memory.awaiting_disk == memory.used == 17

    asyncio.run(main())
