"""Images that are paid for and cannot be fetched at once: fetched later, in this run or the next, and never bought again."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from jobs.downloads import GONE_TWICE_MS, OLD_MS
from runner.process.clock import wall_ms
from schemas.output_folder import LEDGER_NAME
from tests.attacks.faults.pictures import picture
from tests.support.clock import clock
from tests.support.manifests import Record, prompts
from tests.support.runs import Going, Ran, SeenRequest, Service, engine_run, kinds

SIGNED = "sig=s3cret"


def linking(*names: str) -> Service:
    """A service whose images are behind signed URLs, named after the prompt unless they have names here."""

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        origin = service.base_url.removesuffix("/v1")
        data = [{"url": f"{origin}/files/{name}?{SIGNED}"} for name in names or (asked.prompt,)]
        return web.json_response({"created": 1, "data": data, "usage": {"cost": 0.25}})

    service = Service(answer)
    return service


def numbered(*texts: str, **fields: str) -> list[Record]:
    """The rows of these prompts."""
    return [{**record, **fields} for record in prompts(*texts)]


async def hurried(going: Going) -> None:
    """Let nothing wait for long."""
    while True:
        await going.settle()
        clock().put_forward(5)


def ran(out: Path, service: Service, records: list[Record], **more: Any) -> Ran:
    return engine_run(out, service, records, beside=hurried, **more)


def page(_name: str) -> web.Response:
    return web.Response(text="<!doctype html><title>Back soon</title>", content_type="text/html")


def down(_name: str) -> web.Response:
    return web.Response(status=503, text="upstream connect error")


def half(name: str) -> web.Response:
    whole = picture(name)
    return web.Response(body=whole[: len(whole) // 2], content_type="image/png")


@pytest.mark.parametrize("trouble", [page, down, half])
def test_an_image_host_that_has_trouble_for_a_while_costs_nothing(
    tmp_path: Path, trouble: Callable[[str], web.Response]
) -> None:
    service = linking()
    service.files["fox"] = picture("fox")
    service.host = lambda name: trouble(name) if len(service.fetched) < 5 else None
    found = ran(tmp_path, service, numbered("fox"))
    assert found.files == {"r0/0": picture("fox")}
    assert kinds(found) == {"r0": [("succeeded", None)]}
    assert len(service.asked) == 1
    assert found.ledger("SELECT maybe_billed, cost_usd FROM outcomes") == [(0, 0.25)]
    assert found.ledger("SELECT * FROM unfetched") == []
    assert list((tmp_path / "quarantine").iterdir()) == []


@pytest.mark.parametrize("trouble", [page, down, half])
def test_what_a_run_could_not_fetch_the_next_one_fetches_without_paying(
    tmp_path: Path, trouble: Callable[[str], web.Response]
) -> None:
    service = linking()
    service.files["fox"] = picture("fox")
    service.host = trouble
    first = ran(tmp_path, service, numbered("fox"))
    assert kinds(first) == {"r0": [("pending", "download")]}
    assert first.ledger("SELECT maybe_billed, cost_usd FROM outcomes") == [(1, 0.25)]
    assert SIGNED not in str(first.ledger("SELECT * FROM outcomes"))

    service.host = lambda _name: None
    second = ran(tmp_path, service, numbered("fox"))
    assert second.files == {"r0/0": picture("fox")}
    assert kinds(second) == {"r0": [("succeeded", None)]}
    assert (len(service.asked), second.counters.sent, second.counters.done) == (1, 0, 1)
    assert second.ledger("SELECT cost_usd FROM outcomes") == [(0.25,)]
    erased = b"".join(path.read_bytes() for path in tmp_path.glob(f"{LEDGER_NAME}"))
    assert SIGNED.encode() not in erased


def test_an_image_that_the_guard_refuses_is_fetched_once_the_user_allows_its_host(tmp_path: Path) -> None:
    service = linking()

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        port = service.base_url.rsplit(":", 1)[1].removesuffix("/v1")
        return web.json_response({"data": [{"url": f"http://127.0.0.2:{port}/files/fox?{SIGNED}"}]})

    service.answer = answer
    found = ran(tmp_path, service, numbered("fox"))
    assert kinds(found) == {"r0": [("pending", "download_refused")]}
    assert SIGNED not in str(found.ledger("SELECT * FROM outcomes"))
    assert (len(service.asked), service.fetched) == (1, [])


def test_of_several_images_those_that_came_are_saved_and_only_the_others_remain(tmp_path: Path) -> None:
    service = linking("a", "b", "c")
    service.files = {name: picture(name) for name in "abc"}
    service.host = lambda name: down(name) if name == "b" else None
    found = ran(tmp_path, service, numbered("foxes", n="3"))
    assert found.files == {"r0/0": picture("a"), "r0/2": picture("c")}
    assert kinds(found) == {"r0": [("succeeded", None)]}

    service.host = lambda _name: None
    service.fetched.clear()
    again = ran(tmp_path, service, numbered("foxes", n="3"))
    assert again.files == {f"r0/{index}": picture(name) for index, name in enumerate("abc")}
    assert (len(service.asked), service.fetched) == (1, ["b"])
    assert again.ledger("SELECT count(*), sum(cost_usd) FROM outcomes") == [(1, 0.25)]


def test_an_image_in_the_answer_is_saved_though_the_host_of_the_other_hangs(tmp_path: Path) -> None:

    service = linking()

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        url = f"{service.base_url.removesuffix('/v1')}/files/b"
        return web.json_response(
            {"data": [{"b64_json": base64.b64encode(picture("a")).decode()}, {"url": url}]}
        )

    service.answer = answer
    service.host = down
    found = ran(tmp_path, service, numbered("foxes", n="2"))
    assert found.files == {"r0/0": picture("a")}
    service.host, service.files = lambda _name: None, {"b": picture("b")}
    assert ran(tmp_path, service, numbered("foxes", n="2")).files == {
        "r0/0": picture("a"),
        "r0/1": picture("b"),
    }
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("since_ms", "gone_ms", "status", "dead"),
    [
        (0, None, 404, False),
        (GONE_TWICE_MS + 60_000, None, 404, False),
        (GONE_TWICE_MS + 60_000, GONE_TWICE_MS - 60_000, 404, False),
        (GONE_TWICE_MS + 60_000, GONE_TWICE_MS, 404, True),
        (GONE_TWICE_MS + 60_000, GONE_TWICE_MS, 403, True),
        (GONE_TWICE_MS + 60_000, GONE_TWICE_MS, 410, True),
        (GONE_TWICE_MS + 60_000, GONE_TWICE_MS, 503, False),
        (OLD_MS, None, 503, True),
        (OLD_MS, None, 404, True),
    ],
)
def test_an_image_is_given_up_only_when_its_url_is_dead(
    tmp_path: Path, since_ms: int, gone_ms: int | None, status: int, dead: bool
) -> None:
    service = linking()
    service.host = down
    ran(tmp_path, service, numbered("fox"))
    service.host = lambda _name: web.Response(status=status)

    def age(connection: Any) -> None:
        now = wall_ms()
        gone = None if gone_ms is None else now - gone_ms
        connection.execute(
            "UPDATE unfetched SET since_ms = ?, links = json_set(links, '$[0][3]', ?)", (now - since_ms, gone)
        )

    found = ran(tmp_path, service, numbered("fox"), prepare=age)
    assert kinds(found) == {"r0": [("failed" if dead else "pending", "download")]}
    assert found.ledger("SELECT maybe_billed, cost_usd FROM outcomes") == [(1, 0.25)]
    assert len(found.ledger("SELECT * FROM unfetched")) == (not dead)
    assert len(service.asked) == 1


def test_what_came_last_from_a_dead_url_is_kept(tmp_path: Path) -> None:
    service = linking()
    service.host = half
    ran(tmp_path, service, numbered("fox"))

    def age(connection: Any) -> None:
        connection.execute("UPDATE unfetched SET since_ms = ?", (wall_ms() - OLD_MS,))

    found = ran(tmp_path, service, numbered("fox"), prepare=age)
    assert kinds(found) == {"r0": [("failed", "bad_content")]}
    whole = picture("fox")
    assert [path.read_bytes() for path in (tmp_path / "quarantine").iterdir()] == [whole[: len(whole) // 2]]


def test_while_no_image_can_be_fetched_no_more_are_bought_and_all_are_once_they_can(tmp_path: Path) -> None:
    """G17."""
    service = linking()
    names = [f"p{number}" for number in range(40)]
    service.files = {name: picture(name) for name in names}
    bought: list[int] = []

    async def watch(going: Going) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(recover(going))
            await hurried(going)

    async def recover(going: Going) -> None:
        await going.until(lambda: len(service.fetched) > 60)
        bought.append(len(service.asked))
        service.host = lambda _name: None

    service.host = down
    found = engine_run(tmp_path, service, numbered(*names), beside=watch)
    assert bought[0] < len(names)
    assert found.reason is None
    assert found.files == {f"r{number}/0": picture(name) for number, name in enumerate(names)}
    assert len(service.asked) == len(names)


def test_a_run_whose_images_never_come_ends(tmp_path: Path) -> None:
    """G12, G17."""
    service = linking()
    service.host = down
    found = ran(tmp_path, service, numbered(*(f"p{number}" for number in range(40))))
    assert found.reason is not None
    assert "brought no image" in found.reason.text
    assert len(service.asked) < 40


def test_a_host_that_never_answers_holds_its_row_for_a_minute_and_no_longer(tmp_path: Path) -> None:
    """G12. The row waits for its next try without holding a place."""
    service = linking()

    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        raise AssertionError

    service.hang = never
    found = ran(tmp_path, service, numbered("fox"))
    assert kinds(found) == {"r0": [("pending", "download")]}
