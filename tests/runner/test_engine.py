"""The engine and all its parts against a service on this machine that counts what it is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web

from runner.ledger.reader import open_reader
from runner.process.redaction import REDACTOR
from schemas.errors import ExitCode
from tests.canary import CANARY
from tests.faults.pictures import picture
from tests.runner.clock import clock
from tests.runner.manifests import prompts
from tests.runner.runs import Asked, Going, Ran, Service, engine_run, error, good

ABCDE = prompts("a", "b", "c", "d", "e")


def serving(*answers: Callable[[Asked], web.StreamResponse | None], delay_s: float = 0.0) -> Service:
    """A service whose first answer that is not None counts; a good one otherwise."""

    async def answer(asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(delay_s)
        found = (each(asked) for each in answers)
        return next((each for each in found if each is not None), None) or good(
            asked.prompt, asked.body.get("n", 1)
        )

    return Service(answer)


def once(
    prompt: str, answer: Callable[[], web.StreamResponse]
) -> Callable[[Asked], web.StreamResponse | None]:
    """This answer to the first request for a prompt."""
    return lambda asked: answer() if asked.prompt == prompt and not asked.turn else None


def kinds(ran: Ran) -> dict[str, list[tuple[str | None, str | None]]]:
    """Row id -> (status, kind) of each of its attempts."""
    told: dict[str, list[tuple[str | None, str | None]]] = {}
    for row_id, status, kind in ran.outcomes:
        told.setdefault(row_id, []).append((status, kind))
    return told


DONE = ("succeeded", None)


def test_every_row_is_sent_once_and_its_image_is_on_disk(tmp_path: Path) -> None:
    service = serving()
    texts = [f"prompt {i}" for i in range(40)]
    ran = engine_run(tmp_path, service, prompts(*texts))
    assert sorted(service.prompts) == sorted(texts)
    assert ran.files == {f"r{i}/0": picture(text) for i, text in enumerate(texts)}
    assert kinds(ran) == {f"r{i}": [DONE] for i in range(40)}
    assert (ran.reason, ran.counters.done, ran.counters.sent, ran.counters.in_flight) == (None, 40, 40, 0)
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_what_is_sent_is_the_row_with_a_key_of_its_own(tmp_path: Path) -> None:
    service = serving()
    engine_run(
        tmp_path, service, [{"id": "x", "prompt": "a fox", "n": "2", "size": "auto"}, *prompts("an owl")]
    )
    fox, owl = sorted(service.asked, key=lambda asked: asked.prompt)
    assert fox.body == {"prompt": "a fox", "model": "m", "size": "auto", "n": 2}
    assert owl.body == {"prompt": "an owl", "model": "m"}
    assert fox.headers["Authorization"] == f"Bearer {CANARY}"
    assert fox.headers["Idempotency-Key"] != owl.headers["Idempotency-Key"]


def test_a_row_of_several_images_keeps_each(tmp_path: Path) -> None:
    ran = engine_run(tmp_path, serving(), [{"id": "x", "prompt": "a fox", "n": "3"}])
    assert ran.files == {f"x/{i}": picture("a fox", i) for i in range(3)}


def test_no_more_requests_are_in_flight_than_the_user_allows(tmp_path: Path) -> None:
    service = serving(delay_s=0.01)
    engine_run(tmp_path, service, prompts(*map(str, range(20))), limits={"concurrency": 3})
    assert (len(service.asked), service.most_in_flight) == (20, 3)


def test_the_window_opens_as_the_service_keeps_up(tmp_path: Path) -> None:
    service = serving(delay_s=0.02)
    engine_run(tmp_path, service, prompts(*map(str, range(90))))
    assert 16 < service.most_in_flight <= 90


def test_a_request_leaves_only_when_its_intent_can_be_read_by_anybody(tmp_path: Path) -> None:
    known: list[bool] = []

    async def answer(asked: Asked) -> web.StreamResponse:
        with closing(open_reader(tmp_path)) as reader:
            told = reader.execute(
                "SELECT count(*) FROM attempts JOIN items USING (item) WHERE items.prompt = ?",
                (asked.prompt,),
            ).fetchone()[0]
        known.append(told == asked.turn + 1)
        return good(asked.prompt) if asked.turn else error(500)

    async def hurry(going: Going) -> None:
        while True:
            await going.until(lambda: len(going.engine.waiting))
            clock().put_forward(30)
            await going.settle()

    service = Service(answer)
    engine_run(tmp_path, service, ABCDE, beside=hurry)
    assert known == [True] * 10


def test_an_image_is_counted_only_when_its_outcome_can_be_read_by_anybody(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    async def look(going: Going) -> None:
        while True:
            counted = going.engine.counters.done
            with closing(open_reader(tmp_path)) as reader:
                recorded = reader.execute("SELECT count(*) FROM images").fetchone()[0]
            seen.append((counted, recorded))
            await asyncio.sleep(0)

    service = serving(delay_s=0.001)
    engine_run(tmp_path, service, prompts(*map(str, range(60))), beside=look, limits={"concurrency": 4})
    assert len({counted for counted, _ in seen}) > 5
    assert all(counted <= recorded for counted, recorded in seen)


# Sending again


def test_a_row_that_waits_for_its_next_try_holds_no_slot(tmp_path: Path) -> None:
    service = serving(once("a", lambda: error(500, "server_error", Retry_After="60")))

    async def wait(going: Going) -> None:
        await going.until(lambda: going.engine.counters.done == 4)
        assert len(going.engine.waiting) == 1
        clock().put_forward(61)

    ran = engine_run(tmp_path, service, ABCDE, beside=wait, limits={"concurrency": 1})
    assert service.prompts == ["a", "b", "c", "d", "e", "a"]
    assert kinds(ran)["r0"] == [("pending", "server_error"), DONE]


def test_attempts_are_sends_in_all(tmp_path: Path) -> None:
    service = serving(lambda asked: error(500, "server_error") if asked.prompt == "a" else None)

    async def hurry(going: Going) -> None:
        while True:
            await going.until(lambda: len(going.engine.waiting))
            clock().put_forward(60)
            await going.settle()

    ran = engine_run(tmp_path, service, ABCDE, beside=hurry, retry={"attempts": 3})
    assert service.prompts.count("a") == 3
    assert kinds(ran)["r0"] == [*[("pending", "server_error")] * 2, ("failed", "server_error")]
    assert ran.reason is None


def test_one_refusal_for_speed_closes_the_gate_for_all(tmp_path: Path) -> None:
    service = serving(once("a", lambda: error(429, "rate_limit_exceeded", Retry_After="30")))

    async def wait(going: Going) -> None:
        await going.until(lambda: going.engine.waiting_reason)
        await going.settle()
        before = len(service.asked)
        clock().put_forward(20)
        await going.settle()
        assert len(service.asked) == before <= 2
        assert "rate_limited" in going.engine.waiting_reason
        while going.engine.counters.done < 5:
            clock().put_forward(20)
            await going.settle()

    ran = engine_run(tmp_path, service, ABCDE, beside=wait, limits={"concurrency": 2})
    assert sorted(service.prompts) == ["a", "a", "b", "c", "d", "e"]
    assert kinds(ran)["r0"] == [("pending", "rate_limited"), DONE]
    assert ran.reason is None


def test_a_longer_wait_than_give_up_ends_the_run(tmp_path: Path) -> None:
    service = serving(once("a", lambda: error(429, "rate_limit_exceeded", Retry_After="86400")))
    ran = engine_run(tmp_path, service, ABCDE, limits={"concurrency": 1})
    assert ran.reason is not None
    assert ran.reason.exit_code is ExitCode.SERVICE_DOWN
    assert kinds(ran)["r0"] == [("pending", "rate_limited")]


def test_an_ambiguous_row_is_parked_and_not_sent_again(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> web.StreamResponse:
        if asked.prompt == "a":
            raise web.HTTPGatewayTimeout(text="<html>504</html>", content_type="text/html")
        return good(asked.prompt)

    service = Service(answer)
    ran = engine_run(tmp_path, service, ABCDE)
    again = engine_run(tmp_path, service, ABCDE)
    assert service.prompts.count("a") == 1
    assert len(service.asked) == 5
    assert kinds(ran)["r0"] == [("parked", "gateway")]
    assert ran.ledger("SELECT sum(maybe_billed) FROM outcomes") == [(1,)]
    assert (ran.reason, again.reason, again.counters.sent) == (None, None, 0)


def test_ambiguous_rows_are_sent_again_within_the_declared_budget_only(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> web.StreamResponse:
        raise web.HTTPBadGateway(text="<html>502</html>", content_type="text/html")

    async def hurry(going: Going) -> None:
        while True:
            await going.until(lambda: len(going.engine.waiting))
            clock().put_forward(60)
            await going.settle()

    service = Service(answer)
    retrying = {"on_ambiguous": "retry", "ambiguous_budget": 3}
    ran = engine_run(tmp_path, service, ABCDE, beside=hurry, retry=retrying)
    assert len(service.asked) == 5 + 3
    assert [told[-1] for told in kinds(ran).values()] == [("parked", "gateway")] * 5
    engine_run(tmp_path, service, ABCDE, beside=hurry, retry=retrying)
    assert len(service.asked) == 5 + 3


# What ends a run


HALTING = [
    (401, "invalid_api_key", ExitCode.ACCOUNT, "auth"),
    (403, "forbidden", ExitCode.ACCOUNT, "forbidden"),
    (402, "no_money", ExitCode.ACCOUNT, "quota"),
    (429, "insufficient_quota", ExitCode.ACCOUNT, "quota"),
    (400, "billing_hard_limit_reached", ExitCode.ACCOUNT, "quota"),
]


@pytest.mark.parametrize(("status", "code", "exit_code", "kind"), HALTING)
def test_what_only_the_user_can_mend_stops_the_run_and_what_is_in_flight_lands(
    tmp_path: Path, status: int, code: str, exit_code: ExitCode, kind: str
) -> None:
    refused = asyncio.Event()

    async def answer(asked: Asked) -> web.StreamResponse:
        if asked.prompt == "a":
            refused.set()
            return error(status, code)
        await refused.wait()
        await asyncio.sleep(0.03)
        return good(asked.prompt)

    service = Service(answer)
    ran = engine_run(tmp_path, service, prompts(*"abcdefghijklmnop"), limits={"concurrency": 3})
    assert ran.reason is not None
    assert ran.reason.exit_code is exit_code
    assert kinds(ran)["r0"] == [("pending", kind)]
    assert {"r1/0": picture("b"), "r2/0": picture("c")}.items() <= ran.files.items()
    assert len(service.asked) <= 4


def test_nothing_is_sent_once_the_run_stops(tmp_path: Path) -> None:
    service = serving(lambda asked: error(401, "invalid_api_key"))
    engine_run(tmp_path, service, ABCDE, limits={"concurrency": 1})
    assert service.prompts == ["a"]


def test_a_wrong_model_stops_the_run_after_three_in_a_row(tmp_path: Path) -> None:
    service = serving(lambda asked: error(404, "model_not_found"))
    ran = engine_run(tmp_path, service, prompts(*"abcdefghij"), limits={"concurrency": 1})
    assert ran.reason is not None
    assert ran.reason.exit_code is ExitCode.ACCOUNT
    assert 3 <= len(service.asked) <= 4
    assert kinds(ran)["r2"] == [("failed", "not_found")]


def test_moderation_fails_its_row_and_no_other(tmp_path: Path) -> None:
    service = serving(once("c", lambda: error(400, "moderation_blocked", "rejected by the safety system")))
    ran = engine_run(tmp_path, service, ABCDE)
    again = engine_run(tmp_path, service, ABCDE)
    assert {row_id: told for row_id, told in kinds(ran).items() if told != [DONE]} == {
        "r2": [("failed", "moderation")]
    }
    assert (ran.reason, len(service.asked), again.counters.sent) == (None, 5, 0)


def test_a_stop_lets_answers_land_and_a_cut_parks_the_rest(tmp_path: Path) -> None:
    landed = asyncio.Event()

    async def answer(asked: Asked) -> web.StreamResponse:
        if asked.prompt == "a":
            await landed.wait()
            return good("a")
        await asyncio.sleep(3600)
        raise AssertionError

    async def interrupt(going: Going) -> None:
        await going.until(lambda: len(going.service.asked) == 3)
        going.ending.stop(ExitCode.INTERRUPTED, "interrupted")
        landed.set()
        await going.until(lambda: going.engine.counters.done == 1)
        going.ending.cut()

    service = Service(answer)
    ran = engine_run(tmp_path, service, ABCDE, beside=interrupt, limits={"concurrency": 3})
    assert kinds(ran) == {
        "r0": [DONE],
        "r1": [("parked", "disconnected")],
        "r2": [("parked", "disconnected")],
    }
    assert ran.ledger("SELECT sum(maybe_billed) FROM outcomes") == [(2,)]
    assert ran.reason is not None
    assert ran.reason.exit_code is ExitCode.INTERRUPTED
    assert ran.counters.parked == 2


def test_the_next_run_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    first = serving(once("c", lambda: error(401, "invalid_api_key")))
    engine_run(tmp_path, first, ABCDE, limits={"concurrency": 1})
    second = serving()
    ran = engine_run(tmp_path, second, ABCDE)
    done_before = {asked.prompt for asked in first.asked if asked.prompt != "c"}
    assert set(second.prompts) == set("abcde") - done_before
    assert ran.files == {f"r{i}/0": picture(text) for i, text in enumerate("abcde")}
    third = serving()
    engine_run(tmp_path, third, ABCDE)
    assert third.asked == []


# Money


def test_no_more_requests_than_allowed_over_restarts_too(tmp_path: Path) -> None:
    service = serving(delay_s=0.005)
    many = prompts(*map(str, range(30)))
    ran = engine_run(tmp_path, service, many, budget={"max_requests": 7})
    assert ran.reason is not None
    assert ran.reason.exit_code is ExitCode.BUDGET
    assert len(service.asked) == 7
    engine_run(tmp_path, service, many, budget={"max_requests": 7})
    assert len(service.asked) == 7
    engine_run(tmp_path, service, many, budget={"max_requests": 9})
    assert len(service.asked) == 9


@pytest.mark.parametrize(
    ("cap", "n", "sent"),
    [(1.0, 1, 10), (1.05, 1, 10), (0.99, 1, 9), (0.0, 1, 0), (1.0, 4, 2), (100.0, 1, 30)],
)
def test_no_more_money_than_allowed_over_restarts_too(tmp_path: Path, cap: float, n: int, sent: int) -> None:
    service = serving(delay_s=0.005)
    many = [{**record, "n": str(n)} for record in prompts(*map(str, range(30)))]
    for _ in range(2):
        engine_run(tmp_path, service, many, budget={"max_cost": cap, "price": 0.1})
        assert len(service.asked) == sent


def test_what_may_have_been_paid_counts_as_paid(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> web.StreamResponse:
        if int(asked.prompt) % 2:
            raise web.HTTPBadGateway(text="<html>", content_type="text/html")
        return error(400, "invalid_value") if asked.prompt == "0" else good(asked.prompt)

    service = Service(answer)
    ran = engine_run(tmp_path, service, prompts(*map(str, range(30))), budget={"max_cost": 1.0, "price": 0.1})
    free = sum(1 for _, _, kind in ran.outcomes if kind == "invalid_request")
    assert (free, len(service.asked)) == (1, 11)


def test_what_the_service_charges_counts_and_not_the_estimate(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> web.StreamResponse:
        return good(asked.prompt, usage={"cost": 0.3})

    service = Service(answer)
    engine_run(tmp_path, service, ABCDE, budget={"max_cost": 1.0, "price": 0.1}, limits={"concurrency": 1})
    assert len(service.asked) == 4


def test_money_is_checked_when_the_request_may_leave_and_not_before(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> web.StreamResponse:
        return good(asked.prompt, usage={"cost": 0.95})

    service = Service(answer)
    budget = {"max_cost": 1.0, "price": 0.1}
    limits = {"concurrency": 2, "rpm": 1, "window_s": 0.3}
    engine_run(tmp_path, service, ABCDE, budget=budget, limits=limits)
    assert len(service.asked) == 1


def test_a_row_whose_price_nobody_knows_is_not_sent_under_a_cap(tmp_path: Path) -> None:
    service = serving()
    engine_run(tmp_path, service, prompts(*map(str, range(30))), budget={"max_cost": 0.01})
    assert service.asked == []


# What comes back


def quarantined(ran: Ran) -> list[bytes]:
    """The bodies in quarantine."""
    return [path.read_bytes() for path in sorted((ran.out / "quarantine").iterdir())]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>hello</html>",
        b'{"data": []}',
        b'{"created": 1}',
        b'{"data": [{"b64_json": null}]}',
        b'{"data": [{"b64_json": "QUJD"}]}',
        b'{"data": [{"b64_json": "not base64!"}]}',
        b'{"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}',
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


def test_more_images_than_asked_are_kept_and_flagged(tmp_path: Path) -> None:
    ran = engine_run(tmp_path, serving(lambda asked: good(asked.prompt, 2)), prompts("a fox"))
    assert len(ran.files) == 2
    assert ran.ledger("SELECT flags FROM outcomes") == [('["extra_images"]',)]


def test_one_bad_image_of_several_is_kept_in_quarantine_beside_the_good_ones(tmp_path: Path) -> None:
    def half(asked: Asked) -> web.Response:
        document = json.loads(good(asked.prompt, 2).body)  # type: ignore[arg-type]
        document["data"][1]["b64_json"] = "QUJD"
        return web.json_response(document)

    ran = engine_run(tmp_path, serving(half), [{"id": "x", "prompt": "a fox", "n": "2"}])
    assert ran.files == {"x/0": picture("a fox", 0)}
    assert ran.ledger("SELECT idx, kind FROM missing") == [(1, "bad_content")]
    assert len(quarantined(ran)) == 1


def test_a_revised_prompt_that_ends_in_half_a_character_lands(tmp_path: Path) -> None:
    def cut(asked: Asked) -> web.Response:
        text = good(asked.prompt).text
        assert text is not None
        text = text.replace('"b64_json"', '"revised_prompt": "a red fox \\ud83e", "b64_json"')
        return web.Response(text=text, content_type="application/json")

    ran = engine_run(tmp_path, serving(cut), ABCDE)
    assert len(ran.files) == 5
    assert ran.ledger("SELECT DISTINCT revised_prompt FROM images") == [("a red fox \\ud83e",)]


def linking(service: Service, name: str = "x.png") -> Callable[[Asked], Awaitable[web.StreamResponse]]:
    """Answers with a URL of the service's own."""

    async def answer(asked: Asked) -> web.StreamResponse:
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


