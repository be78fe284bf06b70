"""The event loop of a run: what has come over thousands of connections is dealt with a few at a time."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Coroutine
from typing import Any, TypeVar

AT_ONCE = 64

T = TypeVar("T")
_Ready = tuple[selectors.SelectorKey, int]


class FairSelector(selectors.DefaultSelector):
    """Tells of at most so many ready files at once, and of the others before it looks again.

    Answers that come together would otherwise go through every step together, and the first of their successors would
    be sent when the last of them is done: the connections idle by turns.
    """

    def __init__(self) -> None:
        super().__init__()
        self._left: deque[_Ready] = deque()

    def select(self, timeout: float | None = None) -> list[_Ready]:
        """As any selector's."""
        if not self._left:
            found = super().select(timeout)
            if len(found) <= AT_ONCE:
                return found
            self._left.extend(found)
        keys = self.get_map()
        told: list[_Ready] = []
        while self._left and len(told) < AT_ONCE:
            key, events = self._left.popleft()
            if keys.get(key.fd) is key:  # neither closed nor changed meanwhile
                told.append((key, events))
        return told


def run(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(FairSelector())) as runner:
        return runner.run(work)
