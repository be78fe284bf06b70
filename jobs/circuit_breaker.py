"""When a run is not worth going on with: its first rows all failed (canary), or too many of its latest did (breaker)."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from schemas.failures import FailureKind

WINDOW = 100
MIN_SETTLED = 20


def _counts_text(kinds: Counter[FailureKind]) -> str:
    return ", ".join(f"{kind.value} {count}" for kind, count in kinds.most_common())


@dataclass
class Breaker:
    """Counts the outcomes of one run, to decide whether it should go on.

    canary: rows to send before all others; None: no trial. max_error_rate: share of failures in the last 100 settled
    rows (20 at least) above which the run is to stop; None: never. Rows that will be sent again are not settled.
    """

    canary: int | None = None
    max_error_rate: float | None = None
    _sent: int = 0
    _failed_first: Counter[FailureKind] = field(default_factory=Counter)
    _last: deque[FailureKind | None] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def sent(self) -> None:
        """A row was sent for the first time in this run."""
        self._sent += 1

    def settled(self, kind: FailureKind | None, *, first: bool = True) -> None:
        """A row's last outcome. kind: None for a success. first: sent by this run, not only polled by it."""
        self._last.append(kind)
        if kind is None:
            self.canary = None
        elif first and self.canary is not None:
            self._failed_first[kind] += 1

    @property
    def awaits_canary(self) -> bool:
        """Whether no further row may be sent until the canary's outcomes are known."""
        return self.canary is not None and self._sent >= self.canary

    @property
    def canary_failure(self) -> str | None:
        """Why to stop when there is more to send; None while the canary lives, or has not been sent whole."""
        if self.canary is None or (failed := self._failed_first.total()) < self.canary:
            return None
        requests = "request" if failed == 1 else "requests"
        return f"canary: {failed} of {failed} {requests} failed ({_counts_text(self._failed_first)})"

    @property
    def tripped(self) -> str | None:
        """Why to stop: too many failures lately. None while there are not."""
        seen = len(self._last)
        if self.max_error_rate is None or seen < MIN_SETTLED:
            return None
        kinds = Counter(kind for kind in self._last if kind is not None)
        if (failed := kinds.total()) <= self.max_error_rate * seen:
            return None
        return f"error rate: {failed} of the last {seen} rows failed ({_counts_text(kinds)}), above {self.max_error_rate:g}"
