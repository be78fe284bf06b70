"""Exchanges that break: how far they got before."""

from __future__ import annotations

import asyncio
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import pairwise

import pytest

from jobs.classify import BreakKind
from runner.http.messages import Answer, BrokenExchange
from tests.support.clock import clock, run
from tests.support.exchanges import (
    BODY,
    Way,
    broke,
    fetched,
    opened,
    post,
    posted,
    rest,
    whole,
)
from tests.support.exchanges import way as way
from tests.support.rawserver import (
    Connection,
    Handler,
    RawServer,
    Seen,
    answering,
    chunked,
    head,
    sending,
)


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
    assert broke(found) == (BreakKind.DISCONNECTED, None)
    assert len(requests) == 1


def test_a_line_that_breaks_while_the_request_is_being_written_may_have_been_read() -> None:
    async def main() -> Answer | BrokenExchange:
        async with RawServer(leaves_at_once) as server, opened(server.base_url) as transport:
            return await post(transport, prompt="x" * 5_000_000)

    assert broke(run(main())) == (BreakKind.DISCONNECTED, None)


def test_a_post_is_never_repeated_by_the_library() -> None:
    """A request that was read and then broken off stays the only one."""

    async def reads_and_breaks(connection: Connection) -> None:
        await connection.request()
        connection.reset()

    async def main() -> tuple[Answer | BrokenExchange, int, int]:
        async with RawServer(reads_and_breaks) as server, opened(server.base_url) as transport:
            found = await post(transport)
            return found, len(server.requests), server.connections

    found, requests, connections = run(main())
    assert broke(found) == (BreakKind.DISCONNECTED, None)
    assert (requests, connections) == (1, 1)


def test_each_paid_request_has_a_connection_of_its_own(way: Way) -> None:
    async def main() -> tuple[int, int]:
        async with RawServer(answering(BODY)) as server, opened(server.base_url) as transport:
            for _ in range(3):
                whole(await post(transport), BODY)
                await rest()
            return server.connections, len(server.requests)

    assert run(main()) == (1 if way.keeps else 3, 3)


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
    assert broke(found) == (BreakKind.TIMEOUT, None)
    assert len(requests) == 1


def test_a_slow_answer_within_the_deadline_is_an_answer() -> None:
    async def slow(connection: Connection) -> None:
        await connection.request()
        clock().put_forward(590)
        await asyncio.sleep(0)
        await connection.answer(BODY)

    found, _ = posted(slow)
    assert whole(found, BODY).latency_s >= 590


