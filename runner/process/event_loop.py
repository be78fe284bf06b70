"""The event loop of a run: its clock stands still while the process does, and nothing waits for its threads at the end.

A thread may hang for ever: in a disk, in a resolver, in a pipe that nobody writes to. A process that is told to end must not
wait for it, so all threads here are daemons.

A command runs its loop in the main thread (`run`). A Python program waits for a loop in a thread of its own, whether it has
an event loop (`run_in_thread_async`) or not (`run_in_thread`).
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

from runner.process.clock import LOOK_EVERY_S, SteadyClock

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 32
"""For names to be resolved, files to be read and tables to be written, all at a time."""
LEAVE_S = 1.8
"""How long a caller who has asked twice for the end still waits for it."""
_HEAR_S = 0.2
"""A Ctrl-C that comes in the instant before a wait does not end it: the wait has to end by itself to hear of it."""

Post = Callable[[Callable[[], object]], object]
"""Has something called in the thread of whoever waits for a run; returns at once."""
Main = Callable[[Post], Coroutine[Any, Any, T]]


class DaemonPool(ThreadPoolExecutor):
    """A pool whose threads do not keep the process alive. Those of the standard library's are joined at its exit."""

    def __init__(self, most: int = THREADS, name: str = "pool") -> None:
        super().__init__(most, thread_name_prefix=name)
        self._most = most
        self._name = name
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._changing = threading.Lock()
        self._workers: list[threading.Thread] = []
        self._idle = 0
        self._is_over = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As in any executor."""
        future: Future[T] = Future()
        with self._changing:
            if self._is_over:
                raise RuntimeError("the pool was shut down")
            self._calls.put((future, partial(fn, *args, **kwargs)))
            if self._idle:
                self._idle -= 1
            elif len(self._workers) < self._most:
                self._workers.append(threading.Thread(target=self._work, name=self._name, daemon=True))
                self._workers[-1].start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. wait: until all that were taken are done."""
        with self._changing:
            self._is_over = True
            while cancel_futures and not self._calls.empty():
                if (call := self._calls.get()) is not None:
                    call[0].cancel()
            for _ in self._workers:
                self._calls.put(None)
        for worker in self._workers if wait else ():
            worker.join()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            settle = _done(*call)
            with self._changing:
                self._idle += 1
            settle()
            del call, settle  # what a call holds may be large


def _done(future: Future[Any], call: Callable[[], Any]) -> Callable[[], object]:
    """Do the call; what tells its future of it."""
    if not future.set_running_or_notify_cancel():
        return lambda: None
    try:
        return partial(future.set_result, call())
    except BaseException as error:  # noqa: BLE001 - whoever waits for the future gets it
        return partial(future.set_exception, error)


class SteadyLoop(asyncio.SelectorEventLoop):
    """An event loop on a `SteadyClock`: every deadline in it moves when the process stands still."""

    def __init__(self, clock: SteadyClock | None = None) -> None:
        self.clock = clock or SteadyClock()
        super().__init__()
        self.time = self.clock.time  # type: ignore[method-assign]  # read twenty times a request: one call, not two
        self._pool = DaemonPool()
        self.set_default_executor(self._pool)
        self._look()

    def time(self) -> float:
        """Seconds on the steady clock."""
        return self.clock.time()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - not ours to name
        """Wait for no thread."""
        self._pool.shutdown(wait=False)

    def _look(self) -> None:
        self.call_later(LOOK_EVERY_S, self._look)


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on a `SteadyLoop`."""
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        return runner.run(main)


def woke_within(seconds: float) -> bool:
    """Whether the process of the running loop stood still so short a time ago; False where the loop cannot tell."""
    loop = asyncio.get_running_loop()
    return isinstance(loop, SteadyLoop) and loop.clock.woke_within(seconds)


async def outlast(
    future: asyncio.Future[Any], cancelled: Callable[[int], object] = lambda _times: None
) -> asyncio.CancelledError | None:
    """Wait for a future, whoever cancels the wait; the last cancellation, to be raised later.

    cancelled: called at once with the number of cancellations so far. Two at the same moment are told as one call with 2.
    """
    task = asyncio.current_task()
    assert task is not None
    before, times, cancellation = task.cancelling(), 0, None
    while not future.done():
        try:
            await asyncio.wait((future,), timeout=_HEAR_S)
        except asyncio.CancelledError as error:
            cancellation = error
            times = max(times + 1, task.cancelling() - before)  # the first may be older than this call
            cancelled(times)
    return cancellation


async def in_thread(call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What the call returns. Being cancelled waits for its end, so that nothing is closed that it uses."""
    running = asyncio.ensure_future(asyncio.to_thread(call, *args, **named))
    cancellation = await outlast(running)
    if cancellation is not None:
        running.exception()  # or asyncio would log it
        raise cancellation
    return running.result()


