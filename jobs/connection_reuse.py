"""Whether a request that costs money may reuse a connection that has just carried an answer.

If a server closes an idle connection at the moment when a request arrives, nobody can know whether it read the request. So
a connection is reused only for a short time, and only with a server that has shown that it keeps connections open: one is
left idle for a while, and must still be open. After one broken reuse, or bytes on any connection that nobody asked for,
every request gets a fresh connection. Where answers
take long, a fresh connection costs nothing that matters, and is used too.
"""

from __future__ import annotations

from enum import Enum, auto

MAX_IDLE_S = 1.0
"""An idle connection is reused for at most this long."""
LEFT_IDLE_S = 0.3
"""The first connection is left idle for this long, to see whether the server closes it."""
QUICK_S = 5.0
"""With answers slower than this, reuse saves nothing that matters."""


class _Stage(Enum):
    UNTRIED = auto()
    FIRST_OUT = auto()
    LEFT_IDLE = auto()
    SECOND_OUT = auto()
    TRUSTED = auto()
    DISTRUSTED = auto()


class ConnectionReuse:
    """What is known of one server. Times are seconds on one clock."""

    def __init__(self) -> None:
        self._stage = _Stage.UNTRIED
        self._quick = False
        self._idle_since = 0.0

    def allows(self, now: float) -> bool:
        """Whether the request that is sent now may reuse a connection, and leave its own open for reuse."""
        match self._stage:
            case _Stage.TRUSTED:
                return self._quick
            case _Stage.UNTRIED:
                self._stage = _Stage.FIRST_OUT
                return True
            case _Stage.LEFT_IDLE if now - self._idle_since >= LEFT_IDLE_S:
                in_time = now - self._idle_since < MAX_IDLE_S
                self._stage = _Stage.SECOND_OUT if in_time else _Stage.FIRST_OUT
                return True
        return False

    def answered(self, now: float, latency_s: float, *, reuse_allowed: bool, reused: bool) -> None:
        """A whole answer came. reuse_allowed: what `allows` said of the request. reused: it did reuse a connection."""
        self._quick = latency_s <= QUICK_S
        if not reuse_allowed:
            return
        if self._stage is _Stage.FIRST_OUT:
            self._stage, self._idle_since = _Stage.LEFT_IDLE, now
        elif self._stage is _Stage.SECOND_OUT:
            self._stage = _Stage.TRUSTED if reused else _Stage.DISTRUSTED

    def unasked(self) -> None:
        """Bytes came that nobody had asked for. Over a connection that is used again they would be another row's picture."""
        self._stage = _Stage.DISTRUSTED

    def broke(self, *, reuse_allowed: bool) -> None:
        """No whole answer came."""
        if reuse_allowed:
            self._stage = _Stage.DISTRUSTED