def test_an_image_whose_url_is_lost_is_paid_and_failed(tmp_path: Path) -> None:
    service = serving()
    service.answer = linking(service)

    async def hurry(going: Going) -> None:
        while True:
            await going.settle()
            clock().put_forward(10)

    ran = engine_run(tmp_path, service, prompts("a fox"), beside=hurry)
    assert kinds(ran) == {"r0": [("failed", "download")]}
    assert (len(service.fetched), len(service.asked)) == (4, 1)
    assert ran.ledger("SELECT maybe_billed FROM outcomes") == [(1,)]
    assert not (tmp_path / "quarantine").exists()


def test_an_image_at_an_address_where_we_do_not_go_is_refused(tmp_path: Path) -> None:
    service = serving(lambda asked: web.json_response({"data": [{"url": "http://169.254.169.254/x?sig=s"}]}))
    ran = engine_run(tmp_path, service, prompts("a fox"))
    assert kinds(ran) == {"r0": [("failed", "download_refused")]}
    assert "sig=s" not in str(ran.ledger("SELECT * FROM outcomes"))


# This machine


def test_a_disk_that_is_full_for_a_while_stops_the_sending_and_not_the_landing(tmp_path: Path) -> None:
    async def hurry(going: Going) -> None:
        while True:
            await going.settle()
            clock().put_forward(1)

    service = serving()
    ran = engine_run(tmp_path, service, ABCDE, beside=hurry, refusals=3, limits={"concurrency": 1})
    assert ran.files["r0/0"] == picture("a")
    assert kinds(ran)["r0"] == [DONE]
    assert ran.reason is not None
    assert (ran.reason.exit_code, ran.reason.text) == (
        ExitCode.LOCAL,
        "this machine refused: No space left on device",
    )
    assert len(service.asked) < 5
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_a_paid_body_lands_in_quarantine_once_the_disk_has_space(tmp_path: Path) -> None:
    async def hurry(going: Going) -> None:
        while True:
            await going.settle()
            clock().put_forward(1)

    service = serving(lambda asked: web.Response(body=b"paid for"))
    ran = engine_run(tmp_path, service, prompts("a"), beside=hurry, refusals=2)
    assert quarantined(ran) == [b"paid for"]
    assert kinds(ran) == {"r0": [("failed", "bad_content")]}


