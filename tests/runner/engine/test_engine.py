"""The engine and all its parts against a service on this machine that counts what it is asked."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web

from jobs.brake import TRIED, UNTRIED
from runner.ledger.reader import open_reader
from schemas.errors import ExitCode
from tests.attacks.faults.pictures import picture
from tests.support.canary import CANARY
from tests.support.clock import clock
from tests.support.manifests import prompts
from tests.support.runs import (
    Going,
    SeenRequest,
    Service,
    engine_run,
    error,
    good,
    hurrying,
    kinds,
    once,
    serving,
)

ABCDE = prompts("a", "b", "c", "d", "e")


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

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        with closing(open_reader(tmp_path)) as reader:
            told = reader.execute(
                "SELECT count(*) FROM attempts JOIN items USING (item) WHERE items.prompt = ?",
                (asked.prompt,),
            ).fetchone()[0]
        known.append(told == asked.turn + 1)
        return good(asked.prompt) if asked.turn else error(500)

    async def hurry(going: Going) -> None:
        while True:
            await going.until(lambda: len(going.engine.state.waiting))
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
        assert len(going.engine.state.waiting) == 1
        clock().put_forward(61)

    ran = engine_run(tmp_path, service, ABCDE, beside=wait, limits={"concurrency": 1})
    assert service.prompts == ["a", "b", "c", "d", "e", "a"]
    assert kinds(ran)["r0"] == [("pending", "server_error"), DONE]


def test_attempts_are_sends_in_all(tmp_path: Path) -> None:
    service = serving(lambda asked: error(500, "server_error") if asked.prompt == "a" else None)

    async def hurry(going: Going) -> None:
        while True:
            await going.until(lambda: len(going.engine.state.waiting))
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
        assert "service busy" in going.engine.waiting_reason
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
    async def answer(asked: SeenRequest) -> web.StreamResponse:
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
    async def answer(asked: SeenRequest) -> web.StreamResponse:
        raise web.HTTPBadGateway(text="<html>502</html>", content_type="text/html")

    async def hurry(going: Going) -> None:
        while True:
            await going.until(lambda: len(going.engine.state.waiting))
            clock().put_forward(60)
            await going.settle()

    service = Service(answer)
    retrying = {"on_ambiguous": "retry", "ambiguous_budget": 3}
    going_on = {"max_unusable": 0}
    ran = engine_run(tmp_path, service, ABCDE, beside=hurry, retry=retrying, run=going_on)
    assert len(service.asked) == 5 + 3
    assert [told[-1] for told in kinds(ran).values()] == [("parked", "gateway")] * 5
    engine_run(tmp_path, service, ABCDE, beside=hurry, retry=retrying, run=going_on)
    assert len(service.asked) == 5 + 3


# What ends a run


REFUSALS = [
    (401, "invalid_api_key", ExitCode.ACCOUNT, "auth"),
    (403, "forbidden", ExitCode.ACCOUNT, "forbidden"),
    (402, "no_money", ExitCode.ACCOUNT, "quota"),
    (429, "insufficient_quota", ExitCode.ACCOUNT, "quota"),
    (400, "billing_hard_limit_reached", ExitCode.ACCOUNT, "quota"),
]


TOLD = {
    "auth": "the key was refused: ",
    "forbidden": "the key may not do this: ",
    "quota": "no money or quota is left for the key: ",
}


@pytest.mark.parametrize(("status", "code", "exit_code", "kind"), REFUSALS)
def test_what_is_refused_to_all_stops_the_run_and_what_is_in_flight_lands(
    tmp_path: Path, status: int, code: str, exit_code: ExitCode, kind: str
) -> None:
    """Two images are made, and are late: nothing is sent until they have come, and the account is refused still."""
    refused = asyncio.Event()

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        if asked.prompt in "ab":
            await refused.wait()
            return good(asked.prompt)
        if len(service.asked) >= 10:
            refused.set()
        return error(status, code)

    service = Service(answer)
    rows = prompts(*"abcdefghijklmnop")
    often = {"attempts": 50}  # so that no row fails by itself before
    ran = engine_run(tmp_path, service, rows, beside=hurrying, limits={"concurrency": 10}, retry=often)
    assert ran.reason is not None
    assert ran.reason.exit_code is exit_code
    assert ran.reason.text.startswith(TOLD[kind])
    assert {"r0/0": picture("a"), "r1/0": picture("b")}.items() <= ran.files.items()
    assert {told[-1] for row_id, told in kinds(ran).items() if row_id not in ("r0", "r1")} == {
        ("pending", kind)
    }
    assert len(service.asked) <= 2 * 10 + TRIED


@pytest.mark.parametrize(("status", "code", "exit_code", "kind"), REFUSALS)
def test_what_is_refused_to_one_row_alone_fails_that_row(
    tmp_path: Path, status: int, code: str, exit_code: ExitCode, kind: str
) -> None:
    service = serving(lambda asked: error(status, code) if asked.prompt == "c" else good(asked.prompt))
    many = prompts(*"abcdefghijklmnop")
    ran = engine_run(tmp_path, service, many, beside=hurrying, limits={"concurrency": 3})
    assert ran.reason is None
    assert kinds(ran)["r2"][-1] == ("failed", kind)
    assert (ran.counters.done, service.prompts.count("c")) == (15, 5)
    again = engine_run(tmp_path, service, many)
    assert again.counters.sent == 0


def test_a_key_that_is_refused_from_the_start_ends_the_run_after_a_few_requests(tmp_path: Path) -> None:
    service = serving(lambda asked: error(401, "invalid_api_key"))
    ran = engine_run(tmp_path, service, ABCDE, beside=hurrying, limits={"concurrency": 1})
    assert ran.reason is not None
    assert (ran.reason.exit_code, len(service.asked)) == (ExitCode.ACCOUNT, UNTRIED)


def test_a_wrong_model_stops_the_run_after_three_in_a_row(tmp_path: Path) -> None:
    service = serving(lambda asked: error(404, "model_not_found"))
    ran = engine_run(tmp_path, service, prompts(*"abcdefghij"), beside=hurrying, limits={"concurrency": 1})
    assert ran.reason is not None
    assert ran.reason.exit_code is ExitCode.ACCOUNT
    assert len(service.asked) == UNTRIED
    assert {told[-1] for told in kinds(ran).values()} == {("pending", "not_found")}


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

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        if asked.prompt == "a":
            await landed.wait()
            return good("a")
        await asyncio.sleep(3600)
        raise AssertionError

    async def interrupt(going: Going) -> None:
        await going.until(lambda: len(going.service.asked) == 3)
        going.shutdown.stop(ExitCode.INTERRUPTED, "interrupted")
        landed.set()
        await going.until(lambda: going.engine.counters.done == 1)
        going.shutdown.force()

    service = Service(answer)
    ran = engine_run(tmp_path, service, ABCDE, beside=interrupt, limits={"concurrency": 3})
    assert kinds(ran) == {
        "r0": [DONE],
        "r1": [("parked", "interrupted")],
        "r2": [("parked", "interrupted")],
    }
    assert ran.ledger("SELECT sum(maybe_billed) FROM outcomes") == [(2,)]
    assert ran.reason is not None
    assert ran.reason.exit_code is ExitCode.INTERRUPTED
    assert ran.counters.parked == 2


def test_the_next_run_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    first = serving(
        lambda asked: good(asked.prompt) if asked.prompt in "ab" else error(401, "invalid_api_key")
    )
    engine_run(tmp_path, first, ABCDE, beside=hurrying, limits={"concurrency": 1})
    second = serving()
    ran = engine_run(tmp_path, second, ABCDE)
    assert set(second.prompts) == set("cde")
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
    async def answer(asked: SeenRequest) -> web.StreamResponse:
        if int(asked.prompt) % 2:
            raise web.HTTPBadGateway(text="<html>", content_type="text/html")
        return error(400, "invalid_value") if asked.prompt == "0" else good(asked.prompt)

    service = Service(answer)
    ran = engine_run(tmp_path, service, prompts(*map(str, range(30))), budget={"max_cost": 1.0, "price": 0.1})
    free = sum(1 for _, _, kind in ran.outcomes if kind == "invalid_request")
    assert (free, len(service.asked)) == (1, 11)


def test_what_the_service_charges_counts_and_not_the_estimate(tmp_path: Path) -> None:
    async def answer(asked: SeenRequest) -> web.StreamResponse:
        return good(asked.prompt, usage={"cost": 0.3})

    service = Service(answer)
    engine_run(tmp_path, service, ABCDE, budget={"max_cost": 1.0, "price": 0.1}, limits={"concurrency": 1})
    assert len(service.asked) == 4


def test_money_is_checked_when_the_request_may_leave_and_not_before(tmp_path: Path) -> None:
    async def answer(asked: SeenRequest) -> web.StreamResponse:
        return good(asked.prompt, usage={"cost": 0.95})

    service = Service(answer)
    budget = {"max_cost": 1.0, "price": 0.1}
    limits = {"concurrency": 2, "rpm": 200, "window_s": 0.3}
    engine_run(tmp_path, service, ABCDE, budget=budget, limits=limits)
    assert len(service.asked) == 1


def test_a_row_whose_price_nobody_knows_is_not_sent_under_a_cap(tmp_path: Path) -> None:
    service = serving()
    engine_run(tmp_path, service, prompts(*map(str, range(30))), budget={"max_cost": 0.01})
    assert service.asked == []


# This machine


def test_a_disk_that_is_full_for_a_while_stops_the_sending_and_not_the_landing(tmp_path: Path) -> None:
    async def hurry(going: Going) -> None:
        while True:
            await going.settle()
            clock().put_forward(1)

    service = serving()
    ran = engine_run(tmp_path, service, ABCDE, beside=hurry, refusals=4, limits={"concurrency": 1})
    assert ran.files["r0/0"] == picture("a")
    assert kinds(ran)["r0"] == [DONE]
    assert ran.reason is not None
    assert (ran.reason.exit_code, ran.reason.text) == (
        ExitCode.LOCAL,
        f"this machine refused to write {tmp_path / 'images/0000'}: No space left on device; "
        "free some space (df) or inodes (df -i), and run the same command again",
    )
    assert len(service.asked) < 5
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_a_cut_while_the_disk_refuses_leaves_the_row_for_the_next_run_to_park(tmp_path: Path) -> None:
    async def cut(going: Going) -> None:
        await going.until(lambda: going.shutdown.stopping.is_set())
        going.shutdown.force()

    service = serving()
    ran = engine_run(tmp_path, service, prompts("a"), beside=cut, refusals=1_000)
    assert kinds(ran) == {"r0": [(None, None)]}
    assert ran.reason is not None
    assert ran.reason.exit_code is ExitCode.LOCAL
    again = engine_run(tmp_path, service, prompts("a"))
    assert kinds(again) == {"r0": [("parked", "interrupted")]}
    assert len(service.asked) == 1


def test_a_ledger_that_cannot_be_written_stops_the_run_before_the_request_leaves(tmp_path: Path) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

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
