"""A sliding-window limit as services count it: at most so much in any window, each request timed by when it really left."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MINUTE_S = 60.0
LOOK_S = 0.05
"""After which to look again whether a request has left that holds a place for longer than a window."""


@dataclass(eq=False, slots=True)
class WindowEntry:
    """One request in the log. at: seconds, when it left, or else may leave. amount: its weight."""

    at: float
    amount: float
    windows: int = 1
    has_left: bool = True


class WindowLog:
    """What was sent within the last window. No window ever holds more than `limit`, whatever the order of calls.

    A request heavier than the limit is let through when the window is empty, and then fills as many windows as it
    weighs. margin_s: time beyond the window for which a request still counts, for jitter on the way to the service.
    A request that waits for its connection may leave at any moment, so it counts however long that takes.
    """

    def __init__(self, limit: float, window_s: float, margin_s: float) -> None:
        self.limit = limit
        self._span_s = window_s + margin_s
        self._log: deque[WindowEntry] = deque()
        self._late: set[WindowEntry] = set()
        self._used = 0.0

    def ready_at(self, now: float, amount: float) -> float:
        """The earliest moment, `now` or later, at which a request of this weight may be sent."""
        self._forget(now)
        excess = min(amount, self.limit) + self._used - self.limit
        if excess <= 1e-9:
            return now
        moment = now
        for sent in self._log:
            moment = max(moment, sent.at + sent.windows * self._span_s)
            excess -= min(sent.amount, self.limit)
            if excess <= 1e-9:
                return moment
        return max(moment, now + LOOK_S)

    def add(self, at: float, amount: float, *, has_left: bool = True) -> WindowEntry:
        """Count a request that is sent now. has_left: False where it may leave later; then tell `leave` or `give_back`."""
        windows = max(1, -int(-amount // self.limit)) if self.limit else 1
        entry = WindowEntry(at, amount, windows, has_left)
        self._log.append(entry)
        self._used += min(amount, self.limit)
        return entry

    def leave(self, entry: WindowEntry, at: float) -> None:
        """The request leaves now."""
        entry.at = max(entry.at, at)
        entry.has_left = True
        if entry in self._late:
            self._late.remove(entry)
            self._log.append(entry)

    def give_back(self, entry: WindowEntry) -> None:
        """The request will not leave. It counts for a window from when it might have."""
        entry.has_left = True
        if entry in self._late:
            self._late.remove(entry)
            self._used -= min(entry.amount, self.limit)

    def _forget(self, now: float) -> None:
        log = self._log
        while log and log[0].at + log[0].windows * self._span_s <= now:
            entry = log.popleft()
            if entry.has_left:
                self._used -= min(entry.amount, self.limit)
            else:
                self._late.add(entry)
        if not log and not self._late:
            self._used = 0.0


def in_window(per_minute: float, window_s: float) -> tuple[float, float]:
    """(how much, in how many seconds) of an allowance that is a minute's, kept in windows of this length.

    Less than one request a window is one in a longer window.
    """
    amount = per_minute * window_s / MINUTE_S
    return (amount, window_s) if amount >= 1 else (1.0, MINUTE_S / per_minute)


def margin_s(window_s: float, limit: float) -> float:
    """Jitter allowed for on the way to the service: half a percent of the window, and 18 ms of a second or more.

    limit: what the window holds. With few requests a single late one is as good as one too many, so they get 30 ms.
    """
    jitter = 0.03 if limit <= 100 else 0.018
    return max(jitter * min(1.0, window_s), 0.005 * window_s)


def spacing(rate: float, window_s: float, heaviest: float = 1.0) -> tuple[float, float]:
    """(max_rate, time_period) of the leaky bucket that spreads `rate` permits over the window: at most 1 % at once.

    heaviest: what the heaviest request weighs. It leaves at once whatever it weighs, so lighter ones may come as
    thickly; with less room than that, windows could not be filled by requests of mixed weight.
    The bucket spreads; `WindowLog` bounds. Its leak is the full rate, so that a late timer can be made up for.
    """
    burst = max(1.0 if window_s / rate > 0.2 else 2.0, float(int(rate * 0.01)), min(heaviest, rate))
    return burst, burst * window_s / rate
