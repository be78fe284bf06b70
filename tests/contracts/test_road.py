"""What every `Road` does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from aiohttp import web

from runner.engine.ports import Road
from runner.engine.shutdown import CancelEvent
from schemas.outcome import Link, OpenWork, Reported, Unfetched
from schemas.received import Received
from schemas.row import Row
from tests.attacks.faults.pictures import picture
from tests.support.fakes import FakePermit, FakeRoad, received, row
from tests.support.roads import online_road
from tests.support.runs import SeenRequest, Service, good

Use = Callable[[Road], Awaitable[None]]


NEXT_KEY = {"Authorization": "Bearer the-next-one"}


def _fake_answer(asked: Row, _turn: int) -> Received:
    if asked.request.n > 1:
        return received(*(picture(str(at)) for at in range(asked.request.n)))
    return received(picture(asked.request.prompt))


def of_fake(use: Use) -> None:
    """A road that answers at once; it has one more key."""
    road = FakeRoad([], _fake_answer, keys=1)

    async def main() -> None:
        await use(road)

    asyncio.run(main())


def of_online(use: Use) -> None:
    """Requests to a service on this machine. There is one more key."""
    keys: list[dict[str, str] | None] = [NEXT_KEY]

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        return good(asked.prompt)

    async def read_key() -> Mapping[str, str] | None:
        return keys.pop() if keys else None

    async def main() -> None:
        service = Service(answer, files={f"{at}.png": picture(str(at)) for at in range(3)})
        async with service.serving(), online_road(service.base_url, read_key=read_key) as road:
            await use(road)

    asyncio.run(main())


@pytest.fixture(params=[of_fake, of_online])
def using(request: pytest.FixtureRequest) -> Callable[[Use], None]:
    """Uses a road of a service that makes every picture."""
    return request.param  # type: ignore[no-any-return]


async def forget(_task: OpenWork) -> None:
    """No task is promised here."""


def test_what_comes_of_a_row_is_its_own_image_and_its_permit_was_used(using: Callable[[Use], None]) -> None:
    async def use(road: Road) -> None:
        permits = [FakePermit(), FakePermit()]

        async def sent(number: int) -> bytes:
            way = road.send(row(number, f"prompt {number}"), permits[number], forget, CancelEvent())
            async with way as (result, latency_s):
                assert isinstance(result, Received)
                assert latency_s >= 0
                return b"".join(result.items[0].data or ())

        assert [*await asyncio.gather(sent(0), sent(1))] == [picture("prompt 0"), picture("prompt 1")]
        assert [len(permit.left) for permit in permits] == [1, 1]

    using(use)


def test_images_of_an_earlier_answer_are_fetched_and_nothing_is_sent(using: Callable[[Use], None]) -> None:
    """G2. Of three images two are behind URLs; each comes back as the one of its position."""

    async def use(road: Road) -> None:
        asked = row(0, "prompt 0", n=3)
        waits = Unfetched(tuple(Link(at, f"/files/{at}.png") for at in (0, 2)), 3, 0, 200, Reported(), 5)
        async with road.rejoin(asked, waits, forget, CancelEvent()) as (result, _):
            assert isinstance(result, Received)
            assert [item.link for item in result.items] == list(waits.links)
            assert [b"".join(item.data or ()) for item in result.items] == [picture("0"), picture("2")]
            assert result.unfetched == waits

    using(use)


def test_a_refused_key_is_renewed_while_there_is_another(using: Callable[[Use], None]) -> None:
    async def use(road: Road) -> None:
        clock = asyncio.get_running_loop().time
        assert [await road.renew_key(clock()), await road.renew_key(clock())] == [True, False]

    using(use)


def test_requests_carry_a_renewed_key() -> None:
    """Of the online road; the fake sends nothing anywhere."""
    seen: list[str | None] = []

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        seen.append(asked.headers.get("Authorization"))
        return good(asked.prompt)

    async def read_key() -> Mapping[str, str] | None:
        return NEXT_KEY

    async def main() -> None:
        service = Service(answer)
        async with service.serving(), online_road(service.base_url, read_key=read_key) as road:
            for number in range(2):
                async with road.send(row(number), FakePermit(), forget, CancelEvent()):
                    assert await road.renew_key(asyncio.get_running_loop().time())

    asyncio.run(main())
    assert seen == [None, NEXT_KEY["Authorization"]]
