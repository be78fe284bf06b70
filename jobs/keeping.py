"""Whether a request that costs money may go over a connection that another has just been answered on.

A server that closes a kept connection at the very moment when a request comes leaves it undecided whether it was read. So
a connection is used again only while it is young, and only of a server that has shown that it keeps them: one connection
is left idle for a while, and must still be there. Whoever breaks off one kept connection gets fresh ones from then on.
Where answers take long, a fresh connection costs nothing that matters, and is taken.
"""

from __future__ import annotations

from enum import Enum, auto

YOUNG_S = 1.0
"""So long may a connection have been idle."""
LEFT_IDLE_S = 0.3
"""So long is the first kept connection left alone, to see whether the server closes it."""
QUICK_S = 5.0
"""Answers that take longer are not worth a kept connection."""


class _Stage(Enum):
    UNTRIED = auto()
    FIRST_OUT = auto()
    LEFT_IDLE = auto()
    SECOND_OUT = auto()
    TRUSTED = auto()
    DISTRUSTED = auto()


class Keeping:
    """What is known of one server. Times are seconds on one clock."""

    def __init__(self) -> None:
        self._stage = _Stage.UNTRIED
        self._quick = False
        self._idle_since = 0.0

    def allows(self, now: float) -> bool:
        """Whether the request that is sent now may go over a kept connection, and leave its own to be kept."""
        match self._stage:
            case _Stage.TRUSTED:
                return self._quick
            case _Stage.UNTRIED:
                self._stage = _Stage.FIRST_OUT
                return True
            case _Stage.LEFT_IDLE if now - self._idle_since >= LEFT_IDLE_S:
                in_time = now - self._idle_since < YOUNG_S
                self._stage = _Stage.SECOND_OUT if in_time else _Stage.FIRST_OUT
                return True
        return False

    def answered(self, now: float, latency_s: float, *, kept: bool, reused: bool) -> None:
        """A whole answer came. kept: the request was allowed to use a kept connection. reused: it did."""
        self._quick = latency_s <= QUICK_S
        if not kept:
            return
        if self._stage is _Stage.FIRST_OUT:
            self._stage, self._idle_since = _Stage.LEFT_IDLE, now
        elif self._stage is _Stage.SECOND_OUT:
            self._stage = _Stage.TRUSTED if reused else _Stage.DISTRUSTED

    def broke(self, *, kept: bool) -> None:
        """No whole answer came."""
        if kept:
            self._stage = _Stage.DISTRUSTED
