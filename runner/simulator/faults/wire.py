"""Connections that misbehave: cut, reset, silent, endless. Each action plays one fault on the request's own socket."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable
from functools import lru_cache

from aiohttp import web

from runner.simulator.faults.kinds import Fault

HUGE_BYTES = 2 * 2**30
BOMB_BYTES = 100 * 2**20
_BLOCK = 256 * 1024
_LOOK_S = 0.05

Body = Callable[[], Awaitable[bytes]]
_Action = Callable[[web.Request, Fault, Body], Awaitable[web.StreamResponse]]


def _head(length: int | None, content_type: str = "application/json", *more: str) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = ("HTTP/1.1 200 OK", f"Content-Type: {content_type}", framing, *more, "", "")
    return "\r\n".join(lines).encode()


def _send_and_close(request: web.Request, data: bytes) -> web.Response:
    """Write `data` as it is and close; what the handler returns then goes nowhere."""
    if request.transport is not None:
        if data:
            request.transport.write(data)
        request.transport.close()
    return web.Response()


def cut_body(
    request: web.Request, body: bytes, at_byte: int, content_type: str = "application/json"
) -> web.Response:
    """Promise `body` whole, send its first `at_byte` bytes, close."""
    return _send_and_close(request, _head(len(body), content_type) + body[:at_byte])


def _cut_at(fault: Fault, body: bytes) -> int:
    return len(body) // 2 if fault.at_byte is None else min(fault.at_byte, len(body))


def is_connected(request: web.Request) -> bool:
    """Whether the caller is still there and has not been cut off."""
    return request.transport is not None and not request.transport.is_closing()


async def until_closed(request: web.Request) -> web.Response:
    """Wait, without an answer, for the caller to go."""
    while is_connected(request):  # noqa: ASYNC110 - only the transport tells a handler that the caller has gone
        await asyncio.sleep(_LOOK_S)
    return web.Response()


async def _hang(request: web.Request, fault: Fault, body: Body) -> web.StreamResponse:
    return await until_closed(request)


async def _disconnect(request: web.Request, fault: Fault, body: Body) -> web.StreamResponse:
    return _send_and_close(request, b"")


async def _reset(request: web.Request, fault: Fault, body: Body) -> web.StreamResponse:
    if request.transport is not None:
        plug = request.transport.get_extra_info("socket")
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response()


async def _truncate(request: web.Request, fault: Fault, body: Body) -> web.StreamResponse:
    whole = await body()
    return cut_body(request, whole, _cut_at(fault, whole))


async def _chunk_cut(request: web.Request, fault: Fault, body: Body) -> web.StreamResponse:
    whole = await body()
    chunk = f"{len(whole):x}\r\n".encode() + whole[: _cut_at(fault, whole)]
    return _send_and_close(request, _head(None) + chunk)


async def _short_length(request: web.Request, fault: Fault, body: Body) -> web.StreamResponse:
    whole = await body()
    return _send_and_close(request, _head(_cut_at(fault, whole)) + whole)


async def _stall(request: web.Request, fault: Fault, body: Body) -> web.StreamResponse:
    whole = await body()
    if request.transport is not None:
        request.transport.write(_head(len(whole)) + whole[: _cut_at(fault, whole)])
    return await until_closed(request)


async def _drip(request: web.Request, fault: Fault, body: Body) -> web.StreamResponse:
    whole = await body()
    response = web.StreamResponse(
        headers={"Content-Type": "application/json", "Content-Length": str(len(whole))}
    )
    await response.prepare(request)
    for at in range(len(whole)):
        await response.write(whole[at : at + 1])
        await asyncio.sleep(fault.delay_s)
    return response


async def _huge_body(request: web.Request, fault: Fault, body: Body) -> web.StreamResponse:
    length = HUGE_BYTES if fault.at_byte is None else fault.at_byte
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(length)})
    await response.prepare(request)
    opening = b'{"created": 1, "data": [{"b64_json": "'
    sent = min(len(opening), length)
    await response.write(opening[:sent])
    while sent < length:
        part = min(_BLOCK, length - sent)
        await response.write(b"A" * part)
        sent += part
    return response


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    return gzip.compress(b'{"data": [{"b64_json": "' + bytes(BOMB_BYTES), compresslevel=1, mtime=0)


async def _gzip_bomb(request: web.Request, fault: Fault, body: Body) -> web.StreamResponse:
    packed = await asyncio.to_thread(_bomb)
    return web.Response(body=packed, content_type="application/json", headers={"Content-Encoding": "gzip"})


ACTIONS: dict[str, _Action] = {
    "hang": _hang,
    "disconnect": _disconnect,
    "reset": _reset,
    "truncate": _truncate,
    "chunk_cut": _chunk_cut,
    "short_length": _short_length,
    "stall": _stall,
    "drip": _drip,
    "huge_body": _huge_body,
    "gzip_bomb": _gzip_bomb,
}


async def misbehave(request: web.Request, fault: Fault, body: Body) -> web.StreamResponse:
    """Play a fault whose kind is in `ACTIONS`. body: makes the good body; not called where none is needed."""
    return await ACTIONS[fault.kind](request, fault, body)
