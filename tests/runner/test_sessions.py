"""The room that a connection has for an answer before anybody reads it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from runner.http import sessions
from runner.http.sessions import MOST_RECEIVED_BYTES, Sockets, Turns

ADDRESS = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 80))


def room(opened: socket.socket) -> int:
    """Bytes of the receive buffer, as the system counts them."""
    return opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


@pytest.fixture
def usual() -> int:
    """What a connection has when nobody asks for more."""
    limits = Path("/proc/sys/net/ipv4/tcp_rmem")
    if not limits.exists() or int(limits.read_text().split()[2]) < 4 * MOST_RECEIVED_BYTES:
        pytest.skip("this system's receive buffers do not grow so far")
    with socket.socket() as plain:
        return room(plain)


def test_there_is_room_from_the_start_and_every_byte_is_told(usual: int) -> None:
    with Sockets().open(ADDRESS) as opened:
        assert room(opened) >= MOST_RECEIVED_BYTES > usual
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


def test_many_connections_have_less_each(usual: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "BYTES_IN_FLIGHT", 8 * MOST_RECEIVED_BYTES)
    made = Sockets()
    with ExitStack() as stack:
        rooms = [room(stack.enter_context(made.open(ADDRESS))) for _ in range(200)]
    assert rooms[:8] == [rooms[0]] * 8
    assert rooms[0] > rooms[20] > rooms[-1] == usual
    with made.open(ADDRESS) as later:
        assert room(later) == rooms[0]


def test_a_turn_is_over_once_that_is_told_or_with_its_block() -> None:
    async def run() -> None:
        turns, order = Turns(1), []

        async def one(name: str, *, tells: bool) -> None:
            async with turns.turn() as turn:
                order.append(name)
                if tells:
                    turn.end()
                    turn.end()
                await asyncio.sleep(0.01)
                order.append(f"{name} ends")

        with pytest.raises(ZeroDivisionError):
            async with turns.turn():
                raise ZeroDivisionError
        await asyncio.gather(one("a", tells=False), one("b", tells=True), one("c", tells=False))
        assert order == ["a", "a ends", "b", "c", "b ends", "c ends"]

    asyncio.run(run())
