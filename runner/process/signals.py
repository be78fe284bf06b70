"""The signals that end a command: the first one drains a run, the second one ends the process within two seconds.

A thread reads them from a pipe (`signal.set_wakeup_fd`). The event loop's own handlers would wait for the event loop, and
that may stand still in a call to a disk that hangs.

SIGHUP means that the terminal is gone. Nothing is written to it from then on. The shell and the kernel both send it when a
session ends, so it never counts as the second signal. Where it was ignored at the start (`nohup`), it stays ignored.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from runner.process.streams import hang_up
from schemas.errors import ExitCode, JobError

SIGNALS = {
    signal.SIGINT: (ExitCode.INTERRUPTED, "interrupted (Ctrl-C)"),
    signal.SIGTERM: (ExitCode.TERMINATED, "terminated"),
    signal.SIGHUP: (ExitCode.HUNG_UP, "hung up (the terminal is gone)"),
}
"""Exit code and reason of what a signal ends."""
GO_ON = "the same command goes on from here"
LEAVE_S = 1.7
"""From the second signal to the end of the process, whatever still hangs."""
_SPEAK_S = 0.2
"""For the last words, which may be written into a pipe that nobody reads."""
_END = b"\0"
"""Ends the reading thread; signals are numbered from 1."""

LastWords = Callable[[ExitCode, str], object]
Reaction = Callable[[signal.Signals, bool], object]
"""What a signal does, in the event loop. The second argument: whether one came before it."""


class SignalInbox:
    """The signals of this process, for as long as the block lasts. For the main thread.

    last_words: said before the process is ended by force, `leave_s` seconds after the second signal.
    """

    def __init__(self, last_words: LastWords, leave_s: float) -> None:
        self._last_words = last_words
        self._leave_s = leave_s
        self._seen: list[signal.Signals] = []
        self._unheard: deque[tuple[signal.Signals, bool]] = deque()
        self._reaction: Reaction | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = threading.Event()

    def __enter__(self) -> SignalInbox:
        outlet, self._inlet = os.pipe()
        os.set_blocking(self._inlet, False)
        self._before = {
            number: signal.signal(number, _is_read_elsewhere)
            for number in SIGNALS
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
        }
        self._wakeup_before = signal.set_wakeup_fd(self._inlet, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._read, args=(outlet,), name="signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        signal.set_wakeup_fd(self._wakeup_before)
        for number, before in self._before.items():
            signal.signal(number, before)
        os.write(self._inlet, _END)
        self._thread.join()
        os.close(self._inlet)

    @contextmanager
    def reacting(self, reaction: Reaction) -> Iterator[None]:
        """What signals do inside the block, those too that came since the last one; after it they wait for the next."""
        self._reaction, self._loop = reaction, asyncio.get_running_loop()
        self._loop.call_soon(self._deliver)
        try:
            yield
        finally:
            self._reaction = None

    def leave(self) -> None:
        """End the process now."""
        code, text = SIGNALS[self._seen[0]]
        speaker = threading.Thread(target=self._last_words, args=(code, text), daemon=True)
        speaker.start()
        speaker.join(_SPEAK_S)
        os._exit(code)

    def _read(self, outlet: int) -> None:
        while True:
            for number in os.read(outlet, 64):
                if number == _END[0]:
                    os.close(outlet)
                    return
                if number in SIGNALS:
                    self._arrived(signal.Signals(number))

    def _arrived(self, number: signal.Signals) -> None:
        if number is signal.SIGHUP:
            hang_up()
            if self._seen:
                return
        self._seen.append(number)
        if len(self._seen) == 2:
            threading.Thread(target=self._end_soon, name="end", daemon=True).start()
        self._unheard.append((number, len(self._seen) > 1))
        if self._loop is not None:
            with suppress(RuntimeError):  # it is closed already
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        while self._reaction is not None and self._unheard:
            self._reaction(*self._unheard.popleft())

    def _end_soon(self) -> None:
        if not self._over.wait(self._leave_s):
            self.leave()


def _is_read_elsewhere(_number: int, _frame: FrameType | None) -> None:
    """With a handler of Python's, a signal's number is written to the pipe."""


_inboxes: list[SignalInbox] = []
"""The process's own, while it is open."""


def _silence(_code: ExitCode, _text: str) -> None:
    pass


@contextmanager
def taken(last_words: LastWords = _silence, leave_s: float = LEAVE_S) -> Iterator[SignalInbox]:
    """Take the signals of this process; within such a block, the same ones."""
    if _inboxes:
        yield _inboxes[-1]
        return
    with SignalInbox(last_words, leave_s) as inbox:
        _inboxes.append(inbox)
        try:
            yield inbox
        finally:
            _inboxes.pop()


@dataclass
class _Strike:
    """The signal that has cancelled a block, and the cause that the cancellation had there."""

    number: signal.Signals | None = None
    cause: BaseException | None = None


@asynccontextmanager
async def _cancelled_by_signal(enabled: bool, *, leaves: bool) -> AsyncIterator[_Strike]:
    """The next signal cancels the block, which then ends without an error. leaves: one more ends the process at once."""
    task, strike = asyncio.current_task(), _Strike()
    if not enabled or task is None:
        yield strike
        return

    def react(number: signal.Signals, _repeated: bool) -> None:
        if strike.number is None:
            strike.number = number
            task.cancel()
        elif leaves:
            inbox.leave()

    try:
        with taken() as inbox, inbox.reacting(react):
            yield strike
            if strike.number is not None:
                await asyncio.sleep(0)  # where a cancellation strikes that found nothing to wait for
    except asyncio.CancelledError as cancelled:
        if strike.number is None:
            raise
        task.uncancel()
        strike.cause = cancelled.__cause__


@asynccontextmanager
async def cancel_on_signals(*, enabled: bool) -> AsyncIterator[None]:
    """The first signal cancels the block, out of which JobError (129, 130, 143) comes; a second one ends the process.

    Nothing is in flight yet. Inside it a run may take the signals over (`Monitor.handle_signals`). enabled: without it
    nothing is taken.
    """
    async with _cancelled_by_signal(enabled, leaves=True) as strike:
        yield
    if strike.number is not None:
        code, text = SIGNALS[strike.number]
        raise JobError(text, fix=GO_ON, exit_code=code) from strike.cause


@asynccontextmanager
async def until_signalled(*, enabled: bool) -> AsyncIterator[None]:
    """The next signal ends the block, without an error: for waiting that is only polite."""
    async with _cancelled_by_signal(enabled, leaves=False):
        yield
