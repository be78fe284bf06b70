"""Which answers are plain, and that what is read of them is what aiohttp would read."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.client_proto import ResponseHandler
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from runner.http.fast.heads import MOST_HEAD_BYTES, Head, fields, plain, start_of_post

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-LENGTH:  5 \r\nX-Empty:\r\n\r\n"
HEADERS = {"content-type": "application/json", "content-length": "5", "x-empty": ""}


def test_a_plain_head() -> None:
    assert plain(PLAIN + b'{"a":') == Head(200, HEADERS, 5, len(PLAIN), True)


def test_a_status_needs_no_words() -> None:
    assert plain(b"HTTP/1.1 429\r\nContent-Length: 0\r\n\r\n") == Head(
        429, {"content-length": "0"}, 0, 35, True
    )


@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close"])
def test_a_connection_that_is_told_to_end_is_not_kept(value: str) -> None:
    head = plain(f"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: {value}\r\n\r\n".encode())
    assert head is not None
    assert not head.keeps


def test_values_are_bytes_of_whatever_kind() -> None:
    head = plain(b"HTTP/1.1 200 \xff\r\nContent-Length: 1\r\nX-Name: caf\xc3\xa9 \xff\r\n\r\n")
    assert head is not None
    assert head.headers["x-name"] == "café \udcff"


@pytest.mark.parametrize("end", range(len(PLAIN)))
def test_a_head_that_is_not_all_here_is_not_plain(end: int) -> None:
    assert plain(PLAIN[:end]) is None


@pytest.mark.parametrize(
    "came",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/2 200 OK\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: ²\r\n\r\n".encode(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n Content-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n: b\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: " + b"x" * MOST_HEAD_BYTES + b"\r\n\r\n",
    ],
)
def test_anything_else_is_for_aiohttp(came: bytes) -> None:
    assert plain(came) is None


PIECES = st.sampled_from(
    [
        *(
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 500\r\n",
            b"HTTP/1.1 404 Not  Found \r\n",
            b"HTTP/1.0 200 OK\r\n",
        ),
        *(
            b"Content-Length: 3\r\n",
            b"content-length:3\r\n",
            b"Content-Length: 03\r\n",
            b"Content-Length:\r\n",
        ),
        *(b"X-Request-Id: a:b \t \r\n", b"Server:\r\n", b"Retry-After: 7\r\n", b"X: \xc3\xa9\xff\r\n"),
        *(b"Connection: close\r\n", b"Connection: Keep-Alive\r\n", b"Transfer-Encoding: chunked\r\n"),
        *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"fox", b"X"),
    ]
)


async def _of_aiohttp(came: bytes) -> tuple[int, dict[str, str], bytes]:
    handler = ResponseHandler(asyncio.get_running_loop())
    handler.set_response_params(read_until_eof=True)
    handler.data_received(came)
    message, content = await handler.read()
    headers = {name.lower(): value for name, value in message.headers.items()}
    return message.code, headers, content.read_nowait()


@given(st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 429 Slow\r\n", b""]), st.lists(PIECES, max_size=8))
def test_what_is_plain_is_read_as_aiohttp_reads_it(first: bytes, pieces: list[bytes]) -> None:
    came = b"".join([first, *pieces, b"Content-Length: 3\r\n\r\nfox"])
    head = plain(came)
    if head is not None:
        whole = came[: head.start + head.length]
        assert (head.status, dict(head.headers), whole[head.start :]) == asyncio.run(_of_aiohttp(whole))


def test_a_post_begins_with_where_it_goes() -> None:
    url = URL("http://[::1]:8080/v1/images?api-version=1&a=b%20c", encoded=True)
    assert start_of_post(url, {"Accept": "x", "X-Name": "é"}) == (
        "POST /v1/images?api-version=1&a=b%20c HTTP/1.1\r\nHost: [::1]:8080\r\nAccept: x\r\nX-Name: é\r\n".encode()
    )


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nX: b", "a\rb"])
def test_no_value_can_be_more_than_one_field(value: str) -> None:
    for headers in ({"X-Key": value}, {value: "x"}):
        with pytest.raises(ValueError, match="line break"):
            start_of_post(URL("http://127.0.0.1/v1"), headers)
        with pytest.raises(ValueError, match="line break"):
            fields(headers)
