"""Connections that misbehave, seen from a socket."""

from __future__ import annotations

import json
import socket
import zlib
from collections.abc import Callable

import pytest

from tests.support.simulator import Simulator


def test_disconnect_sends_nothing(faulty: Simulator) -> None:
    assert faulty.raw(prompt="kind disconnect;") == b""


def test_reset_resets(faulty: Simulator) -> None:
    with pytest.raises(ConnectionResetError):
        faulty.raw(prompt="kind reset;")


STAYS_OPEN = {"gzip_bomb", "huge_body", "drip"}


@pytest.mark.parametrize("kind", ["truncate", "chunk_cut", "short_length", "gzip_bomb", "huge_body", "drip"])
def test_framing(faulty: Simulator, kind: str) -> None:
    with faulty.open(prompt=f"kind {kind};") as plug, plug.makefile("rb") as answer:
        lines = iter(lambda: answer.readline().strip().decode().lower(), "")
        head = dict(line.split(": ", 1) for line in lines if ": " in line)
        body = answer.read(int(head["content-length"])) if kind in STAYS_OPEN else answer.read()
    checks: dict[str, Callable[[], bool]] = {
        "truncate": lambda: len(body) == int(head["content-length"]) // 2,
        "chunk_cut": lambda: "content-length" not in head and len(body) < int(body.partition(b"\r\n")[0], 16),
        "short_length": lambda: (
            len(json.loads(body)["data"]) == 1 and len(body) > int(head["content-length"]) + 1
        ),
        "gzip_bomb": lambda: (
            head["content-encoding"] == "gzip" and len(body) < 2**20 and _unpacked(body) > 100 * 2**20
        ),
        "huge_body": lambda: len(body) == 700_000 and body.endswith(b"AAAA"),
        "drip": lambda: len(json.loads(body)["data"]) == 1,
    }
    assert checks[kind]()


def _unpacked(body: bytes) -> int:
    return len(zlib.decompress(body, wbits=31))


def test_hang_and_stall_stay_silent_until_the_caller_goes(faulty: Simulator) -> None:
    with faulty.open(prompt="kind hang;") as hanging, faulty.open(prompt="kind stall;") as stalling:
        hanging.settimeout(0.04)
        with pytest.raises(TimeoutError):
            hanging.recv(1)
        faulty.wait_for("in_flight", 2)
        stalling.settimeout(0.04)
        head, _, body = _read_what_comes(stalling).partition(b"\r\n\r\n")
        assert len(body) == int(head.rpartition(b"Content-Length: ")[2]) // 2
    faulty.wait_for("in_flight", 0)
    assert faulty.stats()["statuses"]["cut"] >= 2


def _read_what_comes(plug: socket.socket) -> bytes:
    received = b""
    try:
        while block := plug.recv(65_536):
            received += block
    except TimeoutError:
        return received
    raise AssertionError("the server closed")
