"""The selector that tells of a few ready files at a time."""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain

import pytest

from runner.loops import AT_ONCE, FairSelector, run

Pair = tuple[socket.socket, socket.socket]
MANY = 3 * AT_ONCE + 7


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    """Connected sockets, with a byte waiting at each first one."""
    with ExitStack() as stack:
        made = [socket.socketpair() for _ in range(MANY)]
        for near, far in made:
            stack.enter_context(near)
            stack.enter_context(far)
            far.send(b"x")
        yield made


@pytest.fixture
def selector(pairs: list[Pair]) -> Iterator[FairSelector]:
    with FairSelector() as selector:
        for near, _ in pairs:
            selector.register(near, selectors.EVENT_READ)
        yield selector


def told(selector: FairSelector) -> list[int]:
    return [key.fd for key, _ in selector.select(0)]


def test_all_that_is_ready_is_told_of_once_before_any_is_told_of_again(
    selector: FairSelector, pairs: list[Pair]
) -> None:
    looks = [told(selector) for _ in range(4)]
    assert [len(look) for look in looks] == [AT_ONCE, AT_ONCE, AT_ONCE, 7]
    assert sorted(chain.from_iterable(looks)) == sorted(near.fileno() for near, _ in pairs)
    assert len(told(selector)) == AT_ONCE


def test_what_is_closed_or_changed_meanwhile_is_not_told_of(
    selector: FairSelector, pairs: list[Pair]
) -> None:
    first = set(told(selector))
    left = [near for near, _ in pairs if near.fileno() not in first]
    gone, changed = left[0].fileno(), left[1].fileno()
    selector.unregister(left[0])
    selector.modify(left[1], selectors.EVENT_WRITE)
    rest = [*told(selector), *told(selector), *told(selector)]
    assert len(rest) == MANY - AT_ONCE - 2
    assert not {gone, changed} & set(rest)


def test_a_file_that_took_the_number_of_a_closed_one_is_not_taken_for_it(
    selector: FairSelector, pairs: list[Pair]
) -> None:
    first = set(told(selector))
    closed = next(near for near, _ in pairs if near.fileno() not in first)
    number = closed.fileno()
    selector.unregister(closed)
    closed.close()
    fresh, other = socket.socketpair()
    with fresh, other:
        taken = next(end for end in (fresh, other) if end.fileno() == number)
        selector.register(taken, selectors.EVENT_READ)
        assert number not in {*told(selector), *told(selector), *told(selector)}


def test_it_waits_for_what_is_not_ready() -> None:
    near, far = socket.socketpair()
    with near, far, FairSelector() as selector:
        selector.register(near, selectors.EVENT_READ)
        assert selector.select(0.01) == []
        far.send(b"x")
        assert [key.fileobj for key, _ in selector.select(None)] == [near]


def test_streams_by_the_hundred_lose_nothing() -> None:
    async def talk() -> list[bytes]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = await reader.readline()
            writer.write(line * 1000)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def ask(number: int) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"%d\n" % number)
            heard = await reader.read(-1)
            writer.close()
            return heard

        async with server:
            return await asyncio.gather(*map(ask, range(300)))

    assert run(talk()) == [b"%d\n" % number * 1000 for number in range(300)]
