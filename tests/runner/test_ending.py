"""Cutting what is waited for: at once, and as often as somebody asks."""

from __future__ import annotations

import asyncio

import pytest

from runner.ending import Cut


def test_a_second_cut_while_the_first_is_still_ending_what_is_watched() -> None:
    async def main() -> None:
        cut, ending, may_end = Cut(), asyncio.Event(), asyncio.Event()

        async def waits() -> None:
            async with cut.watched():
                try:
                    await asyncio.Event().wait()
                finally:
                    ending.set()
                    await may_end.wait()

        waiting = asyncio.create_task(waits())
        await asyncio.sleep(0)
        cut.set()
        await ending.wait()
        cut.set()
        may_end.set()
        with pytest.raises(TimeoutError):
            await waiting
        with pytest.raises(TimeoutError):
            async with cut.watched():
                await asyncio.Event().wait()

    asyncio.run(main())
