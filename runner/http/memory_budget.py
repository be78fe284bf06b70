"""A budget of memory for answers that are being received, over all answers in flight."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import NamedTuple

BYTES_IN_FLIGHT = 80 * 2**20
OLDEST = 2
"""How many answers may read on over budget: more than one, so that a slow answer does not block all others."""


class MemoryShare:
    """The memory of one answer. Shares have precedence in order of creation. arriving: more bytes may still come; False once
    the whole answer is here and waits for the disk."""

    __slots__ = ("_memory", "arriving", "size")

    def __init__(self, memory: MemoryBudget) -> None:
        self._memory = memory
        self.size = 0
        self.arriving = True

    async def acquire(self, size: int) -> float:
        """Add so many bytes to the share. Returns the seconds that it waited for memory."""
        return await self._memory.acquire(self, size)

    def receiving(self) -> None:
        """More bytes may come, as when an attempt fetches its images after its answer."""
        if not self.arriving:
            self.arriving = True
            self._memory.awaiting_disk -= self.size

    def received(self) -> None:
        """The whole answer is here; another one may read on."""
        if self.arriving:
            self.arriving = False
            self._memory.awaiting_disk += self.size
        self._memory.wake_waiting()

    def try_acquire(self, size: int) -> bool:
        """As `acquire` without waiting; False, and nothing is added, if it would have to wait."""
        return self._memory.try_acquire(self, size)

    def __enter__(self) -> MemoryShare:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.give_back(self)


class ResponseBudget(NamedTuple):
    """The limits of one answer: its maximum size, and its share of the memory for all answers.

    on_sent: called when the request's headers are about to leave.
    """

    max_bytes: int
    share: MemoryShare
    on_sent: Callable[[], None] = lambda: None


class MemoryBudget:
    """A budget of bytes for answers on their way from the socket to the disk.

    Backpressure: over budget, only the `oldest` answers that have begun may read on (this avoids deadlock), and none while
    half of the budget or more waits for the disk (else receiving would outrun saving). Granting whole bodies first come,
    first served would deadlock: the length of a chunked body is not known, and an attempt that holds its answer goes on to
    fetch its images.
    """

    def __init__(self, total: int = BYTES_IN_FLIGHT, oldest: int = OLDEST) -> None:
        self._total = total
        self._oldest = oldest
        self._holders: dict[MemoryShare, None] = {}
        self._waiting: dict[MemoryShare, tuple[int, asyncio.Future[None]]] = {}
        self.used = self.awaiting_disk = 0

    def share(self) -> MemoryShare:
        """A share for one answer, given back at the end of the block."""
        share = MemoryShare(self)
        self._holders[share] = None
        return share

    def give_back(self, share: MemoryShare) -> None:
        """Take the share back; called at the end of its block."""
        del self._holders[share]
        self.used -= share.size
        self.awaiting_disk -= 0 if share.arriving else share.size
        self.wake_waiting()

    def wake_waiting(self) -> None:
        """Wake the waiting answers for which there is memory now, and the oldest ones in any case."""
        if not self._waiting:
            return
        for share in self._may_read():
            self._release(share)
        while self._waiting:
            share, (size, _) = next(iter(self._waiting.items()))
            if self.used + size > self._total:
                return
            self._release(share)

    def _release(self, share: MemoryShare) -> None:
        size, leave = self._waiting.pop(share, (0, None))
        if leave is not None and not leave.done():
            self._add(share, size)
            leave.set_result(None)

    async def acquire(self, share: MemoryShare, size: int) -> float:
        """See `MemoryShare.acquire`."""
        if self.try_acquire(share, size):
            return 0.0
        loop = asyncio.get_running_loop()
        started, leave = loop.time(), loop.create_future()
        self._waiting[share] = (size, leave)
        try:
            await leave
        finally:
            self._waiting.pop(share, None)
        return loop.time() - started

    def try_acquire(self, share: MemoryShare, size: int) -> bool:
        """See `MemoryShare.try_acquire`."""
        if self.used + size > self._total and share not in self._may_read(share):
            return False
        self._add(share, size)
        return True

    def _add(self, share: MemoryShare, size: int) -> None:
        share.size += size
        self.used += size
        self.awaiting_disk += 0 if share.arriving else size

    def _may_read(self, asking: MemoryShare | None = None) -> list[MemoryShare]:
        """The oldest answers that have begun to arrive; if these are too few, also the oldest that ask to begin."""
        if self.awaiting_disk * 2 >= self._total:
            return []
        begun = (share for share in self._holders if share.arriving and share.size)
        going = list(itertools.islice(begun, self._oldest))
        if len(going) < self._oldest:
            new = (
                share
                for share in self._holders
                if not share.size and (share is asking or share in self._waiting)
            )
            going += itertools.islice(new, self._oldest - len(going))
        return going
