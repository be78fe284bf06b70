"""Exchanges with a server of plain sockets: what came, byte for byte, or how far it got before it broke."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import os
import random
import resource
import shutil
import ssl
import subprocess
import sys
import textwrap
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from jobs.classify import Broke
from jobs.keeping import Keeping
from runner.http.client import MAX_REDIRECTS, Deadlines, Transport
from runner.http.fast import pool, receive
from runner.http.memory_budget import Memory, Room
from runner.http.messages import Answer, Broken
from runner.http.ssrf_guard import DownloadRefused, Guard
from runner.http.stream import ERROR_BODY_BYTES
from tests.canary import CANARY
from tests.runner.clock import clock, run
from tests.runner.rawserver import (
    Connection,
    Handler,
    RawServer,
    Seen,
    answering,
    chunked,
    closed_port,
    head,
    sending,
)

KEY = {"Authorization": f"Bearer {CANARY}"}
IMAGE = random.Random(3).randbytes(40_000)
BODY = json.dumps({"created": 1, "data": [{"b64_json": base64.b64encode(IMAGE).decode()}]}).encode()
PATH = "images/generations"


FRESH, KEPT = "over fresh connections", "over a kept connection"
BY_AIOHTTP, TAKEN_OVER = "by aiohttp", "taken over from aiohttp"


async def no() -> bool:
    """As with an aiohttp that cannot take over from us."""
    return False


@pytest.fixture(params=[FRESH, KEPT, BY_AIOHTTP, TAKEN_OVER], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which way answers to what costs money come."""
    if request.param == KEPT:
        monkeypatch.setattr(Keeping, "allows", lambda _self, _now: True)
    if request.param in (BY_AIOHTTP, TAKEN_OVER):
        monkeypatch.setattr(pool, "_aiohttp_reads_on", no)
    if request.param == TAKEN_OVER:
        monkeypatch.setattr(receive, "LEAST_BYTES", 1)
    return str(request.param)


@asynccontextmanager
async def opened(base_url: str, *listed: str, total_s: float = 600.0) -> AsyncIterator[Transport]:
    """A transport to this endpoint."""
    transport = Transport(base_url, KEY, Guard(URL(base_url), listed), Deadlines(total_s))
    async with transport:
        yield transport


@contextmanager
def room(max_bytes: int = 10**7, memory: Memory | None = None) -> Iterator[Room]:
    """Room for one answer."""
    with (memory or Memory()).holding() as held:
        yield Room(max_bytes, held)


async def post(transport: Transport, max_bytes: int = 10**7, **body: Any) -> Answer | Broken:
    """One POST."""
    with room(max_bytes) as space:
        return await transport.post(PATH, body or {"prompt": "a fox"}, {"Idempotency-Key": "k1"}, space)


async def fetch(transport: Transport, url: str, max_bytes: int = 10**7) -> Answer | Broken:
    """One fetch."""
    with room(max_bytes) as space:
        return await transport.fetch(url, space)


def posted(handler: Handler, *, max_bytes: int = 10**7) -> tuple[Answer | Broken, list[Seen]]:
    """What a POST to a server with this handler came to, and the requests that the server saw."""

    async def main() -> tuple[Answer | Broken, list[Seen]]:
        async with RawServer(handler) as server, opened(server.base_url) as transport:
            return await post(transport, max_bytes), server.requests

    return run(main())


def fetched(
    handler: Handler, path: str = "/v1/files/1.png", *listed: str, max_bytes: int = 10**7
) -> tuple[Answer | Broken, list[Seen]]:
    """What a fetch of this path came to, and the requests that the server saw."""

    async def main() -> tuple[Answer | Broken, list[Seen]]:
        async with RawServer(handler) as server, opened(server.base_url, *listed) as transport:
            return await fetch(transport, server.origin + path, max_bytes), server.requests

    return run(main())


def broke(found: Answer | Broken) -> tuple[Broke, int | None]:
    """How it broke and the status that was seen."""
    assert isinstance(found, Broken), found
    return found.how, found.status


