"""What an exchange holds of the memory for all of them."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack

from runner.http.client import Transport
from runner.http.memory_budget import Memory, Room
from runner.http.messages import Answer, Broken
from tests.runner.clock import clock, run
from tests.runner.exchanges import (
    BODY,
    PATH,
    opened,
    whole,
)
from tests.runner.exchanges import way as way
from tests.runner.rawserver import (
    Connection,
    RawServer,
    answering,
    head,
)


def test_when_memory_is_used_up_the_oldest_answer_goes_on() -> None:
    async def main() -> list[str]:
        landed: list[str] = []
        memory = Memory(total=len(BODY) + 1000, oldest=1)
        first_held = asyncio.Event()

        async def handle(connection: Connection) -> None:
            seen = await connection.request()
            half = len(BODY) // 2
            await connection.send(head(200, Content_Length=str(len(BODY))) + BODY[:half])
            if json.loads(seen.body)["prompt"] == "old":
                first_held.set()
                await asyncio.sleep(0.05)
            await connection.send(BODY[half:])

        async def exchange(prompt: str, transport: Transport) -> None:
            with memory.holding() as held:
                found = await transport.post(PATH, {"prompt": prompt}, {}, Room(10**7, held))
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
    async def main() -> Answer | Broken:
        memory = Memory(total=1000, oldest=1)
        async with RawServer(answering(BODY)) as server, opened(server.base_url) as transport:
            older = ExitStack()
            await older.enter_context(memory.holding()).take(1000)
            with memory.holding() as held:
                exchange = asyncio.create_task(transport.post(PATH, {"prompt": "x"}, {}, Room(10**7, held)))
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

        memory = Memory()
        async with RawServer(handle) as server, opened(server.base_url) as transport:
            with memory.holding() as held:
                assert held.take_now(7)
                held.arrived()
                assert memory.landing == 7
                fetching = asyncio.create_task(transport.fetch(f"{server.origin}/fox.png", Room(100, held)))
                async with asyncio.timeout(10):
                    while not held.arriving:  # noqa: ASYNC110 - nobody tells of it
                        await asyncio.sleep(0.01)
                assert memory.landing == 0
                go_on.set()
                assert isinstance(await fetching, Answer)
                assert memory.landing == memory.used == 17

    asyncio.run(main())
