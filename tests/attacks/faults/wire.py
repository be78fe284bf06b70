"""One accepted connection, byte by byte: reading requests, and every honest and dishonest way to end an answer."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass

PEEK_BYTES = 2**20
_HEAD_END = b"\r\n\r\n"
_LINGER_RESET = struct.pack("ii", 1, 0)
_POLL_S = 0.002
_CHUNK_BYTES = 1 << 16


class ClientGone(Exception):
    """The client closed or reset the connection."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def parse_request(data: bytes) -> tuple[Request, int] | None:
    """The request at the head of `data` and its length in bytes; None while it is not whole."""
    end = data.find(_HEAD_END)
    if end < 0:
        return None
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    start = end + len(_HEAD_END)
    whole = start + int(headers.get("content-length", 0))
    if len(data) < whole:
        return None
    method, target, _ = first.split(" ", 2)
    return Request(method, target, headers, data[start:whole]), whole


class Wire:
    """A connection. `sent`: bytes handed to the kernel for the current answer."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._stopping = stopping
        self.sent = 0
        self.closed = False

    def peek_request(self) -> tuple[Request, int] | None:
        """Wait for a whole request and leave it unread in the kernel; None when the client closed instead.

        Requests longer than PEEK_BYTES are not supported (prompts end at 32,000 characters).
        """
        seen = -1
        while not self._stopping.is_set():
            try:
                data = self._sock.recv(PEEK_BYTES, socket.MSG_PEEK)
            except OSError:
                return None
            if found := parse_request(data):
                return found
            if not data or (len(data) == seen and self.gone()):
                return None
            seen = len(data)
            time.sleep(_POLL_S)
        return None

    def consume(self, length: int) -> None:
        """Read `length` bytes that were peeked."""
        while length > 0:
            got = len(self._sock.recv(length))
            if not got:
                raise ClientGone
            length -= got

    def gone(self) -> bool:
        """True when the client has closed or reset its side."""
        try:
            return self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def send(self, data: bytes) -> None:
        """Hand bytes to the kernel; raise ClientGone when nobody takes them."""
        for start in range(0, len(data), _CHUNK_BYTES):
            piece = data[start : start + _CHUNK_BYTES]
            try:
                self._sock.sendall(piece)
            except OSError as error:
                raise ClientGone from error
            self.sent += len(piece)

    def drip(self, data: bytes, *, size: int, every_s: float) -> None:
        """Send `size` bytes, wait `every_s` seconds, and so on."""
        for start in range(0, len(data), size):
            if self.gone():
                raise ClientGone
            self.send(data[start : start + size])
            self._stopping.wait(every_s)

    def stall(self, limit_s: float = 120.0) -> None:
        """Say nothing until the client goes away; raises ClientGone then (or after `limit_s`, or at the end)."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline and not self._stopping.is_set() and not self.gone():
            time.sleep(_POLL_S * 10)
        raise ClientGone

    def pause(self, seconds: float) -> None:
        """Let `seconds` pass, less at the server's end."""
        self._stopping.wait(seconds)

    def reset(self) -> None:
        """End the connection with RST."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self.close()

    def close(self) -> None:
        """Close; unread input makes the kernel send RST instead of FIN."""
        self.closed = True
        self._sock.close()

    def finish(self) -> None:
        """Send FIN, then read what still comes, so that the client is sure to see what was sent before."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            self._sock.settimeout(1.0)
            while self._sock.recv(_CHUNK_BYTES):
                pass
        self.close()
