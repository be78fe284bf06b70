"""Notifies all listeners of a run. None of them can end a run or delay a request.

Each listener has a thread of its own and hears everything there, in order. The run only puts messages down for it, and waits
for it once, at the end, for a bounded time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType

from runner.engine.ports import RunListener
from runner.process.redaction import REDACTOR
from runner.process.signals import until_signalled
from schemas.errors import ExitCode, JobError
from schemas.reports import Progress, RunEnd, RunPlan, Service
from schemas.summary import Summary

PATIENCE_S = 10.0

_LOG = logging.getLogger(__name__)
_Message = RunPlan | Progress | RunEnd


class Listeners:
    """The listeners of one command's run. Leaving the block waits for those that may hang on a network.

    patience_s: how long a listener may take for the end of the run, and before that for the messages still queued.
    signals: let a signal end the waiting on leaving (command line only).
    """

    def __init__(
        self,
        listeners: Iterable[RunListener] = (),
        patience_s: float = PATIENCE_S,
        *,
        signals: bool = False,
        say: Callable[[Service], None] | None = None,
    ) -> None:
        self._say = say
        self._service: Service | None = None
        self._lines = [_Line(listener) for listener in listeners]
        self._patience_s = patience_s
        self._signals = signals
        self._is_over = False

    async def __aenter__(self) -> Listeners:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None:
            await self._finish(ended_by(error))
        async with until_signalled(enabled=self._signals):
            await self._wait_for(line for line in self._lines if not line.listener.under_lock)

    async def follow(self, plan: RunPlan, run: Awaitable[Summary]) -> Summary:
        """Tell of this run from its start to its end; what it returns or raises. Called with the job's lock held."""
        self._send(plan)
        try:
            summary = await run
        except BaseException as error:
            await self._finish(ended_by(error))
            raise
        await self._finish(RunEnd(int(summary.exit_code or 0), summary.exit_reason, summary))
        return summary

    def goes_to(self, service: Service) -> None:
        """Requests are about to go there; it is said once."""
        if self._say is not None and service != self._service:
            self._service = service
            self._say(service)

    def progress(self, progress: Progress) -> None:
        """Put down a look at the run for everybody; returns at once."""
        self._send(progress)

    def _send(self, message: _Message) -> None:
        for line in self._lines:
            line.put(message)

    async def _finish(self, end: RunEnd) -> None:
        """Tell of the end, unless that was done, and wait for those that must hear it before the lock is given back."""
        if self._is_over:
            return
        self._is_over = True
        self._send(end)
        await self._wait_for(line for line in self._lines if line.listener.under_lock)

    async def _wait_for(self, lines: Iterable[_Line]) -> None:
        await asyncio.gather(*(asyncio.to_thread(line.wait, self._patience_s) for line in lines))


class _Line:
    """The messages that wait for one listener, and the thread that passes them on."""

    def __init__(self, listener: RunListener) -> None:
        self.listener = listener
        self._messages: deque[_Message] = deque()
        self._changed = threading.Condition()
        self._is_at_end = threading.Event()
        self._warned: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="listener", daemon=True)

    def put(self, message: _Message) -> None:
        """Have the listener hear this next; an older look that it has not heard yet is dropped."""
        with self._changed:
            if self._messages and _replaces(message, self._messages[-1]):
                self._messages.pop()
            self._messages.append(message)
            self._changed.notify()
        if self._thread.ident is None:
            self._thread.start()

    def wait(self, patience_s: float) -> None:
        """Until it has heard the end. It may take so long before that, and so long for it."""
        if self._is_at_end.wait(patience_s):
            self._thread.join(patience_s)
            if not self._thread.is_alive():
                return
        self._warn(f"no answer within {patience_s:g} s")

    def _work(self) -> None:
        while True:
            message = self._next()
            try:
                self._pass_on(message)
            except Exception as error:  # noqa: BLE001 - apprise's plugins raise what they like, and no run may fail by it
                self._warn(_reason(error))
            if isinstance(message, RunEnd):
                return

    def _next(self) -> _Message:
        with self._changed:
            self._changed.wait_for(lambda: self._messages)
            return self._messages.popleft()

    def _pass_on(self, message: _Message) -> None:
        match message:
            case RunPlan():
                self.listener.started(message)
            case Progress():
                self.listener.progress(message)
            case RunEnd():
                self._is_at_end.set()
                self.listener.finished(message)

    def _warn(self, reason: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            _LOG.warning("%s: %s", self.listener.label, REDACTOR.text(reason))


def _replaces(message: _Message, waiting: _Message) -> bool:
    """Whether the message says all that the waiting one says, and newer. Notes are said once, so none may be dropped."""
    if not (isinstance(message, Progress) and isinstance(waiting, Progress)):
        return False
    return set(waiting.notes) <= set(message.notes)


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__)


def ended_by(error: BaseException) -> RunEnd:
    """The end of a run that raised this."""
    match error:
        case JobError():
            code, reason = error.exit_code, error.message
        case KeyboardInterrupt() | asyncio.CancelledError():
            code, reason = ExitCode.INTERRUPTED, "interrupted"
        case _:
            code, reason = ExitCode.INTERNAL, f"internal error: {type(error).__name__}"
    causes = (error, error.__cause__)  # a signal that ended the wait for the lock has that for its cause
    locked_out = any(isinstance(each, JobError) and each.exit_code is ExitCode.LOCKED for each in causes)
    return RunEnd(int(code), reason, locked_out=locked_out)
