"""`on_progress` that can be awaited: awaited in the caller's loop, or in one of its own where that stands still."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from runner.process.event_loop import Main, Post, run_in_thread, run_in_thread_async
from runner.telemetry.callback import Callback
from schemas.reports import Progress, RunEnd
from tests.support.audience import look


def told(callback: Callable[[Post], Callback]) -> Main[Callback]:
    async def main(post: Post) -> Callback:
        listener = callback(post)
        for done in (1, 2):
            await asyncio.to_thread(listener.progress, look(done))
        await asyncio.to_thread(listener.finished, RunEnd(0, "done"))
        return listener

    return main


class Seen:
    """What a callback was shown, and where."""

    def __init__(self, error: Exception | None = None) -> None:
        self.looks: list[int] = []
        self.places: set[tuple[int, int]] = set()
        self.error = error

    async def __call__(self, progress: Progress) -> None:
        await asyncio.sleep(0)
        self.looks.append(progress.done_images)
        self.places.add((threading.get_ident(), id(asyncio.get_running_loop())))
        if self.error is not None:
            raise self.error


def test_without_a_loop() -> None:
    seen = Seen()
    listener = run_in_thread(told(lambda post: Callback(seen, post)))
    assert (seen.looks, listener.error) == ([1, 2], None)


def test_in_a_loop_that_stands_still() -> None:
    seen = Seen()

    async def cell() -> None:
        run_in_thread(told(lambda post: Callback(seen, post)))

    asyncio.run(cell())
    assert seen.looks == [1, 2]


def test_in_a_loop_that_goes_on() -> None:
    seen = Seen()

    async def program() -> int:
        await run_in_thread_async(told(lambda post: Callback(seen, post, in_loop=True)))
        return id(asyncio.get_running_loop())

    loop = asyncio.run(program())
    assert (seen.looks, seen.places) == ([1, 2], {(threading.get_ident(), loop)})


def test_what_it_raises_is_kept_and_it_is_not_called_again() -> None:
    for in_loop in (False, True):
        error = LookupError("a bug")
        seen = Seen(error)

        async def program(seen: Seen = seen, in_loop: bool = in_loop) -> BaseException | None:
            call = told(lambda post: Callback(seen, post, in_loop=in_loop))
            listener = await run_in_thread_async(call)
            return listener.error

        assert (asyncio.run(program()), seen.looks) == (error, [1])


def test_the_end_is_told_in_the_callers_thread() -> None:
    ends: list[tuple[int, int]] = []

    def end(end: RunEnd) -> None:
        ends.append((end.exit_code, threading.get_ident()))

    run_in_thread(told(lambda post: Callback(lambda _progress: None, post, end)))
    assert ends == [(0, threading.get_ident())]
