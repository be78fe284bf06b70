"""How a run ends: the first reason wins, and everybody who waits is told."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import NamedTuple

from schemas.exit_codes import ExitCode


class Reason(NamedTuple):
    """Why a run stops before its work is done. text: one line for people."""

    exit_code: ExitCode
    text: str


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
        self._watched: set[asyncio.Timeout] = set()

    def set(self) -> None:
        """End what is watched, now. Once is enough: what is ending already cannot be told again."""
        if self.is_set():
            return
        super().set()
        for limit in self._watched:
            limit.reschedule(0.0)

    def watched(self) -> _Watched:
        """For a block that ends with TimeoutError when it is cut."""
        return _Watched(self._watched, asyncio.timeout(0.0 if self.is_set() else None))


class _Watched:
    """One block, known to its `Cut` while it lasts."""

    __slots__ = ("_all", "_limit")

    def __init__(self, all_: set[asyncio.Timeout], limit: asyncio.Timeout) -> None:
        self._all = all_
        self._limit = limit

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._all.add(self._limit)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._all.discard(self._limit)
        await self._limit.__aexit__(kind, error, trace)


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