@pytest.mark.parametrize("status", [200, 201, 429, 500])
@pytest.mark.parametrize("kept", [0, 1, 20, len(BODY) // 2, len(BODY) - 1])
def test_a_body_cut_short_of_its_length(status: int, kept: int) -> None:
    found, _ = posted(sending(head(status, Content_Length=str(len(BODY))) + BODY[:kept]))
    assert broke(found) == (BreakKind.BODY_CUT, status)


def test_a_small_body_cut_at_every_byte() -> None:
    small = b'{"data":[{"b64_json":"QUJD"}]}'

    async def main() -> list[tuple[BreakKind, int | None]]:
        ends = iter(range(len(small)))

        async def handle(connection: Connection) -> None:
            await connection.request()
            await connection.send(head(200, Content_Length=str(len(small))) + small[: next(ends)])

        async with RawServer(handle) as server, opened(server.base_url) as transport:
            return [broke(await post(transport)) for _ in range(len(small))]

    assert run(main()) == [(BreakKind.BODY_CUT, 200)] * len(small)


CHUNKS = chunked(BODY, 1000)


@pytest.mark.parametrize(
    "sent",
    [
        CHUNKS[:2],
        CHUNKS[:500],
        CHUNKS[:-20],
        CHUNKS[:2000] + b"zz\r\n",
    ],
)
def test_chunks_that_are_cut_or_broken(sent: bytes) -> None:
    found, _ = posted(sending(head(200, Transfer_Encoding="chunked"), sent))
    assert broke(found) == (BreakKind.BODY_CUT, 200)


def test_a_chunk_without_its_end_is_silence_at_worst() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(head(200, Transfer_Encoding="chunked"))
        await asyncio.sleep(0.02)
        await connection.send(b"5\r\nabcde??5\r\nabcde\r\n0\r\n\r\n")
        await asyncio.sleep(0.02)
        clock().put_forward(61)

    assert broke(posted(handle)[0]) == (BreakKind.BODY_CUT, 200)


@pytest.mark.parametrize("length", [len(BODY) - 10, 0])
def test_more_bytes_than_the_length_says_are_at_least_ambiguous(length: int) -> None:
    found, _ = posted(sending(head(200, Content_Length=str(length)) + BODY))
    if isinstance(found, Answer):
        whole(found, BODY[:length])
    else:
        assert found.how is BreakKind.DISCONNECTED


def test_a_reset_inside_the_body() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(head(200, Content_Length=str(len(BODY))) + BODY[:100])
        await asyncio.sleep(0.02)
        connection.reset()

    assert broke(posted(handle)[0]) == (BreakKind.BODY_CUT, 200)


@pytest.mark.parametrize("status", [200, 500])
def test_silence_inside_the_body(status: int) -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(head(status, Content_Length=str(len(BODY))) + BODY[:100])
        await asyncio.sleep(0.02)
        clock().put_forward(61)
        await connection.gone()

    assert broke(posted(handle)[0]) == (BreakKind.BODY_CUT, status)


def test_a_body_that_drips_for_longer_than_the_deadline() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(head(200, Content_Length=str(len(BODY))))
        for byte in BODY[:100]:
            await connection.send(bytes([byte]))
            await asyncio.sleep(0.005)
            clock().put_forward(20)
        await connection.gone()

    assert broke(posted(handle)[0]) == (BreakKind.BODY_CUT, 200)


def test_a_body_that_never_ends_is_given_up_at_the_cap() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.send(head(200, Content_Length=str(2 * 2**30)) + b'{"data":[{"b64_json":"')
        while True:
            await connection.send(b"QUJD" * 4096)

    found, _ = posted(handle, max_bytes=1_000_000)
    assert broke(found) == (BreakKind.BODY_CUT, 200)
    assert isinstance(found, BrokenExchange)
    assert "more than 1,000,000 bytes" in found.detail


def test_a_zipped_answer_that_does_not_unpack() -> None:
    found, _ = posted(answering(b"\x1f\x8b rubbish", Content_Encoding="gzip"))
    assert isinstance(found, BrokenExchange)
    assert found.how in (BreakKind.BODY_CUT, BreakKind.DISCONNECTED)


def bomb(size: int) -> bytes:
    """So many zeros, zipped to a thousandth."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(2**20)
    return b"".join([*(packer.compress(block) for _ in range(size >> 20)), packer.flush()])


@pytest.mark.parametrize("attack", [posted, fetched])
def test_a_zipped_bomb_stays_within_bounds(
    attack: Callable[..., tuple[Answer | BrokenExchange, list[Seen]]],
) -> None:
    packed = bomb(160 * 2**20)
    tracemalloc.start()
    try:
        found, _ = attack(answering(packed, Content_Encoding="gzip"), max_bytes=4_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert broke(found) == (BreakKind.BODY_CUT, 200)
    assert peak < 100 * 2**20


@pytest.mark.parametrize("size", [9_000, 20_000, 60_000])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_long_header_takes_nothing_from_the_answer_behind_it(size: int, pieces: int) -> None:
    """Nor does it matter in how many pieces it arrives."""
    sent = head(200, X_Policy="p" * size, Content_Length=str(len(BODY))) + BODY
    cuts = [0, *(number * size // pieces for number in range(1, pieces)), len(sent)]
    found, _ = posted(sending(*(sent[start:end] for start, end in pairwise(cuts))))
    assert whole(found, BODY).headers["x-policy"] == "p" * size
