"""Cutting what is waited for: at once, and as often as somebody asks."""

from __future__ import annotations

import asyncio

import pytest

from runner.engine.shutdown import Cut


def test_a_second_cut_while_the_first_is_still_ending_what_is_watched() -> None:
    async def main() -> None:
        cut, ending, may_end = Cut(), asyncio.Event(), asyncio.Event()

        async def waits() -> None:
            with cut.watched():
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
        with pytest.raises(TimeoutError), cut.watched():
            await asyncio.Event().wait()

    asyncio.run(main())


def test_a_block_that_is_over_is_not_cut() -> None:
    async def main() -> None:
        cut = Cut()
        with cut.watched():
            await asyncio.sleep(0)
        cut.set()
        with cut.watched():
            pass
        await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_cancellation_by_somebody_else_is_one_all_the_same() -> None:
    async def main() -> None:
        cut = Cut()

        async def waits() -> None:
            with cut.watched():
                await asyncio.Event().wait()

        waiting = asyncio.create_task(waits())
        await asyncio.sleep(0)
        waiting.cancel()
        cut.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
