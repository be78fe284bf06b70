"""The loop of a run: what its clock, its threads and its callers may rely on."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, TypeVar

import pytest

from runner.process import event_loop
from runner.process.clock import SteadyClock
from runner.process.event_loop import (
    LEAVE_S,
    DaemonPool,
    Main,
    Post,
    SteadyLoop,
    in_thread,
    outlast,
    run_in_thread,
    run_in_thread_async,
)
from tests.support.waiting import until

T = TypeVar("T")
PAUSE_S = 100.0


class Paused:
    """Elapsed seconds; `stop` lets the process stand still."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self._clock = SteadyClock()

    def __call__(self) -> float:
        return self._clock._elapsed() + self.ahead_s

    def stop(self, seconds: float = PAUSE_S) -> None:
        self.ahead_s += seconds


def run_with(main: Callable[[Paused], Coroutine[Any, Any, T]]) -> T:
    elapsed = Paused()
    with asyncio.Runner(loop_factory=lambda: SteadyLoop(SteadyClock(elapsed))) as runner:
        return runner.run(main(elapsed))


# Deadlines


def test_what_came_while_the_process_stood_still_is_read_before_its_deadline_strikes() -> None:
    """The answer is long, so that it takes many reads."""
    answer = bytes(2_000_000)

    async def main(elapsed: Paused) -> None:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        sender = threading.Thread(target=theirs.sendall, args=(answer,))
        async with asyncio.timeout(5.0):
            await asyncio.sleep(0)
            sender.start()
            elapsed.stop()
            assert await reader.readexactly(len(answer)) == answer
        sender.join()
        theirs.close()
        writer.close()

    run_with(main)


def test_all_deadlines_move_and_none_is_forgotten() -> None:
    async def main(elapsed: Paused) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        waits = asyncio.create_task(asyncio.sleep(0.02))
        await asyncio.sleep(0)
        elapsed.stop()
        await waits
        assert loop.time() - before < PAUSE_S
        assert event_loop.woke_within(PAUSE_S)

    run_with(main)


def test_any_other_loop_cannot_tell_and_says_no() -> None:
    async def main() -> bool:
        return event_loop.woke_within(PAUSE_S)

    assert asyncio.run(main()) is False


# Threads


def test_a_call_that_hangs_does_not_hold_up_the_end_of_the_loop() -> None:
    forever = threading.Event()

    async def main() -> str:
        hanging = asyncio.get_running_loop().run_in_executor(None, forever.wait)
        return "hanging" if not hanging.done() else "over"

    assert event_loop.run(main()) == "hanging"
    forever.set()


HANGING = """
import threading
from runner.process.event_loop import DaemonPool
DaemonPool(2).submit(threading.Event().wait)
print("over")
"""


def test_a_call_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "over\n")


def test_a_pool_has_so_many_threads_and_no_more() -> None:
    pool, may = DaemonPool(3), threading.Event()
    going: list[str] = []

    def work() -> None:
        going.append(threading.current_thread().name)
        assert may.wait(30)

    calls = [pool.submit(work) for _ in range(10)]
    until(lambda: len(going) == 3)
    may.set()
    for call in calls:
        call.result(30)
    assert len(going) == 10
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(work)


def test_an_idle_thread_takes_the_next_call() -> None:
    pool = DaemonPool(3)
    names = {pool.submit(threading.get_ident).result(30) for _ in range(20)}
    pool.shutdown()
    assert len(names) == 1


def test_whoever_waits_gets_what_was_raised() -> None:
    pool = DaemonPool(1)

    def fails() -> None:
        raise SystemExit(3)

    assert isinstance(pool.submit(fails).exception(30), SystemExit)
    assert pool.submit(lambda: "and the thread goes on").result(30) == "and the thread goes on"
    pool.shutdown()


def test_a_pool_that_is_shut_down_does_what_it_has_taken_unless_it_is_to_leave_that() -> None:
    for leave in (False, True):
        pool, may = DaemonPool(1), threading.Event()
        first, second = pool.submit(may.wait, 30), pool.submit(lambda: 2)
        until(first.running)
        pool.shutdown(wait=False, cancel_futures=leave)
        may.set()
        assert first.result(30) is True
        assert second.cancelled() is leave
        assert leave or second.result(30) == 2


def test_being_cancelled_waits_for_the_threads_end() -> None:
    async def main() -> list[str]:
        may, ends = threading.Event(), ["nothing"]

        def work() -> None:
            may.wait(30)
            ends[0] = "the thread"

        waiting = asyncio.create_task(in_thread(work))
        await asyncio.sleep(0)
        for _ in range(2):
            waiting.cancel()
            await asyncio.sleep(0)
        assert not waiting.done()
        may.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return ends

    assert event_loop.run(main()) == ["the thread"]


# Who waits is cancelled


def test_outlasting_tells_of_each_cancellation_and_gives_back_the_last() -> None:
    async def main() -> None:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        told: list[int] = []

        async def waits() -> asyncio.CancelledError | None:
            return await outlast(answer, told.append)

        waiting = asyncio.create_task(waits())
        await asyncio.sleep(0)
        for word in ("first", "second"):
            waiting.cancel(word)
            await asyncio.sleep(0)
        assert told == [1, 2]
        answer.set_result("here")
        cancellation = await waiting
        assert isinstance(cancellation, asyncio.CancelledError)
        assert await outlast(answer) is None

    asyncio.run(main())


