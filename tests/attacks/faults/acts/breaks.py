"""Connections that break, stall or drip. Those that the service had taken up are charged first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from runner.process.redaction import Redactor
from tests.attacks.faults.exchange import Exchange, head, whole


def _charged_answer(exchange: Exchange) -> bytes:
    exchange.charge()
    return whole(200, exchange.body())


def _end(exchange: Exchange) -> None:
    if exchange.marker.text("how", "close") == "reset":
        exchange.wire.reset()
    else:
        exchange.wire.finish()


def reset_unread(exchange: Exchange) -> None:
    """RST while the request lies unread in the kernel."""
    exchange.wire.reset()


def reset_read(exchange: Exchange) -> None:
    """RST once the request was read and charged, before a byte of the answer."""
    exchange.charge()
    exchange.wire.reset()


def silent_close(exchange: Exchange) -> None:
    """FIN once the request was read and charged, before a byte of the answer."""
    exchange.charge()
    exchange.wire.finish()


def part_of_head(exchange: Exchange) -> None:
    """at: bytes of the answer's head that are sent before the end; how: close or reset."""
    answer = _charged_answer(exchange)
    exchange.wire.send(answer[: int(exchange.marker.number("at"))])
    _end(exchange)


def _cut_points(body: bytes) -> dict[str, int]:
    return {"middle": len(body) // 2, "last": len(body) - 1, "image_end": body.rfind(b'"usage"')}


def cut(exchange: Exchange) -> None:
    """at: bytes of the body that are sent, or middle, last, image_end; how: close or reset."""
    answer = _charged_answer(exchange)
    start = answer.index(b"\r\n\r\n") + 4
    at = exchange.marker.text("at")
    length = _cut_points(answer[start:]).get(at) if not at.isdigit() else int(at)
    assert length is not None, at
    kept = b"".join(Redactor().body_pieces([answer[start : start + length]]))
    exchange.note("part", body_sha256=[hashlib.sha256(kept).hexdigest()])
    exchange.wire.send(answer[: start + length])
    _end(exchange)


def never(exchange: Exchange) -> None:
    """Read, charged, never answered."""
    exchange.charge()
    exchange.wire.stall()


def stall(exchange: Exchange) -> None:
    """at: share of the answer that is sent before the silence (0: the head only)."""
    answer = _charged_answer(exchange)
    start = answer.index(b"\r\n\r\n") + 4
    exchange.wire.send(answer[: start + int((len(answer) - start) * exchange.marker.number("at"))])
    exchange.wire.stall()


def drip(exchange: Exchange) -> None:
    """One piece every so often: size in bytes, every in seconds, from the head or from the body."""
    marker = exchange.marker
    answer = _charged_answer(exchange)
    start = 0 if marker.text("part") == "head" else answer.index(b"\r\n\r\n") + 4
    exchange.wire.send(answer[:start])
    exchange.wire.drip(
        answer[start:], size=int(marker.number("size", 1)), every_s=marker.number("every", 0.5)
    )
    exchange.note("flushed", status=200, body_sha256=[])


def pieces(exchange: Exchange) -> None:
    """A good answer in `count` pieces with short pauses, as a slow network sends it."""
    answer = _charged_answer(exchange)
    count = int(exchange.marker.number("count", 20))
    exchange.wire.drip(answer, size=-(-len(answer) // count), every_s=0.05)
    exchange.note("flushed", status=200, body_sha256=[])


def late(exchange: Exchange) -> None:
    """A good answer after `after` seconds."""
    exchange.charge()
    exchange.wire.pause(exchange.marker.number("after", 1))
    exchange.hand_over(whole(200, exchange.body()))


def drop_after(exchange: Exchange) -> None:
    """A good answer on a connection said to be kept, which ends without a word `wait` s later; how."""
    exchange.charge()
    exchange.hand_over(whole(200, exchange.body(), {"Connection": "keep-alive", "Keep-Alive": "timeout=60"}))
    exchange.wire.pause(exchange.marker.number("wait"))
    _end(exchange)


def endless(exchange: Exchange) -> None:
    """A body declared as 2 GB (declared=0: chunked, without end) whose base64 never stops."""
    exchange.charge()
    declared = int(exchange.marker.number("declared", 2**31))
    framing = {"Content-Length": str(declared)} if declared else {"Transfer-Encoding": "chunked"}
    exchange.wire.send(head(200, {"Content-Type": "application/json", **framing}))
    opening, block = b'{"created":1,"data":[{"b64_json":"', b"A" * 2**16
    if not declared:
        opening, block = (b"%x\r\n%s\r\n" % (len(part), part) for part in (opening, block))
    exchange.wire.send(opening)
    while exchange.wire.sent < 2**31:
        exchange.wire.send(block)
    exchange.wire.close()


ACTS: dict[str, Callable[[Exchange], None]] = {
    "reset_unread": reset_unread,
    "reset_read": reset_read,
    "silent_close": silent_close,
    "part_of_head": part_of_head,
    "cut": cut,
    "never": never,
    "stall": stall,
    "drip": drip,
    "pieces": pieces,
    "late": late,
    "drop_after": drop_after,
    "endless": endless,
}
