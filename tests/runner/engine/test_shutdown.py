"""Cutting what is waited for: at once, and as often as somebody asks; and leaving behind what hangs even then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from runner.engine.shutdown import (
    HURRIED_SAVING_S,
    INTERRUPTED_DRAIN_S,
    SAVING_S,
    CancelEvent,
    Shutdown,
    interrupted_drain_s,
)
from schemas.artifacts import Label, RequestedFormat
from schemas.attempt import Measured
from schemas.errors import ExitCode
from schemas.failures import RowStatus
from schemas.job import RunTable
from schemas.outcome import Outcome, SavedImage
from schemas.received import Pieces
from tests.support.clock import run_idle
from tests.support.fakes import FakeLog, FakeSource, FakeStore, received, row
from tests.support.world import World, world


def test_a_second_cut_while_the_first_is_still_ending_what_is_watched() -> None:
    async def main() -> None:
        signal, ending, may_end = CancelEvent(), asyncio.Event(), asyncio.Event()

        async def waits() -> None:
            async with signal.cancellable():
                try:
                    await asyncio.Event().wait()
                finally:
                    ending.set()
                    await may_end.wait()

        waiting = asyncio.create_task(waits())
        await asyncio.sleep(0)
        signal.set()
        await ending.wait()
        signal.set()
        may_end.set()
        with pytest.raises(TimeoutError):
            await waiting
        with pytest.raises(TimeoutError):
            async with signal.cancellable():
                await asyncio.Event().wait()

    asyncio.run(main())


def test_a_block_that_is_over_is_not_cut() -> None:
    async def main() -> None:
        signal = CancelEvent()
        async with signal.cancellable():
            await asyncio.sleep(0)
        signal.set()
        async with signal.cancellable():
            pass
        await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_cancellation_by_somebody_else_is_one_all_the_same() -> None:
    async def main() -> None:
        signal = CancelEvent()

        async def waits() -> None:
            async with signal.cancellable():
                await asyncio.Event().wait()

        waiting = asyncio.create_task(waits())
        await asyncio.sleep(0)
        waiting.cancel()
        signal.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


def test_what_has_come_at_the_moment_of_the_cut_is_kept() -> None:
    """An answer may have been paid for."""

    async def main() -> None:
        signal, answer = CancelEvent(), asyncio.get_running_loop().create_future()

        async def waits() -> object:
            async with signal.cancellable():
                return await answer

        waiting = asyncio.create_task(waits())
        await asyncio.sleep(0)
        answer.set_result("an image")
        signal.set()
        assert await waiting == "an image"

    asyncio.run(main())


# A program interrupts a run


def seconds(do: Callable[[Shutdown], Awaitable[None]]) -> tuple[float, float]:
    """After how long nothing was waited for any more: of the service, and of this machine."""

    async def main() -> tuple[float, float]:
        clock, shutdown = asyncio.get_running_loop().time, Shutdown()
        began = clock()
        await do(shutdown)
        await shutdown.forced.wait()
        forced = clock() - began
        await shutdown.abandoned.wait()
        assert shutdown.reason is not None
        assert shutdown.reason.exit_code is ExitCode.INTERRUPTED
        return round(forced, 2), round(clock() - began, 2)

    return run_idle(main())


def test_the_first_interruption_lets_answers_land_for_a_while() -> None:
    async def once(shutdown: Shutdown) -> None:
        shutdown.interrupt(1, 7.0)
        assert shutdown.stopping.is_set()
        assert not shutdown.forced.is_set()

    assert seconds(once) == (7.0, 7.0 + SAVING_S)


def test_the_second_interruption_waits_for_nothing() -> None:
    async def twice(shutdown: Shutdown) -> None:
        shutdown.interrupt(1, 7.0)
        await asyncio.sleep(2.0)
        shutdown.interrupt(2, 7.0)

    assert seconds(twice) == (2.0, 2.0 + HURRIED_SAVING_S)


def test_two_interruptions_at_once_wait_for_nothing() -> None:
    async def both(shutdown: Shutdown) -> None:
        shutdown.interrupt(2, 7.0)

    assert seconds(both) == (0.0, HURRIED_SAVING_S)


def test_a_hurry_after_the_drain_is_one_too() -> None:
    async def late(shutdown: Shutdown) -> None:
        shutdown.interrupt(1, 7.0)
        await asyncio.sleep(9.0)
        shutdown.interrupt(2, 7.0)

    assert seconds(late) == (9.0, 9.0 + HURRIED_SAVING_S)


def test_how_long_an_interrupted_program_waits_for_answers() -> None:
    assert interrupted_drain_s(RunTable()) == INTERRUPTED_DRAIN_S
    assert interrupted_drain_s(RunTable(drain=300.0)) == 300.0
    assert interrupted_drain_s(RunTable(drain=0.5)) == 0.5


# This machine hangs


@dataclass
class Slow:
    """What takes so many seconds, for one attempt. began: set when it does."""

    seconds: float = 1e9
    attempt: int = 1
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, attempt: int) -> None:
        if attempt == self.attempt:
            self.began.set()
            await asyncio.sleep(self.seconds)


@dataclass
class SlowStore(FakeStore):
    """Saves slowly."""

    slow: Slow = field(default_factory=Slow)

    async def save_image(self, data: Pieces, requested: RequestedFormat, label: Label) -> SavedImage:
        await self.slow.wait(label.attempt)
        return await super().save_image(data, requested, label)


@dataclass
class SlowLog(FakeLog):
    """Records outcomes slowly."""

    slow: Slow = field(default_factory=Slow)

    async def conclude(self, outcome: Outcome, status: RowStatus, measured: Measured) -> None:
        await self.slow.wait(measured.attempt)
        await super().conclude(outcome, status, measured)


@dataclass
class SlowSource(FakeSource):
    """Ends slowly."""

    slow: Slow = field(default_factory=Slow)

    async def close(self) -> None:
        await self.slow.wait(self.slow.attempt)
        await super().close()


def three_rows() -> World:
    return world(lambda _row, _turn: received(b"image"), [row(number) for number in range(3)])


def ended(made: World, slow: Slow) -> float:
    """The seconds to the engine's end, when it is cut at the moment at which the slow thing begins."""

    async def main() -> float:
        running = asyncio.create_task(made.engine().run())
        await slow.began.wait()
        cut = asyncio.get_running_loop().time()
        made.shutdown.force(0.5)
        await running
        return asyncio.get_running_loop().time() - cut

    return run_idle(main())


