"""The budget of bytes in flight: bounded, and never at a standstill."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.http.memory_budget import MemoryBudget
from tests.support.clock import run_idle


async def turns() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_fits_is_taken_at_once_and_given_back_at_the_end() -> None:
    async def main() -> None:
        memory = MemoryBudget(total=100, oldest=1)
        with memory.share() as one, memory.share() as other:
            assert await one.acquire(60) == 0.0
            assert await other.acquire(40) == 0.0
            assert (memory.used, one.size, other.size) == (100, 60, 40)
        assert memory.used == 0

    run_idle(main())


def test_the_oldest_goes_on_and_the_younger_wait_for_it_to_land() -> None:
    async def main() -> None:
        memory = MemoryBudget(total=100, oldest=1)
        oldest = ExitStack()
        first = oldest.enter_context(memory.share())
        with memory.share() as second:
            await first.acquire(60)
            await second.acquire(40)
            waiting = asyncio.create_task(second.acquire(10))
            await turns()
            assert not waiting.done()
            assert await first.acquire(500) == 0.0
            await turns()
            assert not waiting.done()
            oldest.close()
            await waiting
            assert memory.used == 50

    run_idle(main())


def test_the_wait_is_told_in_seconds() -> None:
    async def main() -> float:
        memory = MemoryBudget(total=10, oldest=1)
        first = ExitStack()
        await first.enter_context(memory.share()).acquire(10)
        with memory.share() as second:
            waiting = asyncio.create_task(second.acquire(10))
            await asyncio.sleep(7.0)
            first.close()
            return await waiting

    assert run_idle(main()) == pytest.approx(7.0, abs=0.001)


def test_an_answer_larger_than_all_memory_goes_on_alone() -> None:
    async def main() -> None:
        memory = MemoryBudget(total=10, oldest=1)
        with memory.share() as share:
            for _ in range(5):
                assert await share.acquire(10) == 0.0

    run_idle(main())


def test_one_that_was_given_up_while_it_waited_stands_in_nobodys_way() -> None:
    async def main() -> None:
        memory = MemoryBudget(total=10, oldest=1)
        first = ExitStack()
        await first.enter_context(memory.share()).acquire(10)
        with memory.share() as second:
            waiting = asyncio.create_task(second.acquire(5))
            await turns()
            waiting.cancel()
            await asyncio.wait((waiting,))
        with memory.share() as third:
            later = asyncio.create_task(third.acquire(5))
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
        memory = MemoryBudget(total, oldest=1)
        landed, holders = [], []

        async def receive(number: int, sizes: list[int]) -> None:
            with memory.share() as share:
                holders.append(share)
                for size in sizes:
                    await asyncio.sleep(1.0 + number % 3)
                    await share.acquire(size)
                    largest = max(other.size for other in holders)
                    assert memory.used <= total or memory.used - largest <= total
                holders.remove(share)
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
        memory = MemoryBudget(total=10, oldest=2)
        landing = ExitStack()
        with memory.share() as oldest:
            assert oldest.try_acquire(10 - lands)
            landed = landing.enter_context(memory.share())
            assert landed.try_acquire(lands)
            landed.received()
            assert memory.awaiting_disk == lands
            assert oldest.try_acquire(1) is goes_on
            landed.receiving()
            assert memory.awaiting_disk == 0
            assert oldest.try_acquire(1)
            landed.received()
            waiting = asyncio.create_task(oldest.acquire(4))
            await turns()
            assert waiting.done() is goes_on
            landing.close()
            await waiting
            assert memory.awaiting_disk == 0

    run_idle(main())


def test_a_few_of_the_oldest_go_on_so_that_a_slow_one_does_not_hold_up_all() -> None:
    async def main() -> None:
        memory = MemoryBudget(total=10, oldest=2)
        landing = ExitStack()
        with memory.share() as slow, memory.share() as third:
            assert slow.try_acquire(3)
            second = landing.enter_context(memory.share())
            assert second.try_acquire(3)
            assert second.try_acquire(5)
            assert not third.try_acquire(5)
            waiting = asyncio.create_task(third.acquire(5))
            await turns()
            assert not waiting.done()
            landing.close()
            await waiting
            assert (memory.used, memory.awaiting_disk) == (8, 0)

    run_idle(main())
