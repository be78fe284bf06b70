"""Requests that wait for their turn to leave."""

from __future__ import annotations

import asyncio

import pytest

from runner.http.sessions import SendSlots


def test_a_turn_is_over_once_that_is_told_or_with_its_block() -> None:
    async def run() -> None:
        slots, order = SendSlots(1), []

        async def one(name: str, *, tells: bool) -> None:
            async with slots.slot() as slot:
                order.append(name)
                if tells:
                    slot.end()
                    slot.end()
                await asyncio.sleep(0.01)
                order.append(f"{name} ends")

        with pytest.raises(ZeroDivisionError):
            async with slots.slot():
                raise ZeroDivisionError
        await asyncio.gather(one("a", tells=False), one("b", tells=True), one("c", tells=False))
        assert order == ["a", "a ends", "b", "c", "b ends", "c ends"]

    asyncio.run(run())
