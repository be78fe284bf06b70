"""Answers whose content is good and whose HTTP is not, or is unusual."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable, Iterator

from tests.attacks.faults.exchange import Exchange, head, whole

JSON = {"Content-Type": "application/json"}


def chunked(body: bytes, size: int = 1000) -> Iterator[bytes]:
    """Chunks with their framing, without the last (empty) one."""
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        yield b"%x\r\n%s\r\n" % (len(piece), piece)


def _chunked_head() -> bytes:
    return head(200, JSON | {"Transfer-Encoding": "chunked"})


def _chunks_good(body: bytes) -> bytes:
    return _chunked_head() + b"".join(chunked(body)) + b"0\r\n\r\n"


def _chunks_cut(body: bytes) -> bytes:
    whole_answer = _chunks_good(body)
    return whole_answer[: len(whole_answer) // 2]


def _chunks_without_end(body: bytes) -> bytes:
    return _chunked_head() + b"".join(chunked(body))


def _chunk_size_nonsense(body: bytes) -> bytes:
    parts = list(chunked(body))
    return _chunked_head() + parts[0] + b"zz-not-hex\r\n" + b"".join(parts[1:])


def _chunk_size_negative(body: bytes) -> bytes:
    return _chunked_head() + next(chunked(body)) + b"-1\r\n" + body


def _chunk_size_vast(body: bytes) -> bytes:
    return _chunked_head() + b"f" * 24 + b"\r\n" + body


def _chunk_extensions(body: bytes) -> bytes:
    framed = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in (body[:500], body[500:]))
    return _chunked_head() + framed + b"0\r\nx-trailer: 1\r\n\r\n"


def _length_long(body: bytes) -> bytes:
    return whole(200, body, {"Content-Length": str(len(body) + 64)})


def _length_short(body: bytes) -> bytes:
    return whole(200, body, {"Content-Length": str(len(body) - 64)})


def _length_twice(body: bytes) -> bytes:
    return head(200, JSON | {"Content-Length": str(len(body)), "content-length": str(len(body) - 9)}) + body


def _both_framings(body: bytes) -> bytes:
    headers = JSON | {"Content-Length": "7", "Transfer-Encoding": "chunked"}
    return head(200, headers) + b"".join(chunked(body)) + b"0\r\n\r\n"


def _interim(body: bytes) -> bytes:
    hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    return b"HTTP/1.1 100 Continue\r\n\r\n" + hint.encode() + whole(200, body)


def _garbage_after(body: bytes) -> bytes:
    return whole(200, body) + b"\x00\xffHTTP/1.1 500 Oops\r\n\r\n"


def _second_answer(body: bytes) -> bytes:
    return whole(200, body) + whole(500, b'{"error": {"message": "nobody asked", "code": null}}')


def _gzipped(packed: bytes) -> bytes:
    return whole(200, packed, {"Content-Encoding": "gzip"})


def _huge_header(body: bytes) -> bytes:
    return whole(200, body, {"x-huge": "h" * 200_000})


SOUND: dict[str, Callable[[bytes], bytes]] = {
    "chunks": _chunks_good,
    "chunk_extensions": _chunk_extensions,
    "http10": lambda body: head(200, JSON, version="1.0") + body,
    "http10_length": lambda body: head(200, JSON | {"Content-Length": str(len(body))}, version="1.0") + body,
    "unframed": lambda body: head(200, JSON) + body,
    "interim": _interim,
    "garbage_after": _garbage_after,
    "second_answer": _second_answer,
    "many_headers": lambda body: whole(200, body, {f"x-header-{i}": "v" * 20 for i in range(95)}),
    "odd_reason": lambda body: head(200, JSON | {"Content-Length": str(len(body))}, reason="") + body,
    "no_type": lambda body: head(200, {"Content-Length": str(len(body))}) + body,
    "html_type": lambda body: whole(200, body, {"Content-Type": "text/html"}),
    "latin_type": lambda body: whole(200, body, {"Content-Type": "application/json; charset=bogus-9"}),
    "gzip": lambda body: _gzipped(gzip.compress(body)),
    "identity": lambda body: whole(200, body, {"Content-Encoding": "identity"}),
    "created_201": lambda body: whole(201, body),
}
"""Whole byte streams of an answer, made from a good body: odd, but a reader of HTTP gets the body."""

BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "unframed_cut": lambda body: head(200, JSON) + body[: len(body) // 2],
    "length_long": _length_long,
    "length_short": _length_short,
    "length_twice": _length_twice,
    "length_nonsense": lambda body: whole(200, body, {"Content-Length": "a lot"}),
    "length_negative": lambda body: whole(200, body, {"Content-Length": "-5"}),
    "both_framings": _both_framings,
    "chunks_cut": _chunks_cut,
    "chunks_without_end": _chunks_without_end,
    "chunk_size_nonsense": _chunk_size_nonsense,
    "chunk_size_negative": _chunk_size_negative,
    "chunk_size_vast": _chunk_size_vast,
    "status_garbage": lambda body: b"HTTZ/9.9 OK then\r\n\r\n" + body,
    "status_negative": lambda body: b"HTTP/1.1 -200 OK\r\n\r\n" + body,
    "status_zero": lambda body: b"HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n",
    "binary": lambda body: bytes(range(256)) * 40,
    "tls_alert": lambda body: b"\x15\x03\x01\x00\x02\x02\x28",
    "header_control": lambda body: whole(200, body, {"x-odd": "a\x00b\x01c"}),
    "header_fold": lambda body: whole(200, body, {"x-fold": "a\r\n b"}),
    "huge_header": _huge_header,
    "switching": lambda body: (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + body
    ),
    "no_content": lambda body: head(204, {}),
    "gzip_lie": lambda body: _gzipped(body),
    "gzip_cut": lambda body: _gzipped(gzip.compress(body)[:-2000]),
    "brotli_lie": lambda body: whole(200, body, {"Content-Encoding": "br"}),
}
"""Byte streams that no reader can trust, or at least none need read."""


def _send_broken(exchange: Exchange, data: bytes) -> None:
    """The head, a moment, the rest, so that the client has seen the status; at_once=1: all in one piece."""
    start = 0 if exchange.marker.number("at_once") else data.find(b"\r\n\r\n") + 4
    exchange.wire.send(data[:start])
    exchange.wire.pause(0.05)
    exchange.wire.send(data[start:])


def frame(exchange: Exchange) -> None:
    """kind: a row of SOUND or BROKEN (see `_send_broken`); keep=1 leaves the connection open afterwards, as
    the framing promises; without it FIN follows.
    """
    kind = exchange.marker.text("kind")
    exchange.charge()
    if kind in SOUND:
        exchange.hand_over(SOUND[kind](exchange.body()))
    else:
        _send_broken(exchange, BROKEN[kind](exchange.body()))
    if not exchange.marker.number("keep"):
        exchange.wire.finish()


def gzip_bomb(exchange: Exchange) -> None:
    """A 10 MB body that inflates to 10 GB of base64."""
    exchange.charge()
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    opening = packer.compress(b'{"created":1,"data":[{"b64_json":"') + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b"A" * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    exchange.wire.send(head(200, JSON | {"Content-Encoding": "gzip"}) + opening)
    for _ in itertools.repeat(None, 10_000):
        exchange.wire.send(block)
    exchange.wire.finish()


ACTS: dict[str, Callable[[Exchange], None]] = {"frame": frame, "gzip_bomb": gzip_bomb}
