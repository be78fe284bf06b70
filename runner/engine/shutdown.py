"""How a run ends: the first reason wins, and everybody who waits is told."""

from __future__ import annotations

import asyncio
from types import TracebackType

from schemas.errors import ExitCode, Reason

_DRAINED = frozenset(
    {
        ExitCode.INTERNAL,
        ExitCode.LOCAL,
        ExitCode.MAX_DURATION,
        ExitCode.INTERRUPTED,
        ExitCode.TERMINATED,
    }
)
"""Ends that cannot wait for ever: answers in flight get `run.drain`. After the others each is awaited to its deadline."""


class Cut(asyncio.Event):
    """Set when all waiting ends."""

    def __init__(self) -> None:
        super().__init__()
        self._watched: set[_Watched] = set()

    def set(self) -> None:
        """End what is watched, now. Once is enough: what is ending already cannot be told again."""
        if self.is_set():
            return
        super().set()
        for block in self._watched:
            block.end()

    def watched(self) -> _Watched:
        """For a block of one task that ends with TimeoutError when it is cut, at the first wait if it is cut already."""
        return _Watched(self, self._watched)


class _Watched:
    """One block, known to its `Cut` while it lasts. As `asyncio.timeout` for a moment that is not known before."""

    __slots__ = ("_all", "_cancelling", "_cut", "_ended", "_task")

    def __init__(self, cut: Cut, all_: set[_Watched]) -> None:
        self._cut = cut
        self._all = all_
        self._ended = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._all.add(self)
        if self._cut.is_set():
            asyncio.get_running_loop().call_soon(self.end)

    def end(self) -> None:
        """Cancel what the task waits for, unless the block is over."""
        if self in self._all:
            self._ended = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._all.discard(self)
        if self._ended and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class Ending:
    """Nothing new is sent once `stopping` is set; `draining` starts the drain's clock; `hard` ends all waiting."""

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self.stopping = asyncio.Event()
        self.draining = asyncio.Event()
        self.hard = Cut()

    def stop(self, exit_code: ExitCode, text: str) -> None:
        """Send nothing more; answers in flight are still awaited. Later reasons do not replace the first."""
        if self.reason is None:
            self.reason = Reason(exit_code, text)
        self.stopping.set()
        if exit_code in _DRAINED:
            self.draining.set()

    def cut(self) -> None:
        """Stop waiting for answers in flight: their rows are parked."""
        self.stopping.set()
        self.hard.set()
