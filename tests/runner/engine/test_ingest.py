"""What comes back from the service: images that are kept, paid answers that cannot be used, links that are followed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from runner.process.redaction import REDACTOR
from tests.attacks.faults.pictures import picture
from tests.support.canary import CANARY
from tests.support.clock import clock
from tests.support.manifests import prompts
from tests.support.runs import Going, Ran, SeenRequest, Service, engine_run, good, kinds, serving

DONE = ("succeeded", None)
ABCDE = prompts("a", "b", "c", "d", "e")


def quarantined(ran: Ran) -> list[bytes]:
    """The bodies in quarantine."""
    return [path.read_bytes() for path in sorted((ran.out / "quarantine").iterdir())]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"data": []}',
        b'{"created": 1}',
        b'{"data": [{"b64_json": null}]}',
        b'{"data": [{"b64_json": "QUJD"}]}',
        b'{"data": [{"b64_json": "not base64!"}]}',
    ],
)
def test_a_paid_answer_that_cannot_be_used_is_kept_verbatim(tmp_path: Path, body: bytes) -> None:
    service = serving(lambda asked: web.Response(body=body, content_type="application/json"))
    ran = engine_run(tmp_path, service, prompts("a"))
    assert kinds(ran) == {"r0": [("failed", "bad_content")]}
    assert quarantined(ran) == [body]
    assert ran.ledger("SELECT maybe_billed, quarantined FROM outcomes") == [(1, "quarantine/r0-0.body")]
    assert len(service.asked) == 1
    assert (ran.out / "quarantine" / "r0-0.body").stat().st_mode & 0o077 == 0


def test_the_key_is_not_kept_even_where_the_service_repeats_it(tmp_path: Path) -> None:
    REDACTOR.register(CANARY)
    service = serving(
        lambda asked: web.Response(body=b'{"echo": "' + asked.headers["Authorization"].encode() + b'"}')
    )
    ran = engine_run(tmp_path, service, prompts("a"))
    assert quarantined(ran) == [b'{"echo": "Bearer [redacted]"}']


def test_fewer_images_than_asked_are_kept_and_the_rest_is_missing(tmp_path: Path) -> None:
    service = serving(lambda asked: good(asked.prompt, 2))
    ran = engine_run(tmp_path, service, [{"id": "x", "prompt": "a fox", "n": "3"}])
    assert ran.files == {f"x/{i}": picture("a fox", i) for i in range(2)}
    assert ran.ledger("SELECT idx, kind FROM missing") == [(2, "bad_content")]
    assert ran.ledger("SELECT status, flags FROM outcomes") == [("succeeded", '["fewer_images"]')]
    assert (ran.counters.done, ran.counters.failed) == (2, 1)


def test_an_error_under_200_that_may_have_been_paid_is_parked_and_kept(tmp_path: Path) -> None:
    body = b'{"error": {"message": "Upstream request failed", "type": "upstream_error"}}'
    service = serving(lambda asked: web.Response(body=body, content_type="application/json"))
    ran = engine_run(tmp_path, service, prompts("a"))
    assert kinds(ran) == {"r0": [("parked", "gateway")]}
    assert quarantined(ran) == [body]
    assert ran.ledger("SELECT message, maybe_billed FROM outcomes") == [("Upstream request failed", 1)]


def test_a_rate_limit_under_200_is_waited_for_and_costs_nothing(tmp_path: Path) -> None:
    def busy(asked: SeenRequest) -> web.Response:
        document = {
            "error": {"message": "Rate limit reached. Try again in 1ms.", "code": "rate_limit_exceeded"}
        }
        return good(asked.prompt) if asked.turn else web.json_response(document)

    ran = engine_run(tmp_path, serving(busy), prompts("a"))
    assert kinds(ran) == {"r0": [("pending", "rate_limited"), DONE]}
    assert ran.ledger("SELECT sum(maybe_billed) FROM outcomes") == [(0,)]
    assert not (ran.out / "quarantine").exists() or not quarantined(ran)


def test_far_more_images_than_asked_are_kept_within_bounds_and_booked_as_they_came(tmp_path: Path) -> None:
    """G6, G11. The rest stays in the body, as it came."""
    service = serving(lambda asked: good(asked.prompt, 60))
    ran = engine_run(
        tmp_path,
        service,
        prompts("a fox", "b"),
        budget={"price": 0.5, "max_cost": 1.0},
        limits={"concurrency": 1},
    )
    assert len(ran.files) == 10
    assert ran.ledger("SELECT flags, cost_usd FROM outcomes") == [('["extra_images"]', 30.0)]
    assert len(quarantined(ran)) == 1
    assert len(service.asked) == 1


def test_what_a_check_stumbles_over_is_its_rows_outcome(tmp_path: Path) -> None:
    """G2: a revised prompt of an impossible type, an id of half characters, odd headers: no run ends by them."""

    def odd(asked: SeenRequest) -> web.Response:
        document = {"task_id": "\ud800x", "status": "queued", "usage": {"cost": [1]}, "created": 1e300}
        headers = {"x-ratelimit-limit-requests": "1e-320", "x-request-id": "a" * 4000}
        return (
            web.Response(text=json.dumps(document), headers=headers)
            if asked.prompt == "a"
            else good(asked.prompt)
        )

    ran = engine_run(tmp_path, serving(odd), prompts("a", "b"))
    assert kinds(ran) == {"r0": [("failed", "bad_content")], "r1": [DONE]}
    assert len(quarantined(ran)) == 1


def test_more_images_than_asked_are_kept_and_flagged(tmp_path: Path) -> None:
    ran = engine_run(tmp_path, serving(lambda asked: good(asked.prompt, 2)), prompts("a fox"))
    assert len(ran.files) == 2
    assert ran.ledger("SELECT flags FROM outcomes") == [('["extra_images"]',)]


def test_one_bad_image_of_several_is_kept_in_quarantine_beside_the_good_ones(tmp_path: Path) -> None:
    def half(asked: SeenRequest) -> web.Response:
        document = json.loads(good(asked.prompt, 2).body)  # type: ignore[arg-type]
        document["data"][1]["b64_json"] = "QUJD"
        return web.json_response(document)

    ran = engine_run(tmp_path, serving(half), [{"id": "x", "prompt": "a fox", "n": "2"}])
    assert ran.files == {"x/0": picture("a fox", 0)}
    assert ran.ledger("SELECT idx, kind FROM missing") == [(1, "bad_content")]
    assert len(quarantined(ran)) == 1


def test_a_revised_prompt_that_ends_in_half_a_character_lands(tmp_path: Path) -> None:
    def cut(asked: SeenRequest) -> web.Response:
        text = good(asked.prompt).text
        assert text is not None
        text = text.replace('"b64_json"', '"revised_prompt": "a red fox \\ud83e", "b64_json"')
        return web.Response(text=text, content_type="application/json")

    ran = engine_run(tmp_path, serving(cut), ABCDE)
    assert len(ran.files) == 5
    assert ran.ledger("SELECT DISTINCT revised_prompt FROM images") == [("a red fox \\ud83e",)]


def linking(service: Service, name: str = "x.png") -> Callable[[SeenRequest], Awaitable[web.StreamResponse]]:
    """Answers with a URL of the service's own."""

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        url = service.base_url.replace("/v1", f"/files/{name}")
        return web.json_response({"data": [{"url": url, "revised_prompt": "r"}]})

    return answer


