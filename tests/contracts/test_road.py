"""What every `Road` does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
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
from schemas.outcome import Task, Unfinished
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


async def picture_of(asked: Asked) -> web.StreamResponse:
    """The answer that holds the prompt's picture, with the service's limits in its headers."""
    answer = good(asked.prompt)
    answer.headers["x-ratelimit-limit-requests"] = "60"
    return answer


async def promise(_asked: Asked) -> web.StreamResponse:
    """The answer that promises a task."""
    return web.json_response({"id": "task-1", "status": "queued"}, status=202)


def of_online(
    use: Use,
    answer: Callable[[Asked], Awaitable[web.StreamResponse]] = picture_of,
    limiter: FakeLimiter | None = None,
    polls: AsyncLimiter | None = None,
) -> None:
    """Requests to a service on this machine."""

    async def main() -> None:
        service = Service(answer)
        async with service.serving():
            address, loop = service.base_url, asyncio.get_running_loop()
            job = Job.model_validate({"endpoint": {"poll_every": 0.001}})
            spoken = speaker(job, PROFILES["openai"], loop.time, loop.time)
            async with Transport(address, {}, Guard(URL(address)), Deadlines(5.0)) as transport:
                paced = polls or AsyncLimiter(10, 0.5)
                await use(OnlineRoad(transport, limiter or FakeLimiter([]), Redactor(), spoken, paced, 10**6))

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


def test_what_an_answer_says_of_limits_is_heard() -> None:
    limiter = FakeLimiter([])

    async def use(road: Road) -> None:
        async with road.send(row(), FakePermit(), forget, Cut()):
            pass

    of_online(use, limiter=limiter)
    assert limiter.journal == ["limiter.heard"]


def test_a_task_is_not_polled_before_it_is_durable() -> None:
    """G7. A poll would come after a millisecond."""
    polls = AsyncLimiter(10, 1000.0)

    async def use(road: Road) -> None:
        durable, cut, unpolled = asyncio.Event(), Cut(), []

        async def checkpoint(_task: Task) -> None:
            for _ in range(20):
                await asyncio.sleep(0.002)
            unpolled.append(polls.has_capacity(10))
            durable.set()

        async def send() -> None:
            async with road.send(row(), FakePermit(), checkpoint, cut):
                pass

        sending = asyncio.create_task(send())
        await durable.wait()
        while polls.has_capacity(10):  # noqa: ASYNC110 - a limiter announces nothing
            await asyncio.sleep(0.001)
        cut.set()
        await sending
        assert unpolled == [True]

    of_online(use, promise, polls=polls)


def test_a_cut_waits_for_a_task_that_is_on_its_way_to_the_disk() -> None:
    """G7. The cut comes while the task is on its way to the disk."""

    async def use(road: Road) -> None:
        asked, durable, recorded, cut = asyncio.Event(), asyncio.Event(), [], Cut()

        async def checkpoint(task: Task) -> None:
            asked.set()
            await durable.wait()
            recorded.append(task.task_id)

        async def send() -> object:
            async with road.send(row(), FakePermit(), checkpoint, cut) as (result, _):
                return result

        sending = asyncio.create_task(send())
        await asked.wait()
        cut.set()
        for _ in range(50):
            await asyncio.sleep(0)
        assert not sending.done()
        durable.set()
        result = await sending
        assert isinstance(result, Unfinished)
        assert (result.kind, recorded) == (FailureKind.STOPPED, ["task-1"])

    of_online(use, promise)