def whole(found: Answer | Broken, data: bytes) -> Answer:
    """The answer, which must hold these bytes."""
    assert isinstance(found, Answer), found
    assert b"".join(found.body.verbatim()) == data
    return found


# What is sent


def test_a_post_is_the_body_as_json_with_the_key_and_nothing_that_was_not_asked_for(way: str) -> None:
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
        *(("connection",) if way in (BY_AIOHTTP, TAKEN_OVER) else ()),
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


# Before sending: nothing was paid


def test_a_refused_connection_is_before_sending() -> None:
    async def main() -> Answer | Broken:
        async with opened(f"http://127.0.0.1:{closed_port()}/v1") as transport:
            return await post(transport)

    assert broke(run(main())) == (Broke.BEFORE_SENDING, None)


async def speaks_plainly(connection: Connection) -> None:
    """An answer without TLS to whatever comes."""
    await connection.reader.read(1)
    await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_service_that_speaks_no_tls_is_before_sending() -> None:
    async def main() -> Answer | Broken:
        async with (
            RawServer(speaks_plainly) as server,
            opened(server.base_url.replace("http:", "https:")) as transport,
        ):
            return await post(transport)

    assert broke(run(main())) == (Broke.BEFORE_SENDING, None)


def test_a_tls_handshake_that_never_ends_is_before_sending() -> None:
    async def silence(connection: Connection) -> None:
        await connection.reader.read(1)
        clock().put_forward(11)
        await connection.gone()

    async def main() -> Answer | Broken:
        async with (
            RawServer(silence) as server,
            opened(server.base_url.replace("http:", "https:")) as transport,
        ):
            return await post(transport)

    assert broke(run(main())) == (Broke.BEFORE_SENDING, None)


def test_no_descriptors_left_is_this_machines_fault() -> None:
    async def main() -> Answer | Broken:
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
    assert broke(found) == (Broke.BEFORE_SENDING, None)
    assert isinstance(found, Broken)
    assert found.local


def test_a_key_that_no_header_can_hold_is_not_sent(way: str) -> None:
    async def main() -> tuple[Answer | Broken, int]:
        async with RawServer(answering(BODY)) as server:
            key = {"Authorization": "Bearer two\nlines"}
            async with Transport(
                server.base_url, key, Guard(URL(server.base_url)), Deadlines(9.0)
            ) as transport:
                return await post(transport), len(server.requests)

    found, requests = run(main())
    # aiohttp says that headers are on their way before it looks at them
    how = Broke.DISCONNECTED if way in (BY_AIOHTTP, TAKEN_OVER) else Broke.BEFORE_SENDING
    assert (broke(found), requests) == ((how, None), 0)


# After sending: ambiguous


async def leaves_at_once(connection: Connection) -> None:
    """Closes without reading."""


async def leaves_after_reading(connection: Connection) -> None:
    """Closes without a word."""
    await connection.request()


async def resets(connection: Connection) -> None:
    """Breaks the connection after reading."""
    await connection.request()
    connection.reset()


