"""Event loops whose clock a test owns, so that ten minutes pass at once and nothing sleeps."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class ManualLoop(asyncio.SelectorEventLoop):
    """The real clock, which `put_forward` moves."""

    ahead_s = 0.0

    def time(self) -> float:
        """Seconds on this loop's clock."""
        return super().time() + self.ahead_s

    def put_forward(self, seconds: float) -> None:
        """Let so much time have passed: what was due meanwhile is due now."""
        self.ahead_s += seconds
        self.call_soon(lambda: None)


TICK_S = 1e-6
"""What a turn of the loop takes."""


class _Skipping(selectors.DefaultSelector):
    """A selector that puts the clock forward instead of waiting."""

    loop: IdleLoop

    def select(self, timeout: float | None = None) -> Any:
        """What is ready now; the loop's clock jumps over the wait."""
        self.loop.now_s += (timeout or 0.0) + TICK_S
        assert timeout is not None, "everybody waits, and nothing will ever happen"
        return super().select(0)


class IdleLoop(asyncio.SelectorEventLoop):
    """A clock that nearly stands still while there is work and jumps to the next timer when there is none.

    For code without sockets and threads.
    """

    now_s = 1000.0

    def __init__(self) -> None:
        selector = _Skipping()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Seconds on this loop's clock."""
        return self.now_s


def clock() -> ManualLoop:
    """The running loop, whose clock can be put forward."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ManualLoop)
    return loop


def run(main: Coroutine[Any, Any, T], *, seconds: float = 30) -> T:
    """Run on a `ManualLoop`; fails when it takes so long on the real clock."""

    async def bounded() -> T:
        task = asyncio.create_task(main)
        loop = clock()
        started = loop.time() - loop.ahead_s
        while not task.done():
            await asyncio.wait((task,), timeout=1.0)
            assert loop.time() - loop.ahead_s - started < seconds, "the test hangs"
        return task.result()

    with asyncio.Runner(loop_factory=ManualLoop) as runner:
        return runner.run(bounded())


def run_idle(main: Coroutine[Any, Any, T]) -> T:
    """Run on an `IdleLoop`."""
    with asyncio.Runner(loop_factory=IdleLoop) as runner:
        return runner.run(main)
