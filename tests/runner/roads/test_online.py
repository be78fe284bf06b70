"""The online road over real sockets: what leaves, what becomes durable, what is polled and fetched, and what a cut leaves.

What every road does is in `tests/contracts/test_road.py`.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from aiolimiter import AsyncLimiter

from jobs.rate_headers import ReportedRate
from runner.engine.shutdown import CancelEvent
from runner.process.redaction import Redactor
from runner.roads.online import FETCH_PAUSES_S, OnlineRoad, idempotency_key
from schemas.failures import FailureKind
from schemas.outcome import OpenWork, Task, Unfetched, Unfinished
from schemas.received import Received, Rejected, Result
from schemas.row import Row
from tests.attacks.faults.pictures import picture
from tests.support.clock import clock, run
from tests.support.fakes import FakeLimiter, FakePermit, row
from tests.support.rawserver import Connection, RawServer, closed_port
from tests.support.roads import MAX_IMAGE_BYTES, online_road

KIND = FailureKind
POST, POLL, FILE = "/v1/images/generations", "/v1/tasks/t1", "/files/1.png"
PROMISE = {"id": "t1", "status": "queued"}
GOING = {"id": "t1", "status": "processing"}
IMAGE = picture("a fox")
GOOD = {"created": 1, "data": [{"b64_json": base64.b64encode(IMAGE).decode()}]}
Answer = tuple[int, bytes | dict[str, Any]]


@dataclass
class Played:
    """A service that answers the requests for each target in turn, the last answer for ever; others get 404."""

    answers: dict[str, list[Answer]]
    headers: dict[str, str] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)

    async def handle(self, connection: Connection) -> None:
        while True:
            seen = await connection.request()
            self.times.setdefault(seen.target, []).append(clock().time())
            left = self.answers.get(seen.target, [(404, b"")])
            status, body = left.pop(0) if len(left) > 1 else left[0]
            origin = f"http://{seen.headers['host']}"
            data = body if isinstance(body, bytes) else json.dumps(body).replace("ORIGIN", origin).encode()
            await connection.answer(data, status=status, **self.headers)


class Silent(Played):
    """Takes requests and answers none."""

    async def handle(self, connection: Connection) -> None:
        await connection.request()
        await asyncio.get_running_loop().create_future()


def served(
    played: Played, use: Callable[[OnlineRoad, RawServer], Awaitable[None]], **road: Any
) -> list[tuple[str, str]]:
    """Method and target of each request that the service got."""

    async def main() -> None:
        async with RawServer(played.handle) as server, online_road(server.base_url, **road) as made:
            await use(made, server)
            seen.extend((each.method, each.target) for each in server.requests)

    seen: list[tuple[str, str]] = []
    run(main())
    return seen


async def forget(_task: OpenWork) -> None:
    """Nothing is to be made durable."""


async def hurried(sending: Awaitable[Result]) -> Result:
    """What it comes to, on a clock that hurries."""
    task = asyncio.ensure_future(sending)
    while not task.done():
        await asyncio.sleep(0.001)
        clock().put_forward(0.05)
    return await task


async def result_of(road: OnlineRoad, sent: Row | None = None, cut: CancelEvent | None = None) -> Result:
    async with road.send(sent or row(), FakePermit(), forget, cut or CancelEvent()) as (result, _):
        return result


async def rejoined(road: OnlineRoad, task: Task, cut: CancelEvent | None = None) -> Result:
    async with road.rejoin(row(), task, forget, cut or CancelEvent()) as (result, _):
        return result


def bytes_of(result: Result) -> list[bytes]:
    """The images of an answer, which must be there."""
    assert isinstance(result, Received), result
    assert [item.failure for item in result.items] == [None] * len(result.items)
    return [b"".join(item.data or ()) for item in result.items]


def failure_of(result: Result) -> tuple[FailureKind, str]:
    """Why the one image of an answer is not there."""
    assert isinstance(result, Received), result
    (item,) = result.items
    assert item.failure is not None
    return item.failure.kind, item.failure.message


# The request


def test_a_request_carries_the_rows_own_key_and_its_permit_is_used_as_it_leaves() -> None:
    async def use(road: OnlineRoad, server: RawServer) -> None:
        permit, before = FakePermit(), clock().time()
        async with road.send(row(3), permit, forget, CancelEvent()) as (result, latency_s):
            assert bytes_of(result) == [IMAGE]
        (seen,) = server.requests
        assert seen.headers["idempotency-key"] == idempotency_key(row(3))
        assert json.loads(seen.body) == {"prompt": "a fox"}
        (left,) = permit.left
        after = clock().time()
        assert before <= left <= after
        assert 0 <= latency_s <= after - before

    assert served(Played({POST: [(200, GOOD)]}), use) == [("POST", POST)]


def test_the_same_row_has_the_same_key_and_another_edition_another() -> None:
    some = row(1)
    assert idempotency_key(some) == idempotency_key(row(1))
    others = (row(2), some._replace(edition=1), some._replace(edition=2), some._replace(manifest_prompt="x"))
    assert len({idempotency_key(each) for each in (some, *others)}) == 5
    halves = [row(1, half)._replace(manifest_prompt="x") for half in ("\ud83e", "\udd8a")]
    assert len({idempotency_key(each) for each in halves}) == 2
    assert [len(part) for part in idempotency_key(some).split("-")] == [8, 4, 4, 4, 12]


def test_what_an_answer_says_of_limits_is_heard() -> None:
    limiter = FakeLimiter([])

    async def use(road: OnlineRoad, _server: RawServer) -> None:
        await result_of(road)

    played = Played({POST: [(200, GOOD)]}, {"x_ratelimit_limit_requests": "60"})
    served(played, use, limiter=limiter)
    assert limiter.journal == ["limiter.observe_rates"]


def test_nothing_is_heard_where_no_answer_came() -> None:
    limiter = FakeLimiter([])

    async def main() -> Result:
        async with online_road(f"http://127.0.0.1:{closed_port()}/v1", limiter=limiter) as road:
            return await result_of(road)

    result = run(main())
    assert isinstance(result, Rejected)
    assert (result.failure.kind, limiter.journal) == (KIND.CONNECT, [])


def test_a_body_may_be_as_large_as_the_images_that_were_asked_for() -> None:
    body = {**GOOD, "padding": "x" * 3_000_000}

    async def use(road: OnlineRoad, _server: RawServer) -> None:
        alone = await result_of(road, row(0, n=1))
        assert isinstance(alone, Rejected)
        cap = MAX_IMAGE_BYTES * 4 // 3 + 2**20
        assert alone.failure.message == f"the answer broke off: more than {cap:,} bytes"
        two = await result_of(road, row(0, n=2))
        assert bytes_of(two) == [IMAGE]

    served(Played({POST: [(200, body)]}), use)


# A cut


def test_a_request_that_was_cut_before_it_left_costs_nothing() -> None:
    async def use(road: OnlineRoad, _server: RawServer) -> None:
        cut, permit = CancelEvent(), FakePermit()
        cut.set()
        async with road.send(row(), permit, forget, cut) as (result, _):
            assert isinstance(result, Rejected)
            assert (result.failure.kind, result.failure.maybe_billed) == (KIND.CONNECT, False)
        assert (permit.left, permit.given_back) == ([], True)

    assert served(Played({POST: [(200, GOOD)]}), use) == []


def test_a_request_that_has_left_and_nobody_waits_for_is_ambiguous() -> None:
    async def use(road: OnlineRoad, server: RawServer) -> None:
        cut = CancelEvent()
        sending = asyncio.create_task(result_of(road, cut=cut))
        while not server.requests:  # noqa: ASYNC110 - the server announces nothing
            await asyncio.sleep(0.001)
        cut.set()
        result = await sending
        assert isinstance(result, Rejected)
        assert result.failure.kind is KIND.INTERRUPTED
        assert result.failure.message == (
            "imagemill was stopped before the answer came; the service may have made and charged the image"
        )

    served(Silent({}), use)


def test_a_cut_waits_for_a_task_that_is_on_its_way_to_the_disk() -> None:
    """G7."""

    async def use(road: OnlineRoad, _server: RawServer) -> None:
        asked, durable, recorded, cut = asyncio.Event(), asyncio.Event(), list[str](), CancelEvent()

        async def checkpoint(task: OpenWork) -> None:
            asked.set()
            await durable.wait()
            assert isinstance(task, Task)
            recorded.append(task.task_id)

        async def send() -> Result:
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
        assert (result.kind, recorded) == (KIND.STOPPED, ["t1"])
        assert result.message == "imagemill was stopped while the task was made"

    assert served(Played({POST: [(202, PROMISE)]}), use) == [("POST", POST)]


def test_a_cut_leaves_an_earlier_runs_task_to_the_next() -> None:
    async def use(road: OnlineRoad, _server: RawServer) -> None:
        cut = CancelEvent()
        cut.set()
        result = await rejoined(road, Task("t1"), cut)
        assert isinstance(result, Unfinished)
        assert result.kind is KIND.STOPPED

    served(Played({POLL: [(200, GOING)]}), use)


# Tasks


def test_a_task_is_polled_to_its_end_and_its_image_fetched() -> None:
    done = {"id": "t1", "status": "completed", "data": [{"url": f"ORIGIN{FILE}"}]}
    promised: list[OpenWork] = []

    async def use(road: OnlineRoad, _server: RawServer) -> None:
        async def checkpoint(task: OpenWork) -> None:
            promised.append(task)

        async with road.send(row(), FakePermit(), checkpoint, CancelEvent()) as (result, _):
            assert bytes_of(result) == [IMAGE]

    answers: dict[str, list[Answer]] = {
        POST: [(202, PROMISE)],
        POLL: [(200, GOING), (200, done)],
        FILE: [(200, IMAGE)],
    }
    assert served(Played(answers), use) == [("POST", POST), ("GET", POLL), ("GET", POLL), ("GET", FILE)]
    assert promised[0] == Task("t1")
    assert isinstance(promised[1], Unfetched), "the URL of its image"


def test_an_earlier_runs_task_is_polled_at_once_and_nothing_is_sent_again() -> None:
    async def use(road: OnlineRoad, _server: RawServer) -> None:
        assert bytes_of(await rejoined(road, Task("t1"))) == [IMAGE]

    done = {"id": "t1", "status": "completed", **GOOD}
    assert served(Played({POLL: [(200, done)]}), use, poll_every=1000) == [("GET", POLL)]


def test_a_task_is_not_polled_before_it_is_durable() -> None:
    """G7. A poll would come after a millisecond."""
    polls = AsyncLimiter(10, 1000.0)

    async def use(road: OnlineRoad, _server: RawServer) -> None:
        durable, cut, unpolled = asyncio.Event(), CancelEvent(), list[bool]()

        async def checkpoint(_task: OpenWork) -> None:
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

    served(Played({POST: [(202, PROMISE)], POLL: [(200, GOING)]}), use, polls=polls)


def test_the_address_of_a_poll_is_made_durable_as_it_came() -> None:
    """G7: without its query the next run could not ask for the task. The ledger erases it when the task has ended."""
    told = "/elsewhere/t1?signature=secret"
    promised: list[OpenWork] = []

    async def use(road: OnlineRoad, server: RawServer) -> None:
        async def checkpoint(task: OpenWork) -> None:
            promised.append(task)

        async with road.send(row(), FakePermit(), checkpoint, CancelEvent()) as (result, _):
            assert bytes_of(result) == [IMAGE]
        assert promised == [Task("t1", f"{server.origin}{told}")]

    done = {"id": "t1", "status": "completed", **GOOD}
    promise = {**PROMISE, "urls": {"get": f"ORIGIN{told}"}}
    answers: dict[str, list[Answer]] = {POST: [(202, promise)], told: [(200, done)]}
    assert served(Played(answers), use) == [("POST", POST), ("GET", told)]


def test_a_poll_at_an_address_where_we_do_not_go_is_not_sent() -> None:
    async def use(road: OnlineRoad, _server: RawServer) -> None:
        result = await hurried(rejoined(road, Task("t1", "http://169.254.169.254/t1")))
        assert isinstance(result, Unfinished)
        assert result.kind is KIND.TASK_TIMEOUT
        assert "[redacted]" in result.message
        assert "169.254" not in result.message

    redactor = Redactor()
    redactor.register("169.254.169.254")
    seen = served(Played({}), use, redactor=redactor, task_timeout=0.01)
    assert ("GET", "/t1") not in seen


# Images at URLs


def linked(url: str) -> Answer:
    return 200, {"created": 1, "data": [{"url": url}]}


def test_an_image_that_is_late_is_fetched_again() -> None:
    async def use(road: OnlineRoad, _server: RawServer) -> None:
        assert bytes_of(await hurried(result_of(road))) == [IMAGE]

    late: list[Answer] = [(404, b""), (503, b""), (200, IMAGE)]
    played = Played({POST: [linked(f"ORIGIN{FILE}")], FILE: late})
    seen = served(played, use, total_s=600)
    assert seen == [("POST", POST), *[("GET", FILE)] * 3]
    times = played.times[FILE]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert [pause >= least for pause, least in zip(pauses, FETCH_PAUSES_S, strict=True)] == [True] * 2


def test_an_image_that_does_not_come_is_given_up_with_the_last_reason() -> None:
    async def use(road: OnlineRoad, _server: RawServer) -> None:
        result = await hurried(result_of(road))
        assert failure_of(result) == (KIND.DOWNLOAD, "the image's URL gave: HTTP 410")

    gone: list[Answer] = [(404, b""), (410, b"")]
    played = Played({POST: [linked(f"ORIGIN{FILE}")], FILE: gone})
    assert served(played, use, total_s=600) == [("POST", POST), *[("GET", FILE)] * 3]


def test_an_image_that_is_too_large_is_given_up() -> None:
    async def use(road: OnlineRoad, _server: RawServer) -> None:
        kind, message = failure_of(await hurried(result_of(road)))
        assert kind is KIND.DOWNLOAD
        assert message.startswith("the image's URL gave: ")
        assert "HTTP" not in message

    large = b"x" * (MAX_IMAGE_BYTES + 1)
    served(Played({POST: [linked(f"ORIGIN{FILE}")], FILE: [(200, large)]}), use, total_s=600)


def test_an_image_at_an_address_where_we_do_not_go_is_not_fetched() -> None:
    async def use(road: OnlineRoad, _server: RawServer) -> None:
        kind, message = failure_of(await result_of(road))
        assert kind is KIND.DOWNLOAD_REFUSED
        assert "[redacted]" in message
        assert "169.254" not in message

    redactor = Redactor()
    redactor.register("169.254.169.254")
    seen = served(Played({POST: [linked("http://169.254.169.254/x.png")]}), use, redactor=redactor)
    assert seen == [("POST", POST)]


# Whatever comes


def test_an_exception_over_an_answer_is_the_outcome_of_its_row_and_the_body_is_kept() -> None:
    """G2. A limiter that cannot take what a header says stands for whatever may be wrong between wire and ledger."""

    class Stumbling(FakeLimiter):
        def observe_rates(self, rates: Mapping[str, ReportedRate]) -> None:
            raise OverflowError(f"cannot convert {len(rates)} floats")

    async def use(road: OnlineRoad, _server: RawServer) -> None:
        result = await result_of(road)
        assert isinstance(result, Rejected)
        assert result.failure.kind is KIND.BAD_CONTENT
        assert "OverflowError" in result.failure.message
        assert result.body is not None
        assert b"b64_json" in b"".join(result.body.verbatim())

    served(Played({POST: [(200, GOOD)]}), use, limiter=Stumbling([]))
