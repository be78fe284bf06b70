"""What every `Road` does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiolimiter import AsyncLimiter
from yarl import URL

from runner.engine.ports import Road
from runner.engine.shutdown import Cut
from runner.http.client import Deadlines, Transport
from runner.http.ssrf_guard import Guard
from runner.process.redaction import Redactor
from runner.providers.profile import speaker
from runner.roads.online import OnlineRoad
from schemas.failures import FailureKind
from schemas.job import Job
from schemas.outcome import Task
from schemas.providers import PROFILES
from schemas.received import Received, Rejected
from tests.faults.pictures import picture
from tests.runner.runs import Asked, Service, good
from tests.support.fakes import FakeLimiter, FakePermit, FakeRoad, received, row

Use = Callable[[Road], Awaitable[None]]


def of_fake(use: Use) -> None:
    """A road that answers at once; a slow row is one that is cut."""
    road = FakeRoad([], lambda each, _turn: received(picture(each.request.prompt)))

    async def main() -> None:
        await use(road)

    asyncio.run(main())


def of_online(use: Use) -> None:
    """Requests to a service on this machine."""

    async def answer(asked: Asked) -> object:
        return good(asked.prompt)

    @asynccontextmanager
    async def road():  # type: ignore[no-untyped-def]
        service = Service(answer)  # type: ignore[arg-type]
        async with service.serving():
            address = service.base_url
            loop = asyncio.get_running_loop()
            spoken = speaker(Job(), PROFILES["openai"], loop.time, loop.time)
            transport = Transport(address, {}, Guard(URL(address)), Deadlines(5.0))
            async with transport:
                yield OnlineRoad(transport, FakeLimiter([]), Redactor(), spoken, AsyncLimiter(10, 0.5), 10**6)

    async def main() -> None:
        async with road() as made:
            await use(made)

    asyncio.run(main())


@pytest.fixture(params=[of_fake, of_online])
def using(request: pytest.FixtureRequest) -> Callable[[Use], None]:
    """Uses a road of a service that makes every picture."""
    return request.param  # type: ignore[no-any-return]


async def forget(_task: Task) -> None:
    """No task is promised here."""


def test_what_comes_of_a_row_is_its_own_image_and_its_permit_was_used(using: Callable[[Use], None]) -> None:
    async def use(road: Road) -> None:
        permits = [FakePermit(), FakePermit()]

        async def sent(number: int) -> bytes:
            way = road.send(row(number, f"prompt {number}"), permits[number], forget, Cut())
            async with way as (result, latency_s):
                assert isinstance(result, Received)
                assert latency_s >= 0
                return b"".join(result.items[0].data or ())

        assert await asyncio.gather(sent(0), sent(1)) == [picture("prompt 0"), picture("prompt 1")]
        assert [len(permit.left) for permit in permits] == [1, 1]

    using(use)


def test_a_request_that_nobody_waits_for_is_ambiguous() -> None:
    """Of the online road: the fake answers at once."""

    async def use(road: Road) -> None:
        cut = Cut()
        cut.set()
        async with road.send(row(), FakePermit(), forget, cut) as (result, _):
            assert isinstance(result, Rejected)
            assert result.failure.kind is FailureKind.DISCONNECTED

    of_online(use)
