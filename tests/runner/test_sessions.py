"""Requests that wait for their turn to leave."""

from __future__ import annotations

import asyncio

import pytest

from runner.http.sessions import Turns


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
