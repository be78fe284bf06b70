"""What is sent, what comes, and what has not been sent when it breaks."""

from __future__ import annotations

import gzip
import json
import os
import resource

import pytest
from yarl import URL

from jobs.classify import BreakKind
from runner.http.client import HttpClient, Timeouts
from runner.http.messages import Answer, BrokenExchange
from runner.http.ssrf_guard import Guard
from runner.http.stream import ERROR_BODY_BYTES
from tests.support.clock import clock, run
from tests.support.exchanges import (
    BODY,
    IMAGE,
    KEY,
    Way,
    broke,
    fetch,
    opened,
    post,
    posted,
    whole,
)
from tests.support.exchanges import way as way
from tests.support.rawserver import (
    Connection,
    RawServer,
    Seen,
    answering,
    chunked,
    closed_port,
    head,
    sending,
)


def test_a_post_is_the_body_as_json_with_the_key_and_nothing_that_was_not_asked_for(way: Way) -> None:
    async def main() -> list[Seen]:
        async with RawServer(answering(BODY)) as server, opened(server.base_url) as transport:
            await post(transport, prompt="a fox 🦊 é", n=2)
            return server.requests

    (seen,) = run(main())
    assert (seen.method, seen.target) == ("POST", "/v1/images/generations")
    assert json.loads(seen.body) == {"prompt": "a fox 🦊 é", "n": 2}
    assert "🦊".encode() in seen.body
    assert seen.headers["authorization"] == KEY["Authorization"]
    assert seen.headers["idempotency-key"] == "k1"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["accept-encoding"] == "identity"
    assert set(seen.headers) == {
        *("host", "authorization", "idempotency-key", "content-type", "content-length"),
        *("accept", "accept-encoding", "user-agent"),
        *(("connection",) if way.is_fresh else ()),
    }


def test_cookies_are_not_kept() -> None:
    async def main() -> list[Seen]:
        handler = answering(BODY, Set_Cookie="session=1; Path=/")
        async with RawServer(handler) as server, opened(server.base_url) as transport:
            await post(transport)
            await fetch(transport, f"{server.base_url}/x.png")
            await post(transport)
            await fetch(transport, f"{server.base_url}/x.png")
            return server.requests

    requests = run(main())
    assert len(requests) == 4
    assert not any("cookie" in seen.headers for seen in requests)


# What comes


def test_an_answer_holds_status_headers_and_the_body_with_its_images_lifted() -> None:
    found, _ = posted(answering(BODY, status=201, X_Request_Id="req_1"))
    answer = whole(found, BODY)
    assert (answer.status, answer.headers["x-request-id"]) == (201, "req_1")
    assert answer.body.images[0].data == IMAGE
    assert answer.latency_s >= 0


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
def test_a_chunked_answer(size: int) -> None:
    data = BODY[:2000] + BODY[-4:] if size == 1 else BODY
    found, _ = posted(sending(head(200, Transfer_Encoding="chunked") + chunked(data, size)))
    whole(found, data)


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    found, _ = posted(sending(head(200, Connection="close") + BODY))
    whole(found, BODY)


def test_an_answer_in_many_small_writes() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(head(200, Content_Length=str(len(BODY))))
        for start in range(0, len(BODY), 997):
            await connection.send(BODY[start : start + 997])

    found, _ = posted(handle)
    assert whole(found, BODY).body.images[0].data == IMAGE


@pytest.mark.parametrize(
    "before", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]
)
def test_an_interim_answer_is_passed_over(before: bytes) -> None:
    found, _ = posted(sending(before + head(200, Content_Length=str(len(BODY))) + BODY))
    whole(found, BODY)


def test_an_empty_answer() -> None:
    found, _ = posted(sending(head(200, Content_Length="0")))
    whole(found, b"")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_a_post_is_an_answer_and_is_not_followed(status: int) -> None:
    found, requests = posted(answering(b"moved", status=status, Location="/v1/elsewhere"))
    assert whole(found, b"moved").status == status
    assert len(requests) == 1


def test_a_large_error_is_cut_and_told_all_the_same() -> None:
    page = b"<h1>Bad Gateway</h1>" + b"x" * (3 * ERROR_BODY_BYTES)
    found, _ = posted(answering(page, status=502))
    assert isinstance(found, Answer)
    kept = b"".join(found.body.verbatim())
    assert len(kept) <= ERROR_BODY_BYTES
    assert page.startswith(kept[:20])
    assert found.status == 502


def test_a_zipped_answer_that_was_not_asked_for_is_read() -> None:
    packed = gzip.compress(BODY)
    found, _ = posted(answering(packed, Content_Encoding="gzip"))
    assert whole(found, BODY).body.images[0].data == IMAGE


def test_a_refused_connection_is_before_sending() -> None:
    async def main() -> Answer | BrokenExchange:
        async with opened(f"http://127.0.0.1:{closed_port()}/v1") as transport:
            return await post(transport)

    assert broke(run(main())) == (BreakKind.BEFORE_SENDING, None)


async def speaks_plainly(connection: Connection) -> None:
    """An answer without TLS to whatever comes."""
    await connection.reader.read(1)
    await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_service_that_speaks_no_tls_is_barred() -> None:
    async def main() -> Answer | BrokenExchange:
        async with (
            RawServer(speaks_plainly) as server,
            opened(server.base_url.replace("http:", "https:")) as transport,
        ):
            return await post(transport)

    assert broke(run(main())) == (BreakKind.BARRED, None)


def test_a_tls_handshake_that_never_ends_is_before_sending() -> None:
    async def silence(connection: Connection) -> None:
        await connection.reader.read(1)
        clock().put_forward(11)
        await connection.gone()

    async def main() -> Answer | BrokenExchange:
        async with (
            RawServer(silence) as server,
            opened(server.base_url.replace("http:", "https:")) as transport,
        ):
            return await post(transport)

    assert broke(run(main())) == (BreakKind.BEFORE_SENDING, None)


def test_no_descriptors_left_is_this_machines_fault() -> None:
    async def main() -> Answer | BrokenExchange:
        async with RawServer(answering(BODY)) as server, opened(server.base_url) as transport:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            lowest_free = os.open(os.devnull, os.O_RDONLY)
            os.close(lowest_free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
            try:
                return await post(transport)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    found = run(main())
    assert broke(found) == (BreakKind.BEFORE_SENDING, None)
    assert isinstance(found, BrokenExchange)
    assert found.local


def test_a_key_that_no_header_can_hold_is_not_sent() -> None:
    async def main() -> tuple[Answer | BrokenExchange, int]:
        async with RawServer(answering(BODY)) as server:
            key = {"Authorization": "Bearer two\nlines"}
            async with HttpClient(
                server.base_url, key, Guard(URL(server.base_url)), Timeouts(9.0)
            ) as transport:
                return await post(transport), len(server.requests)

    found, requests = run(main())
    assert (broke(found), requests) == ((BreakKind.BEFORE_SENDING, None), 0)