def test_an_image_whose_saving_hangs_is_left_behind_without_an_outcome() -> None:
    """The next run finds it or parks its row. All others are saved and recorded."""
    made, slow = three_rows(), Slow()
    made.store = SlowStore(made.journal, slow=slow)
    assert ended(made, slow) == pytest.approx(0.5, abs=0.1)
    assert made.log.outcomes.keys() == {0, 2}


def test_an_outcome_whose_record_hangs_is_left_behind() -> None:
    made, slow = three_rows(), Slow()
    made.log = SlowLog(made.journal, slow=slow)
    assert ended(made, slow) == pytest.approx(0.5, abs=0.1)
    assert made.log.outcomes.keys() == {0, 2}


def test_a_manifest_that_hangs_is_left_behind() -> None:
    made, slow = three_rows(), Slow()
    made.source = SlowSource(made.journal, made.source.works, slow=slow)
    assert ended(made, slow) == pytest.approx(0.5, abs=0.1)
    assert made.log.outcomes.keys() == {0, 1, 2}


def test_what_takes_its_time_is_waited_for_and_kept() -> None:
    made, slow = three_rows(), Slow(seconds=0.4)
    made.store = SlowStore(made.journal, slow=slow)
    assert ended(made, slow) == pytest.approx(0.4, abs=0.05)
    assert made.log.outcomes.keys() == {0, 1, 2}
    assert made.journal[-1] == "source.close"