def test_a_cancellation_that_was_on_its_way_before_is_told_too() -> None:
    async def main() -> None:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        told: list[int] = []

        async def waits() -> asyncio.CancelledError | None:
            waiting.cancel()
            return await outlast(answer, told.append)

        waiting = asyncio.create_task(waits())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert told == [1]
        answer.set_result("here")
        assert isinstance(await waiting, asyncio.CancelledError)

    asyncio.run(main())


# A loop for callers in other threads

BORN_IN = contextvars.ContextVar("BORN_IN", default="nowhere")
Wait = Callable[..., Any]
"""Waits for a coroutine as `run_in_thread` does."""


def beside_a_loop(main: Main[T], leave_s: float = LEAVE_S) -> T:
    """In a program that has an event loop."""
    return asyncio.run(run_in_thread_async(main, leave_s))


def in_a_notebook(main: Main[T], leave_s: float = LEAVE_S) -> T:
    """Whose loop runs already, and leaves SIGINT to Python, unlike that of `asyncio.run`."""

    async def cell() -> T:
        return run_in_thread(main, leave_s)

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(cell())
    finally:
        loop.close()


@pytest.fixture(params=[run_in_thread, in_a_notebook, beside_a_loop])
def wait(request: pytest.FixtureRequest) -> Iterator[Wait]:
    """Each way to wait, in a program that has done nothing about Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    yield request.param
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    """Ctrl-C."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_it_runs_elsewhere_with_the_callers_context(wait: Wait) -> None:
    async def main(_post: Post) -> tuple[str, bool]:
        assert isinstance(asyncio.get_running_loop(), SteadyLoop)
        return BORN_IN.get(), threading.current_thread() is threading.main_thread()

    def call() -> object:
        BORN_IN.set("here")
        return wait(main)

    assert contextvars.copy_context().run(call) == ("here", False)


def test_its_error_is_the_callers(wait: Wait) -> None:
    async def main(_post: Post) -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        wait(main)


def test_what_it_posts_is_called_in_the_callers_thread_and_context_in_order(wait: Wait) -> None:
    called: list[tuple[int, str, str]] = []

    def call(number: int) -> None:
        called.append((number, threading.current_thread().name, BORN_IN.get()))

    async def main(post: Post) -> None:
        for number in range(3):
            post(partial(call, number))
        await asyncio.to_thread(until, lambda: len(called) == 3)

    def waits() -> None:
        BORN_IN.set("here")
        wait(main)

    contextvars.copy_context().run(waits)
    assert called == [(number, threading.current_thread().name, "here") for number in range(3)]


class Job:
    """Saves what it has when it is cancelled, until it may end. told: what it heard of cancellations."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.may_end = threading.Event()
        self.ended = threading.Event()
        self.told: list[int] = []

    async def main(self, _post: Post) -> None:
        self.began.set()
        saving = asyncio.ensure_future(asyncio.to_thread(self.may_end.wait))
        cancellation = await outlast(saving, self.told.append)
        self.ended.set()
        assert cancellation is not None
        raise cancellation


def test_an_interrupt_is_raised_when_it_has_ended(wait: Wait) -> None:
    job = Job()

    def once() -> None:
        job.began.wait(30)
        interrupt()
        until(lambda: bool(job.told))
        job.may_end.set()

    threading.Thread(target=once, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        wait(job.main)
    assert job.ended.is_set()
    assert job.told == [1]


def test_after_a_second_interrupt_what_hangs_is_left_behind(wait: Wait) -> None:
    job = Job()

    def twice() -> None:
        job.began.wait(30)
        interrupt()
        until(lambda: bool(job.told))
        time.sleep(0.05)  # whoever was interrupted is still telling so
        interrupt()

    threading.Thread(target=twice, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        wait(job.main, 0.05)
    until(lambda: job.told[-1] == 2)
    assert not job.ended.is_set()
    job.may_end.set()
    assert job.ended.wait(30)


def test_an_interrupt_of_what_it_posts_is_one_of_it() -> None:
    async def main(post: Post) -> None:
        post(interrupt)
        await asyncio.get_running_loop().create_future()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        run_in_thread(main)
    signal.signal(signal.SIGINT, before)


def test_a_caller_that_is_cancelled_waits_for_its_end() -> None:
    async def main() -> None:
        job = Job()
        waiting = asyncio.create_task(run_in_thread_async(job.main))
        await asyncio.to_thread(job.began.wait)
        waiting.cancel()
        await asyncio.to_thread(until, lambda: job.told == [1])
        assert not waiting.done()
        job.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


def test_two_cancellations_at_once_are_two() -> None:
    async def main() -> None:
        job = Job()
        waiting = asyncio.create_task(run_in_thread_async(job.main))
        await asyncio.to_thread(job.began.wait)
        waiting.cancel()
        waiting.cancel()
        await asyncio.to_thread(until, lambda: job.told[-1:] == [2])
        job.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


def test_one_that_is_cancelled_as_it_begins_ends() -> None:
    """Whether it has begun by then is up to the threads."""

    async def main() -> None:
        job = Job()
        job.may_end.set()
        waiting = asyncio.create_task(run_in_thread_async(job.main))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
