"""How much of what is being received may be in memory at once, over all answers in flight."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import NamedTuple

BYTES_IN_FLIGHT = 80 * 2**20
OLDEST = 2
"""So many answers go on arriving when the budget is used up, so that a slow one does not hold up all the others."""


class Held:
    """What one answer holds. Order of creation is order of precedence. arriving: more may still come; otherwise it lands."""

    __slots__ = ("_memory", "arriving", "size")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.size = 0
        self.arriving = True

    async def take(self, size: int) -> float:
        """Hold so many bytes more; the seconds this had to wait for other answers to land."""
        return await self._memory.take(self, size)

    def arrives(self) -> None:
        """More may come, after all."""
        if not self.arriving:
            self.arriving = True
            self._memory.landing -= self.size

    def arrived(self) -> None:
        """All of it is here; others may go on in its place."""
        if self.arriving:
            self.arriving = False
            self._memory.landing += self.size
        self._memory.freed()

    def take_now(self, size: int) -> bool:
        """The same without waiting; False, and nothing held, where that would take a wait."""
        return self._memory.take_now(self, size)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.let_go(self)


class Room(NamedTuple):
    """What an answer may hold: bytes at most, and its share of the memory for all answers.

    on_sent: called when the request's headers are about to leave.
    """

    max_bytes: int
    held: Held
    on_sent: Callable[[], None] = lambda: None


class Memory:
    """A budget of bytes. When it is used up, only the oldest answers go on, so that something always lands; and not even
    they while half of it is held by what lands already, or receiving would outrun saving."""

    def __init__(self, total: int = BYTES_IN_FLIGHT, oldest: int = OLDEST) -> None:
        self._total = total
        self._oldest = oldest
        self._holders: dict[Held, None] = {}
        self._waiting: dict[Held, tuple[int, asyncio.Future[None]]] = {}
        self.used = self.landing = 0

    def holding(self) -> Held:
        """One answer's share, given back at the end of its block."""
        held = Held(self)
        self._holders[held] = None
        return held

    def let_go(self, held: Held) -> None:
        """The end of that block."""
        del self._holders[held]
        self.used -= held.size
        self.landing -= 0 if held.arriving else held.size
        self.freed()

    def freed(self) -> None:
        """Let those go on for whom there is room now, and the oldest in any case."""
        if not self._waiting:
            return
        for held in self._going():
            self._release(held)
        while self._waiting:
            held, (size, _) = next(iter(self._waiting.items()))
            if self.used + size > self._total:
                return
            self._release(held)

    def _release(self, held: Held) -> None:
        size, leave = self._waiting.pop(held, (0, None))
        if leave is not None and not leave.done():
            self._add(held, size)
            leave.set_result(None)

    async def take(self, held: Held, size: int) -> float:
        """See `Held.take`."""
        if self.take_now(held, size):
            return 0.0
        loop = asyncio.get_running_loop()
        started, leave = loop.time(), loop.create_future()
        self._waiting[held] = (size, leave)
        try:
            await leave
        finally:
            self._waiting.pop(held, None)
        return loop.time() - started

    def take_now(self, held: Held, size: int) -> bool:
        """See `Held.take_now`."""
        if self.used + size > self._total and held not in self._going(held):
            return False
        self._add(held, size)
        return True

    def _add(self, held: Held, size: int) -> None:
        held.size += size
        self.used += size
        self.landing += 0 if held.arriving else size

    def _going(self, asking: Held | None = None) -> list[Held]:
        """The oldest answers that have begun to arrive; too few of them, then also the oldest of those that ask to."""
        if self.landing * 2 >= self._total:
            return []
        begun = (held for held in self._holders if held.arriving and held.size)
        going = list(itertools.islice(begun, self._oldest))
        if len(going) < self._oldest:
            new = (
                held for held in self._holders if not held.size and (held is asking or held in self._waiting)
            )
            going += itertools.islice(new, self._oldest - len(going))
        return going
