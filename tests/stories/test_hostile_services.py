"""A service that answers anything and charges for every request: with defaults a run ends before it has paid for many.

Hypothesis chooses what the service says. What it says is drawn from what services of this kind have been seen to say,
and from rubbish.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jobs.concurrency_window import START
from tests.support.clock import clock
from tests.support.manifests import prompts
from tests.support.runs import Going, Ran, SeenRequest, Service, engine_run, error, good

MOST_PAID = 40

Say = Callable[[SeenRequest], web.StreamResponse]


def document(value: object, status: int = 200) -> Say:
    """This JSON document."""
    return lambda _asked: web.json_response(value, status=status)


def text(body: str, kind: str, status: int = 200) -> Say:
    """This body under this content type."""
    return lambda _asked: web.Response(text=body, content_type=kind, status=status)


def refusal(status: int, code: str, message: str, **headers: str) -> Say:
    """An error document."""
    return lambda _asked: error(status, code, message, **headers)


class Dropped(web.Response):
    """No answer: the connection ends."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Break the connection."""
        assert request.transport is not None
        request.transport.abort()

    async def write_eof(self, data: bytes = b"") -> None:
        """There is nothing to end."""


SAYINGS: dict[str, Say] = {
    "no data": document({"created": 1, "data": []}),
    "empty object": document({}),
    "a list": document([1, 2, 3]),
    "null": document(None),
    "no image": document({"data": [{"b64_json": "aGVsbG8gd29ybGQ="}]}),
    "bad base64": document({"data": [{"b64_json": "!!!"}]}),
    "dead link": lambda _asked: web.json_response({"data": [{"url": "http://127.0.0.1:9/x.png"}]}),
    "a page": text("<html><body>Welcome to nginx!</body></html>", "text/html"),
    "a page with 404": text("<html>404 Not Found</html>", "text/html", 404),
    "half a document": text('{"data": [{"b64_json": "iVBORw0KGgo', "application/json"),
    "error under 200": document({"error": {"message": "no channel for model", "code": "bad_response"}}),
    "unauthorized": refusal(401, "invalid_api_key", "Incorrect API key provided"),
    "forbidden": refusal(403, "forbidden", "not allowed"),
    "out of credit": refusal(402, "insufficient_quota", "You exceeded your current quota"),
    "no model": refusal(404, "model_not_found", "The model does not exist"),
    "bad request": refusal(400, "invalid_value", "Invalid value"),
    "moderated": refusal(400, "moderation_blocked", "Your request was rejected by the safety system"),
    "server error": refusal(500, "server_error", "The server had an error"),
    "gateway": text("<html>502 Bad Gateway</html>", "text/html", 502),
    "gateway time-out": text("", "text/plain", 504),
    "unknown status": text("hm", "text/plain", 299),
    "teapot": text("short and stout", "text/plain", 418),
    "dropped": lambda _asked: Dropped(),
}
"""What needs no patience: a service that asks for patience (429, 503) is waited for, however long that takes."""
IMPATIENT = sorted(SAYINGS)


def service_that_says(names: Sequence[str], *, image_every: int | None = None) -> Service:
    """Says these in turn, over all requests. image_every: of so many requests, the first gets its image."""
    turns = itertools.cycle(names)
    count = itertools.count()

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        if image_every is not None and next(count) % image_every == 0:
            return good(asked.prompt)
        return SAYINGS[next(turns)](asked)

    return Service(answer)


async def hurry(going: Going) -> None:
    """Let nobody wait long, neither a row nor all senders."""
    while True:
        await going.settle()
        if not going.engine.counters.in_flight:
            clock().put_forward(31)


def ran(service: Service, rows: int = 300, **job: Any) -> Ran:
    """A run over many rows, in which nobody waits long."""
    records = prompts(*(f"a fox in winter, {number}" for number in range(rows)))
    with tempfile.TemporaryDirectory() as folder:
        return engine_run(Path(folder), service, records, beside=hurry, **job)


def test_every_saying_alone_ends_a_run_early() -> None:
    sent = {}
    for name in IMPATIENT:
        service = service_that_says([name])
        done = ran(service)
        sent[name] = (len(service.asked), done.reason is not None, done.counters.done)
    assert {name: told for name, told in sent.items() if told[0] > MOST_PAID or told[1:] != (True, 0)} == {}


@given(st.lists(st.sampled_from(IMPATIENT), min_size=1, max_size=12))
@example(["moderated", "no data", "dropped", "unauthorized"])
@example(["moderated", "server error"])
@example(["moderated", "server error", "server error", "server error"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_run_pays_for_many_requests_without_an_image(names: Sequence[str]) -> None:
    service = service_that_says(names)
    done = ran(service)
    assert len(service.asked) <= MOST_PAID
    assert done.reason is not None
    assert done.counters.done == 0


@given(st.lists(st.sampled_from(IMPATIENT), min_size=1, max_size=6))
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_none_stops_that_gets_images(names: Sequence[str]) -> None:
    """Every third request gets its image; one at a time, so that no more than two others come in a row."""
    done = ran(service_that_says(names, image_every=3), rows=60, limits={"concurrency": 1})
    assert done.reason is None
    assert done.counters.done >= 20


@pytest.mark.parametrize("ceiling", [None, 60])
def test_until_the_first_image_few_are_in_flight_unless_the_user_says_so(
    tmp_path: Path, ceiling: int | None
) -> None:
    service = service_that_says(["moderated"])
    waits = []

    async def slowly(asked: SeenRequest) -> web.StreamResponse:
        waits.append(service.in_flight)
        await asyncio.sleep(0.2)
        return error(400, "moderation_blocked", "Your request was rejected by the safety system")

    service.answer = slowly
    limits = {"rpm": 100_000} | ({} if ceiling is None else {"concurrency": ceiling})
    engine_run(tmp_path, service, prompts(*map(str, range(99))), limits=limits, run={"max_unusable": 100})
    assert max(waits) == (START if ceiling is None else ceiling)