def test_a_cut_while_the_disk_refuses_leaves_the_row_for_the_next_run_to_park(tmp_path: Path) -> None:
    async def cut(going: Going) -> None:
        await going.until(lambda: going.ending.stopping.is_set())
        going.ending.cut()

    service = serving()
    ran = engine_run(tmp_path, service, prompts("a"), beside=cut, refusals=1_000)
    assert kinds(ran) == {"r0": [(None, None)]}
    assert ran.reason is not None
    assert ran.reason.exit_code is ExitCode.LOCAL
    again = engine_run(tmp_path, service, prompts("a"))
    assert kinds(again) == {"r0": [("parked", "disconnected")]}
    assert len(service.asked) == 1


def test_a_ledger_that_cannot_be_written_stops_the_run_before_the_request_leaves(tmp_path: Path) -> None:
    def fill(connection: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]  # type: ignore[attr-defined]
        connection.execute(f"PRAGMA max_page_count={pages}")  # type: ignore[attr-defined]

    service = serving()
    ran = engine_run(tmp_path, service, prompts("x" * 30_000, "b"), prepare=fill, limits={"concurrency": 1})
    assert "x" * 30_000 not in service.prompts
    assert ran.reason is not None
    assert ran.reason.exit_code is ExitCode.LOCAL
    assert "full" in ran.reason.text


def test_rows_that_cannot_be_sent_are_not_sent(tmp_path: Path) -> None:
    service = serving()
    ran = engine_run(
        tmp_path, service, [{"id": "x", "prompt": ""}, {"id": "y", "prompt": "b", "n": "99"}, *prompts("c")]
    )
    assert service.prompts == ["c"]
    assert ran.counters.done == 1


def test_an_empty_manifest_ends_at_once(tmp_path: Path) -> None:
    ran = engine_run(tmp_path, serving(), [])
    assert (ran.reason, ran.counters.sent) == (None, 0)


def test_rows_come_in_manifest_order_from_many_batches(tmp_path: Path) -> None:
    service = serving()
    texts = [str(i) for i in range(50)]
    engine_run(tmp_path, service, prompts(*texts), batch=7, limits={"concurrency": 1})
    assert service.prompts == texts
