"""A run that stops because it is not worth going on with: canary and breaker, requests counted by the service."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from schemas.errors import ExitCode
from tests.support.manifests import prompts
from tests.support.runs import Ran, SeenRequest, Service, engine_run, error, good

TEN = prompts(*(f"p{i}" for i in range(10)))


def refusing(*texts: str) -> Service:
    """A service that refuses these prompts, and makes the others."""

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        if asked.prompt in texts:
            return error(400, "moderation_blocked", "no")
        return good(asked.prompt)

    return Service(answer)


def told(ran: Ran) -> tuple[ExitCode, str]:
    assert ran.reason is not None
    return ran.reason.exit_code, ran.reason.text


def test_a_canary_that_dies_keeps_the_others_from_being_sent(tmp_path: Path) -> None:
    service = refusing("p0", "p1", "p2")
    ran = engine_run(tmp_path, service, TEN, run={"canary": 3}, limits={"concurrency": 8})
    assert sorted(service.prompts) == ["p0", "p1", "p2"]
    assert told(ran) == (ExitCode.SERVICE_DOWN, "canary: 3 of 3 requests failed (moderation 3)")


def test_a_canary_that_lives_lets_all_go(tmp_path: Path) -> None:
    service = refusing("p0", "p2")
    ran = engine_run(tmp_path, service, TEN, run={"canary": 3})
    assert (ran.reason, sorted(service.prompts)) == (None, [f"p{i}" for i in range(10)])


def test_the_others_wait_for_the_canary(tmp_path: Path) -> None:
    service = Service(lambda asked: slow(asked))
    seen: list[int] = []

    async def slow(asked: SeenRequest) -> web.StreamResponse:
        seen.append(service.in_flight)
        return good(asked.prompt)

    ran = engine_run(tmp_path, service, TEN, run={"canary": 1}, limits={"concurrency": 8})
    assert (ran.reason, seen[0], len(seen)) == (None, 1, 10)


def test_a_canary_of_all_rows_ends_like_any_run(tmp_path: Path) -> None:
    ran = engine_run(tmp_path, refusing("p0", "p1"), TEN[:2], run={"canary": 2})
    assert (ran.reason, len(ran.outcomes)) == (None, 2)


def test_a_canary_that_is_sent_again_is_waited_for(tmp_path: Path) -> None:
    async def answer(asked: SeenRequest) -> web.StreamResponse:
        return good(asked.prompt) if asked.turn or asked.prompt != "p0" else error(500, "server_error")

    service = Service(answer)
    ran = engine_run(tmp_path, service, TEN, run={"canary": 1})
    assert (ran.reason, service.prompts[:2], len(service.prompts)) == (None, ["p0", "p0"], 11)


def test_the_breaker_stops_a_run_that_mostly_fails(tmp_path: Path) -> None:
    many = prompts(*(f"p{i}" for i in range(60)))
    service = refusing(*(f"p{i}" for i in range(10, 60)))
    ran = engine_run(tmp_path, service, many, run={"max_error_rate": 0.5}, limits={"concurrency": 1})
    assert len(service.prompts) == 21
    assert told(ran) == (
        ExitCode.SERVICE_DOWN,
        "error rate: 11 of the last 21 rows failed (moderation 11), above 0.5",
    )