@pytest.mark.parametrize(
    "handler",
    [
        leaves_after_reading,
        resets,
        sending(b"SSH-2.0-OpenSSH_9.9\r\n"),
        sending(b"HTTP/1.1 200 OK\r\nContent-Le"),
        sending(b"HTTP/1.1 twohundred OK\r\n\r\n"),
        sending(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
        sending(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"),
        sending(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"),
    ],
)
def test_a_line_that_breaks_before_an_answer_is_disconnected(handler: Handler) -> None:
    found, requests = posted(handler)
    assert broke(found) == (Broke.DISCONNECTED, None)
    assert len(requests) == 1


def test_a_line_that_breaks_while_the_request_is_being_written_may_have_been_read() -> None:
    async def main() -> Answer | Broken:
        async with RawServer(leaves_at_once) as server, opened(server.base_url) as transport:
            return await post(transport, prompt="x" * 5_000_000)

    assert broke(run(main())) == (Broke.DISCONNECTED, None)


def test_a_post_is_never_repeated_by_the_library() -> None:
    """A request that was read and then broken off stays the only one."""

    async def reads_and_breaks(connection: Connection) -> None:
        await connection.request()
        connection.reset()

    async def main() -> tuple[Answer | Broken, int, int]:
        async with RawServer(reads_and_breaks) as server, opened(server.base_url) as transport:
            found = await post(transport)
            return found, len(server.requests), server.connections

    found, requests, pool = run(main())
    assert broke(found) == (Broke.DISCONNECTED, None)
    assert (requests, pool) == (1, 1)


def test_each_paid_request_has_a_connection_of_its_own(way: str) -> None:
    async def main() -> tuple[int, int]:
        async with RawServer(answering(BODY)) as server, opened(server.base_url) as transport:
            for _ in range(3):
                whole(await post(transport), BODY)
            return server.connections, len(server.requests)

    assert run(main()) == (1 if way == KEPT else 3, 3)


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    async def one_answer(connection: Connection) -> None:
        await connection.request()
        await connection.answer(BODY)

    async def main() -> int:
        async with RawServer(one_answer) as server, opened(server.base_url) as transport:
            for _ in range(3):
                whole(await post(transport), BODY)
                await asyncio.sleep(0.02)
            return server.connections

    assert run(main()) == 3


def test_no_answer_in_time_is_a_timeout() -> None:
    async def silence(connection: Connection) -> None:
        await connection.request()
        clock().put_forward(700)
        await connection.gone()

    found, requests = posted(silence)
    assert broke(found) == (Broke.TIMEOUT, None)
    assert len(requests) == 1


def test_a_slow_answer_within_the_deadline_is_an_answer() -> None:
    async def slow(connection: Connection) -> None:
        await connection.request()
        clock().put_forward(590)
        await asyncio.sleep(0)
        await connection.answer(BODY)

    found, _ = posted(slow)
    assert whole(found, BODY).latency_s >= 590


# A body that is cut


@pytest.mark.parametrize("status", [200, 201, 429, 500])
@pytest.mark.parametrize("kept", [0, 1, 20, len(BODY) // 2, len(BODY) - 1])
def test_a_body_cut_short_of_its_length(status: int, kept: int) -> None:
    found, _ = posted(sending(head(status, Content_Length=str(len(BODY))) + BODY[:kept]))
    assert broke(found) == (Broke.BODY_CUT, status)


def test_a_small_body_cut_at_every_byte() -> None:
    small = b'{"data":[{"b64_json":"QUJD"}]}'

    async def main() -> list[tuple[Broke, int | None]]:
        ends = iter(range(len(small)))

        async def handle(connection: Connection) -> None:
            await connection.request()
            await connection.send(head(200, Content_Length=str(len(small))) + small[: next(ends)])

        async with RawServer(handle) as server, opened(server.base_url) as transport:
            return [broke(await post(transport)) for _ in range(len(small))]

    assert run(main()) == [(Broke.BODY_CUT, 200)] * len(small)


CHUNKS = chunked(BODY, 1000)


@pytest.mark.parametrize(
    "sent",
    [
        CHUNKS[:2],
        CHUNKS[:500],
        CHUNKS[:-5],
        CHUNKS[:-2],
        CHUNKS[:2000] + b"zz\r\n",
    ],
)
def test_chunks_that_are_cut_or_broken(sent: bytes) -> None:
    found, _ = posted(sending(head(200, Transfer_Encoding="chunked"), sent))
    assert broke(found) == (Broke.BODY_CUT, 200)


def test_a_chunk_without_its_end_is_silence_at_worst() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(head(200, Transfer_Encoding="chunked"))
        await asyncio.sleep(0.02)
        await connection.send(b"5\r\nabcde??5\r\nabcde\r\n0\r\n\r\n")
        await asyncio.sleep(0.02)
        clock().put_forward(61)

    assert broke(posted(handle)[0]) == (Broke.BODY_CUT, 200)


@pytest.mark.parametrize("length", [len(BODY) - 10, 0])
def test_more_bytes_than_the_length_says_are_at_least_ambiguous(length: int) -> None:
    found, _ = posted(sending(head(200, Content_Length=str(length)) + BODY))
    if isinstance(found, Answer):
        whole(found, BODY[:length])
    else:
        assert found.how is Broke.DISCONNECTED


def test_a_reset_inside_the_body() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(head(200, Content_Length=str(len(BODY))) + BODY[:100])
        await asyncio.sleep(0.02)
        connection.reset()

    assert broke(posted(handle)[0]) == (Broke.BODY_CUT, 200)


@pytest.mark.parametrize("status", [200, 500])
def test_silence_inside_the_body(status: int) -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(head(status, Content_Length=str(len(BODY))) + BODY[:100])
        await asyncio.sleep(0.02)
        clock().put_forward(61)
        await connection.gone()

    assert broke(posted(handle)[0]) == (Broke.BODY_CUT, status)


def test_a_body_that_drips_for_longer_than_the_deadline() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(head(200, Content_Length=str(len(BODY))))
        for byte in BODY[:100]:
            await connection.send(bytes([byte]))
            await asyncio.sleep(0.005)
            clock().put_forward(20)
        await connection.gone()

    assert broke(posted(handle)[0]) == (Broke.BODY_CUT, 200)


def test_a_body_that_never_ends_is_given_up_at_the_cap() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(head(200, Content_Length=str(2 * 2**30)) + b'{"data":[{"b64_json":"')
        while True:
            await connection.send(b"QUJD" * 4096)

    found, _ = posted(handle, max_bytes=1_000_000)
    assert broke(found) == (Broke.BODY_CUT, 200)
    assert isinstance(found, Broken)
    assert "more than 1,000,000 bytes" in found.detail


def test_a_zipped_answer_that_does_not_unpack() -> None:
    found, _ = posted(answering(b"\x1f\x8b rubbish", Content_Encoding="gzip"))
    assert isinstance(found, Broken)
    assert found.how in (Broke.BODY_CUT, Broke.DISCONNECTED)


def bomb(size: int) -> bytes:
    """So many zeros, zipped to a thousandth."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(2**20)
    return b"".join([*(packer.compress(block) for _ in range(size >> 20)), packer.flush()])


@pytest.mark.parametrize("attack", [posted, fetched])
def test_a_zipped_bomb_stays_within_bounds(attack: Callable[..., tuple[Answer | Broken, list[Seen]]]) -> None:
    packed = bomb(160 * 2**20)
    tracemalloc.start()
    try:
        found, _ = attack(answering(packed, Content_Encoding="gzip"), max_bytes=4_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert broke(found) == (Broke.BODY_CUT, 200)
    assert peak < 100 * 2**20


# Fetching images


def test_a_fetched_image_is_its_bytes_and_is_not_looked_into() -> None:
    found, (seen,) = fetched(answering(BODY))
    answer = whole(found, BODY)
    assert (answer.body.images, b"".join(answer.body.raw)) == ((), BODY)
    assert seen.method == "GET"


@pytest.mark.parametrize(
    ("path", "with_key"),
    [("/v1/files/1.png", True), ("/files/1.png", False), ("/v10/x", False), ("/v1/../files/1.png", False)],
)
def test_the_key_goes_only_below_the_base_url(path: str, with_key: bool) -> None:
    _, (seen,) = fetched(answering(IMAGE), path)
    assert ("authorization" in seen.headers) is with_key


def test_the_key_stays_at_home_when_a_listed_host_serves_the_image() -> None:
    async def main() -> list[Seen]:
        async with (
            RawServer(answering(IMAGE)) as files,
            opened("http://127.0.0.1:9/v1", f"127.0.0.1:{files.port}") as transport,
        ):
            whole(await fetch(transport, f"{files.base_url}/1.png"), IMAGE)
            return files.requests

    (seen,) = run(main())
    assert "authorization" not in seen.headers


@pytest.mark.parametrize(
    ("url", "target"),
    [("/p/img/1.png?exp=1&sig=x", "/p/img/1.png?exp=1&sig=x"), ("files/1.png", "/files/1.png")],
)
def test_a_relative_url_is_the_endpoints(url: str, target: str) -> None:
    async def main() -> list[Seen]:
        async with RawServer(answering(IMAGE)) as server, opened(server.base_url) as transport:
            whole(await fetch(transport, url), IMAGE)
            return server.requests

    assert [seen.target for seen in run(main())] == [target]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/x.png?X-Amz-Credential=AK%2F20261122%2Fus-east-1&X-Amz-Signature=abc",
        "/v1/a%2Fb%20c.png?sig=a%2Bb%2F%3D%3D&t=%7E~",
        "/v1/x.png?sig=a+b/c==&e=%e4%E4",
        "/v1/x.png?a=1&a=2&&b",
        "/v1/%C3%A9/x.png?q=%C3%A9",
        "/v1/x(1)'!*.png?policy=W3siYSI6ICcnfV0_&x=[1]",
    ],
)
def test_a_signed_url_is_asked_for_as_it_was_written(path: str) -> None:
    found, (seen,) = fetched(answering(IMAGE), path)
    whole(found, IMAGE)
    assert seen.target == path


def test_a_url_that_needs_quoting_is_quoted() -> None:
    _, (seen,) = fetched(answering(IMAGE), "/v1/é a.png?q=ü")
    assert seen.target == "/v1/%C3%A9%20a.png?q=%C3%BC"


def redirecting(*targets: str) -> Handler:
    """Sends the first requests on to these places, one each; later ones get the image."""
    left = list(targets)

    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            if left:
                await connection.answer(b"", status=302, Location=left.pop(0))
            else:
                await connection.answer(IMAGE)

    return handle


def test_redirects_of_a_fetch_are_followed_a_few_times() -> None:
    hops = ["/v1/a", "/v1/b", "/v1/c"]
    assert len(hops) == MAX_REDIRECTS
    found, requests = fetched(redirecting(*hops))
    whole(found, IMAGE)
    assert [seen.target for seen in requests] == ["/v1/files/1.png", *hops]


def test_a_redirect_loop_ends() -> None:
    found, requests = fetched(answering(b"", status=307, Location="/v1/files/1.png"))
    assert isinstance(found, Broken)
    assert "redirects more than 3 times" in found.detail
    assert len(requests) == 1 + MAX_REDIRECTS


def test_the_key_does_not_follow_a_redirect_out_of_the_base_url() -> None:
    _, requests = fetched(redirecting("/other/x.png"))
    assert ["authorization" in seen.headers for seen in requests] == [True, False]


def test_a_redirect_without_a_target_is_an_answer() -> None:
    found, _ = fetched(answering(b"moved", status=302))
    assert whole(found, b"moved").status == 302


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "http://127.0.0.1:1/x.png",
        "http://[::1]:1/x.png",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/x.png",
        "http://127.1:1/x.png",
        "//0x7f000001:1/x",
        "http://user@8.8.8.8/",
    ],
)
def test_a_redirect_to_where_we_do_not_go_is_refused(target: str) -> None:
    async def main() -> int:
        async with RawServer(redirecting(target)) as server, opened(server.base_url) as transport:
            with pytest.raises(DownloadRefused):
                await fetch(transport, f"{server.base_url}/x.png")
            return len(server.requests)

    assert run(main()) == 1


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "127.0.0.1.", "127.1", "0x7f.1", "2130706433", "①②⑦.0.0.1"],
)
def test_names_and_spellings_of_this_machine_are_not_connected_to(host: str) -> None:
    async def main() -> tuple[object, int]:
        async with (
            RawServer(answering(IMAGE)) as server,
            opened("http://127.0.0.1:9/v1") as transport,
        ):
            try:
                found: object = await fetch(transport, f"http://{host}:{server.port}/x.png")
            except DownloadRefused as refusal:
                found = refusal
            return found, server.connections

    found, pool = run(main())
    assert pool == 0
    assert isinstance(found, DownloadRefused) or broke(found) == (Broke.BEFORE_SENDING, None)  # type: ignore[arg-type]


def test_a_listed_name_of_this_machine_is_connected_to() -> None:
    async def main() -> Answer | Broken:
        async with (
            RawServer(answering(IMAGE)) as server,
            opened("http://127.0.0.1:9/v1", "localhost") as transport,
        ):
            return await fetch(transport, f"http://localhost:{server.port}/x.png")

    whole(run(main()), IMAGE)


@pytest.mark.parametrize(
    "url", ["http://[::1/x", "http://127.0.0.1:99999/", "http://exa mple.com:x/", "mailto:a@b"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    async def main() -> None:
        async with opened("http://127.0.0.1:9/v1") as transport:
            await fetch(transport, url)

    with pytest.raises(DownloadRefused):
        run(main())


def test_fetches_that_wait_for_a_connection_are_not_given_up() -> None:
    """More images than connections, and a server that is slow: waiting for one's turn is not a failure to connect."""

    async def main() -> list[Answer | Broken]:
        go_on = asyncio.Event()

        async def slow(connection: Connection) -> None:
            await connection.request()
            await go_on.wait()
            await connection.answer(b"image", Connection="close")

        async with RawServer(slow) as server, opened(server.base_url) as transport:
            tasks = [asyncio.create_task(fetch(transport, f"{server.base_url}/{i}.png")) for i in range(70)]
            while len(server.requests) < 64:
                server.arrived.clear()
                await server.arrived.wait()
            clock().put_forward(30)
            await asyncio.sleep(0.01)
            go_on.set()
            return list(await asyncio.gather(*tasks))

    for found in run(main()):
        whole(found, b"image")


# Memory


def test_when_memory_is_used_up_the_oldest_answer_goes_on() -> None:
    async def main() -> list[str]:
        landed: list[str] = []
        memory = Memory(total=len(BODY) + 1000, oldest=1)
        first_held = asyncio.Event()

        async def handle(connection: Connection) -> None:
            seen = await connection.request()
            half = len(BODY) // 2
            await connection.send(head(200, Content_Length=str(len(BODY))) + BODY[:half])
            if json.loads(seen.body)["prompt"] == "old":
                first_held.set()
                await asyncio.sleep(0.05)
            await connection.send(BODY[half:])

        async def exchange(prompt: str, transport: Transport) -> None:
            with memory.holding() as held:
                found = await transport.post(PATH, {"prompt": prompt}, {}, Room(10**7, held))
                whole(found, BODY)
                landed.append(prompt)

        async with RawServer(handle) as server, opened(server.base_url) as transport:
            old = asyncio.create_task(exchange("old", transport))
            await first_held.wait()
            await asyncio.sleep(0.02)
            young = asyncio.create_task(exchange("young", transport))
            await asyncio.gather(old, young)
        assert memory.used == 0
        return landed

    assert run(main()) == ["old", "young"]


def test_time_spent_waiting_for_our_own_memory_is_not_the_services() -> None:
    async def main() -> Answer | Broken:
        memory = Memory(total=1000, oldest=1)
        async with RawServer(answering(BODY)) as server, opened(server.base_url) as transport:
            older = ExitStack()
            await older.enter_context(memory.holding()).take(1000)
            with memory.holding() as held:
                exchange = asyncio.create_task(transport.post(PATH, {"prompt": "x"}, {}, Room(10**7, held)))
                await server.arrived.wait()
                await asyncio.sleep(0.03)
                clock().put_forward(5000)
                await asyncio.sleep(0.01)
                assert not exchange.done()
                older.close()
                return await exchange

    whole(run(main()), BODY)


# TLS


CLIENT = """
import asyncio, hashlib, json, sys
from yarl import URL
from jobs.keeping import LEFT_IDLE_S
from runner.http.ssrf_guard import Guard
from runner.http.memory_budget import Memory, Room
from runner.http.client import Answer, Deadlines, Transport

async def main(base):
    told = {}
    async with Transport(base, {"Authorization": sys.argv[2]}, Guard(URL(base)), Deadlines(600)) as transport:
        for path in ("whole", "kept", "chunked", "more", "cut", "chunks_cut"):
            if path == "kept":
                await asyncio.sleep(LEFT_IDLE_S + 0.05)
            with Memory().holding() as held:
                found = await transport.post(path, {"prompt": path}, {}, Room(10**8, held))
            if isinstance(found, Answer):
                digests = [hashlib.sha256(image.data).hexdigest() for image in found.body.images]
                told[path] = [hashlib.sha256(b"".join(found.body.verbatim())).hexdigest(), digests]
            else:
                told[path] = [found.how.value, found.status]
        with Memory().holding() as held:
            found = await transport.fetch(base + "/whole", Room(10**8, held))
            told["fetch"] = hashlib.sha256(b"".join(found.body.raw)).hexdigest()
    print(json.dumps(told))

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with key.pem and cert.pem of 127.0.0.1, signed by nobody else."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    arguments = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    )
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([openssl, *arguments.split(), *files], cwd=folder, check=True, capture_output=True)
    return folder


def server_side(certificate: Path) -> ssl.SSLContext:
    """TLS with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


def test_a_certificate_that_nobody_vouches_for_is_before_sending(certificate: Path) -> None:
    async def main() -> tuple[Answer | Broken, int]:
        async with (
            RawServer(answering(BODY), tls=server_side(certificate)) as server,
            opened(server.base_url) as transport,
        ):
            return await post(transport), len(server.requests)

    found, requests = run(main())
    assert broke(found) == (Broke.BEFORE_SENDING, None)
    assert requests == 0


def test_over_tls_every_byte_arrives_and_a_cut_is_seen(certificate: Path) -> None:
    image = random.Random(9).randbytes(3_000_000)
    data = json.dumps({"data": [{"b64_json": base64.b64encode(image).decode()}]}, indent=2).encode()
    chunks = chunked(data, 8191)
    answers = {
        "/v1/whole": head(200, Content_Length=str(len(data))) + data,
        "/v1/kept": head(200, Content_Length=str(len(data))) + data,
        "/v1/chunked": head(200, Transfer_Encoding="chunked") + chunks,
        "/v1/more": head(200, Content_Length=str(len(data))) + data + b"x",
        "/v1/cut": head(200, Content_Length=str(len(data))) + data[:-1],
        "/v1/chunks_cut": head(200, Transfer_Encoding="chunked") + chunks[:-5],
    }

    async def handle(connection: Connection) -> None:
        target = ""
        while not target.endswith("cut"):
            target = (await connection.request()).target
            await connection.send(answers[target])

    async def main() -> tuple[dict[str, Any], int]:
        async with RawServer(handle, tls=server_side(certificate)) as server:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                textwrap.dedent(CLIENT),
                server.base_url,
                KEY["Authorization"],
                env={**os.environ, "SSL_CERT_FILE": str(certificate / "cert.pem")},
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await process.communicate()
            return dict(json.loads(out)), server.connections

    digest = hashlib.sha256(data).hexdigest()
    told, opened_there = run(main())
    # one until more came than was told, one each for what is cut, and one for the link
    assert opened_there == 4
    assert told == {
        "whole": [digest, [hashlib.sha256(image).hexdigest()]],
        "kept": [digest, [hashlib.sha256(image).hexdigest()]],
        "chunked": [digest, [hashlib.sha256(image).hexdigest()]],
        "more": [digest, [hashlib.sha256(image).hexdigest()]],
        "cut": ["body_cut", 200],
        "chunks_cut": ["body_cut", 200],
        "fetch": digest,
    }


def test_a_second_body_of_an_attempt_arrives_like_the_first() -> None:
    """What holds memory and has not arrived is not taken to be landing."""

    async def main() -> None:
        go_on = asyncio.Event()

        async def handle(connection: Connection) -> None:
            await connection.request()
            await connection.send(head(200, Content_Length="10") + b"01234")
            await go_on.wait()
            await connection.send(b"56789")

        memory = Memory()
        async with RawServer(handle) as server, opened(server.base_url) as transport:
            with memory.holding() as held:
                assert held.take_now(7)
                held.arrived()
                assert memory.landing == 7
                fetching = asyncio.create_task(transport.fetch(f"{server.origin}/fox.png", Room(100, held)))
                async with asyncio.timeout(10):
                    while not held.arriving:  # noqa: ASYNC110 - nobody tells of it
                        await asyncio.sleep(0.01)
                assert memory.landing == 0
                go_on.set()
                assert isinstance(await fetching, Answer)
                assert memory.landing == memory.used == 17

    asyncio.run(main())
