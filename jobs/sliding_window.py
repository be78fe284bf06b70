"""A limit as services count it: so much in any window, told by the moment at which each request was really sent."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Sent:
    """One request in the log. at: seconds, moved to the true moment of sending once it is known. amount: its weight."""

    at: float
    amount: float
    windows: int = 1


class WindowLog:
    """What was sent within the last window. No window ever holds more than `limit`, whatever the order of calls.

    A request heavier than the limit is let through when the window is empty, and then fills as many windows as it
    weighs. margin_s: time beyond the window for which a request still counts, for jitter on the way to the service.
    """

    def __init__(self, limit: float, window_s: float, margin_s: float) -> None:
        self.limit = limit
        self._span_s = window_s + margin_s
        self._log: deque[Sent] = deque()
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
                break
        return moment

    def add(self, at: float, amount: float) -> Sent:
        """Count a request that is sent now. Change the entry's `at` when it turns out to leave later."""
        windows = max(1, -int(-amount // self.limit)) if self.limit else 1
        sent = Sent(at, amount, windows)
        self._log.append(sent)
        self._used += min(amount, self.limit)
        return sent

    def _forget(self, now: float) -> None:
        log = self._log
        while log and log[0].at + log[0].windows * self._span_s <= now:
            self._used -= min(log.popleft().amount, self.limit)
        if not log:
            self._used = 0.0


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
