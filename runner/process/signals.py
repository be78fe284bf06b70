"""Signals before a run begins: nothing is in flight yet, so they end the command."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

from schemas.errors import ExitCode, JobError

P = ParamSpec("P")
T = TypeVar("T")

SIGNALS = {
    signal.SIGINT: (ExitCode.INTERRUPTED, "interrupted (Ctrl-C)"),
    signal.SIGTERM: (ExitCode.TERMINATED, "terminated"),
}
"""Exit code and reason of what a signal ends."""


@asynccontextmanager
async def ending_early(*, wanted: bool) -> AsyncIterator[None]:
    """The first SIGINT or SIGTERM cancels the block, out of which JobError (130, 143) comes; a second ends the process.

    Inside it a run may take the signals over (`Watch.signals`). wanted: without it nothing is taken.
    """
    task = asyncio.current_task()
    if not wanted or task is None:
        yield
        return
    loop = asyncio.get_running_loop()
    seen: list[signal.Signals] = []
    over = False

    def leave_alone() -> None:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

    def handle(number: signal.Signals) -> None:
        if over:  # it was on its way to this block when that ended
            signal.raise_signal(number)
            return
        leave_alone()
        if not seen:
            task.cancel()
        seen.append(number)

    for number in SIGNALS:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
        if seen:
            await asyncio.sleep(0)  # where a cancellation strikes that found nothing to wait for
    except asyncio.CancelledError as cancelled:
        if not seen:
            raise
        task.uncancel()
        code, text = SIGNALS[seen[0]]
        fix = "the same command goes on from here"
        raise JobError(text, fix=fix, exit_code=code) from cancelled.__cause__
    finally:
        over = True
        leave_alone()


async def in_thread(call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What the call returns. Being cancelled waits for its end, so that nothing is closed that it uses."""
    running = asyncio.create_task(asyncio.to_thread(call, *args, **named))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise
