"""The budget of bytes in flight: bounded, and never at a standstill."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.http.memory_budget import Memory
from tests.runner.clock import run_idle


async def turns() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_fits_is_taken_at_once_and_given_back_at_the_end() -> None:
    async def main() -> None:
        memory = Memory(total=100, oldest=1)
        with memory.holding() as one, memory.holding() as other:
            assert await one.take(60) == 0.0
            assert await other.take(40) == 0.0
            assert (memory.used, one.size, other.size) == (100, 60, 40)
        assert memory.used == 0

    run_idle(main())


def test_the_oldest_goes_on_and_the_younger_wait_for_it_to_land() -> None:
    async def main() -> None:
        memory = Memory(total=100, oldest=1)
        oldest = ExitStack()
        first = oldest.enter_context(memory.holding())
        with memory.holding() as second:
            await first.take(60)
            await second.take(40)
            waiting = asyncio.create_task(second.take(10))
            await turns()
            assert not waiting.done()
            assert await first.take(500) == 0.0
            await turns()
            assert not waiting.done()
            oldest.close()
            await waiting
            assert memory.used == 50

    run_idle(main())


def test_the_wait_is_told_in_seconds() -> None:
    async def main() -> float:
        memory = Memory(total=10, oldest=1)
        first = ExitStack()
        await first.enter_context(memory.holding()).take(10)
        with memory.holding() as second:
            waiting = asyncio.create_task(second.take(10))
            await asyncio.sleep(7.0)
            first.close()
            return await waiting

    assert run_idle(main()) == pytest.approx(7.0, abs=0.001)


def test_an_answer_larger_than_all_memory_goes_on_alone() -> None:
    async def main() -> None:
        memory = Memory(total=10, oldest=1)
        with memory.holding() as held:
            for _ in range(5):
                assert await held.take(10) == 0.0

    run_idle(main())


def test_one_that_was_given_up_while_it_waited_stands_in_nobodys_way() -> None:
    async def main() -> None:
        memory = Memory(total=10, oldest=1)
        first = ExitStack()
        await first.enter_context(memory.holding()).take(10)
        with memory.holding() as second:
            waiting = asyncio.create_task(second.take(5))
            await turns()
            waiting.cancel()
            await asyncio.wait((waiting,))
        with memory.holding() as third:
            later = asyncio.create_task(third.take(5))
            await turns()
            first.close()
            await later
            assert memory.used == 5

    run_idle(main())


@given(
    st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=6), min_size=1, max_size=8),
    st.integers(1, 100),
)
def test_everything_lands_and_only_one_answer_is_beyond_the_total(
    chunks: list[list[int]], total: int
) -> None:
    async def main() -> list[int]:
        memory = Memory(total, oldest=1)
        landed, holders = [], []

        async def receive(number: int, sizes: list[int]) -> None:
            with memory.holding() as held:
                holders.append(held)
                for size in sizes:
                    await asyncio.sleep(1.0 + number % 3)
                    await held.take(size)
                    largest = max(other.size for other in holders)
                    assert memory.used <= total or memory.used - largest <= total
                holders.remove(held)
            landed.append(number)

        async with asyncio.TaskGroup() as group:
            for number, sizes in enumerate(chunks):
                group.create_task(receive(number, sizes))
        assert memory.used == 0
        return landed

    assert sorted(run_idle(main())) == list(range(len(chunks)))


@pytest.mark.parametrize(("lands", "goes_on"), [(4, True), (5, False)])
def test_what_lands_is_waited_for_when_it_holds_half_of_all(lands: int, goes_on: bool) -> None:
    async def main() -> None:
        memory = Memory(total=10, oldest=2)
        landing = ExitStack()
        with memory.holding() as oldest:
            assert oldest.take_now(10 - lands)
            landed = landing.enter_context(memory.holding())
            assert landed.take_now(lands)
            landed.arrived()
            assert memory.landing == lands
            assert oldest.take_now(1) is goes_on
            landed.arrives()
            assert memory.landing == 0
            assert oldest.take_now(1)
            landed.arrived()
            waiting = asyncio.create_task(oldest.take(4))
            await turns()
            assert waiting.done() is goes_on
            landing.close()
            await waiting
            assert memory.landing == 0

    run_idle(main())


def test_a_few_of_the_oldest_go_on_so_that_a_slow_one_does_not_hold_up_all() -> None:
    async def main() -> None:
        memory = Memory(total=10, oldest=2)
        landing = ExitStack()
        with memory.holding() as slow, memory.holding() as third:
            assert slow.take_now(3)
            second = landing.enter_context(memory.holding())
            assert second.take_now(3)
            assert second.take_now(5)
            assert not third.take_now(5)
            waiting = asyncio.create_task(third.take(5))
            await turns()
            assert not waiting.done()
            landing.close()
            await waiting
            assert (memory.used, memory.landing) == (8, 0)

    run_idle(main())