def test_an_image_at_a_url_is_fetched_and_kept(tmp_path: Path) -> None:
    service = serving()
    service.answer, service.files = linking(service), {"x.png": picture("a fox")}
    ran = engine_run(tmp_path, service, prompts("a fox"))
    assert ran.files == {"r0/0": picture("a fox")}
    assert (service.fetched, len(service.asked)) == (["x.png"], 1)


def test_an_image_that_is_late_at_its_url_is_fetched_again_and_not_bought_again(tmp_path: Path) -> None:
    service = serving()
    service.answer = linking(service)

    async def appear(going: Going) -> None:
        await going.until(lambda: len(service.fetched) == 2)
        service.files["x.png"] = picture("a fox")

    async def hurry(going: Going) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(appear(going))
            while True:
                await going.settle()
                clock().put_forward(10)

    ran = engine_run(tmp_path, service, prompts("a fox"), beside=hurry)
    assert ran.files == {"r0/0": picture("a fox")}
    assert (len(service.fetched), len(service.asked)) == (3, 1)


def test_an_image_whose_url_is_lost_is_paid_and_pending(tmp_path: Path) -> None:
    service = serving()
    service.answer = linking(service)

    async def hurry(going: Going) -> None:
        while True:
            await going.settle()
            clock().put_forward(10)

    ran = engine_run(tmp_path, service, prompts("a fox"), beside=hurry)
    assert kinds(ran) == {"r0": [("pending", "download")]}
    assert len(service.asked) == 1
    assert ran.ledger("SELECT maybe_billed FROM outcomes") == [(1,)]
    assert list((tmp_path / "quarantine").iterdir()) == []


def test_an_image_at_an_address_where_we_do_not_go_is_refused(tmp_path: Path) -> None:
    service = serving(lambda asked: web.json_response({"data": [{"url": "http://169.254.169.254/x?sig=s"}]}))
    ran = engine_run(tmp_path, service, prompts("a fox"))
    assert kinds(ran) == {"r0": [("pending", "download_refused")]}
    assert "sig=s" not in str(ran.ledger("SELECT * FROM outcomes"))


def test_a_paid_body_lands_in_quarantine_once_the_disk_has_space(tmp_path: Path) -> None:
    async def hurry(going: Going) -> None:
        while True:
            await going.settle()
            clock().put_forward(1)

    service = serving(lambda asked: web.Response(body=b"paid for"))
    ran = engine_run(tmp_path, service, prompts("a"), beside=hurry, refusals=4)
    assert quarantined(ran) == [b"paid for"]
    assert kinds(ran) == {"r0": [("failed", "bad_content")]}


def breaking_off(body: bytes, length: int) -> Service:
    """A service that tells this length, sends these bytes and ends the connection."""

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(length)})
        await response.prepare(asked.request)
        await response.write(body)
        assert asked.request.transport is not None
        asked.request.transport.close()
        return response

    return Service(answer)


def test_a_whole_document_whose_transfer_breaks_off_succeeds(tmp_path: Path) -> None:
    """G2."""
    image = base64.b64encode(picture("a fox")).decode()
    body = json.dumps({"data": [{"b64_json": image}]}).encode()
    service = breaking_off(body, len(body) + 10)
    ran = engine_run(tmp_path, service, prompts("a fox"))
    assert (ran.files, len(service.asked)) == ({"r0/0": picture("a fox")}, 1)
    assert ran.ledger("SELECT status, maybe_billed, flags FROM outcomes") == [
        ("succeeded", 0, '["unterminated"]')
    ]
    assert quarantined(ran) == []


def test_of_an_answer_that_is_cut_what_came_is_kept(tmp_path: Path) -> None:
    service = breaking_off(b'{"data": [{"b64_json": "QUJD', 1000)
    ran = engine_run(tmp_path, service, prompts("a fox"))
    assert kinds(ran) == {"r0": [("parked", "truncated")]}
    assert quarantined(ran) == [b'{"data": [{"b64_json": "QUJD']