class _Hosted(Generic[T]):
    """A coroutine in the loop of a thread of its own. post: to the thread that waits for it. outcome: what it came to."""

    def __init__(self, main: Main[T], post: Post, leave_s: float) -> None:
        self.outcome: Future[T] = Future()
        self.outcome.add_done_callback(lambda _: post(lambda: None))
        self._main = main
        self._post = post
        self._leave_s = leave_s
        self._cancels = 0
        self._begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    def start(self) -> None:
        """Have it begin."""
        threading.Thread(target=copy_context().run, args=(self._work,), name="imagemill", daemon=True).start()

    def cancel(self, times: int) -> None:
        """Cancel it until that was done so many times; from the second time on the outcome is here within `leave_s`."""
        for _ in range(self._cancels, times):
            self._cancels += 1
            self._begun.add_done_callback(_cancel)
            if self._cancels == 2:
                leave = threading.Timer(self._leave_s, self._leave)
                leave.daemon = True
                leave.start()

    def _work(self) -> None:
        settle = _done(self.outcome, lambda: run(self._guest()))
        with suppress(InvalidStateError):  # who waited has left
            settle()

    async def _guest(self) -> T:
        task = asyncio.current_task()
        assert task is not None
        self._begun.set_result((asyncio.get_running_loop(), task))
        return await self._main(self._post)

    def _leave(self) -> None:
        with suppress(InvalidStateError):  # it has ended
            self.outcome.set_exception(asyncio.CancelledError())


def _cancel(begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]]) -> None:
    loop, task = begun.result()
    with suppress(RuntimeError):  # it has ended
        loop.call_soon_threadsafe(task.cancel)


def run_in_thread(main: Main[T], leave_s: float = LEAVE_S) -> T:
    """Run a coroutine on a `SteadyLoop` in a thread of its own, and wait for it here, where a loop may be running or not.

    What it posts is called here. KeyboardInterrupt cancels it and goes on when it has ended: it may have answers to save.
    After a second one that lasts `leave_s` at most; what hangs is left behind.
    """
    posted: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    hosted = _Hosted(main, posted.put, leave_s)
    posted.put(hosted.start)  # below, so that an interruption of it is one too
    interruption, times = None, 0
    while not hosted.outcome.done():
        try:
            with suppress(queue.Empty):
                posted.get(timeout=_HEAR_S)()
        except KeyboardInterrupt as error:
            interruption, times = error, times + 1
            hosted.cancel(times)
    if interruption is not None:
        raise interruption
    return hosted.outcome.result()


async def run_in_thread_async(main: Main[T], leave_s: float = LEAVE_S) -> T:
    """As `run_in_thread`, without holding up the loop that is running here; being cancelled is as being interrupted."""
    loop = asyncio.get_running_loop()
    hosted = _Hosted(main, partial(loop.call_soon_threadsafe, context=copy_context()), leave_s)
    hosted.start()
    outcome = asyncio.wrap_future(hosted.outcome)
    cancellation = await outlast(outcome, hosted.cancel)
    if cancellation is not None:
        outcome.exception()  # or asyncio would log it
        raise cancellation
    return outcome.result()
