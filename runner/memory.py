"""How much of what is being received may be in memory at once, over all answers in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

BYTES_IN_FLIGHT = 512 * 2**20


class Held:
    """What one answer holds. Order of creation is order of precedence."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.size = 0

    async def take(self, size: int) -> float:
        """Hold so many bytes more; the seconds this had to wait for other answers to land."""
        return await self._memory.take(self, size)

    def take_now(self, size: int) -> bool:
        """The same without waiting; False, and nothing held, where that would take a wait."""
        return self._memory.take_now(self, size)


class Memory:
    """A budget of bytes. When it is used up, only the oldest answer goes on, so that something always lands."""

    def __init__(self, total: int = BYTES_IN_FLIGHT) -> None:
        self._total = total
        self._holders: dict[Held, None] = {}
        self._freed = asyncio.Event()
        self.used = 0

    @contextmanager
    def holding(self) -> Iterator[Held]:
        """One answer's share, given back at the end of the block."""
        held = Held(self)
        self._holders[held] = None
        try:
            yield held
        finally:
            del self._holders[held]
            self.used -= held.size
            self._freed.set()

    async def take(self, held: Held, size: int) -> float:
        """See `Held.take`."""
        waited = 0.0
        if not self._fits(held, size):
            loop = asyncio.get_running_loop()
            started = loop.time()
            while not self._fits(held, size):
                self._freed.clear()
                await self._freed.wait()
            waited = loop.time() - started
        held.size += size
        self.used += size
        return waited

    def take_now(self, held: Held, size: int) -> bool:
        """See `Held.take_now`."""
        if self.used + size > self._total and not self._fits(held, size):
            return False
        held.size += size
        self.used += size
        return True

    def _fits(self, held: Held, size: int) -> bool:
        if self.used + size <= self._total:
            return True
        oldest = next((other for other in self._holders if other.size), held)
        return held is oldest
