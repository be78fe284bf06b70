"""The rate limiter: keeps given limits exactly, finds unknown ones by trial, and closes a gate for all after a refusal.

One task takes all permits, before it makes the request's own task; so waiting is first in, first out, a row with n = 10
takes ten image permits without starving, and a thousand waiting rows cost nothing. aiolimiter spreads permits over the
window; `jobs.sliding_window` bounds every window, counting each request from the moment at which it really left.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

from jobs import adaptive_rate
from jobs.rate_headers import ReportedRate
from jobs.send_history import SendHistory, Weight
from jobs.sliding_window import MINUTE_S, WindowEntry, WindowLog, in_window, margin_s, spacing
from runner.limits.shared import SharedLog, SharedPlace
from runner.text.wording import duration_text
from schemas.job import LimitsTable

_RECENT_S = 1.0
UNIT_NAMES = ("requests", "images", "tokens")


@dataclass(slots=True)
class GrantedPermit:
    """Leave to send one request. It counts until it is used or given back, and then for a window.

    shared: its place in a log that several runs share.
    """

    entries: list[tuple[WindowLog, WindowEntry]]
    shared: SharedPlace | None = None

    def sent(self, now: float) -> None:
        """See `Permit.sent`."""
        for log, entry in self.entries:
            log.leave(entry, now)
        if self.shared is not None:
            self.shared.leave()

    def unused(self) -> None:
        """See `Permit.unused`."""
        for log, entry in self.entries:
            log.give_back(entry)
        if self.shared is not None:
            self.shared.give_back()


class RateLimit:
    """One allowance: no window of `window_s` seconds ever sees more than `limit`."""

    def __init__(self, limit: float, window_s: float, history: Iterable[tuple[float, float]] = ()) -> None:
        self.limit = limit
        self.window_s = window_s
        self.per_minute = limit * MINUTE_S / window_s
        self.log = WindowLog(limit, window_s, margin_s(window_s, limit))
        self._burst, period = spacing(limit, window_s)
        self._spread = AsyncLimiter(self._burst, period)
        for at, amount in history:
            self.log.add(at, amount)

    async def spread(self, amount: float) -> None:
        """Wait until the bucket has room for this amount; the bucket grows to the heaviest request so far."""
        amount = min(amount, self.limit)
        if amount > self._burst:
            self._burst, period = spacing(self.limit, self.window_s, amount)
            self._spread = AsyncLimiter(self._burst, period)
        await self._spread.acquire(amount)


def longest_window_s(limits: LimitsTable) -> float:
    """Seconds for which a request counts against one of these limits."""
    given = (rate for rate in (limits.rpm, limits.ipm, limits.tpm) if rate is not None)
    return max((in_window(rate, limits.window_s)[1] for rate in given), default=limits.window_s)


class AdaptiveRateLimiter:
    """The job's limits, the gate, and the rate found by trial. Times are seconds of the event loop's clock.

    earlier: (age in seconds, images) of requests that the folder's earlier runs sent within the last window.
    """

    def __init__(self, limits: LimitsTable, earlier: Iterable[tuple[float, int]] = ()) -> None:
        self._window_s = limits.window_s
        given = {"requests": limits.rpm, "images": limits.ipm, "tokens": limits.tpm}
        self._given = {unit: rate for unit, rate in given.items() if rate is not None}
        self._earlier = [(age, Weight(images, 0.0)) for age, images in earlier]
        self._history = SendHistory(max(longest_window_s(limits), _RECENT_S))
        self._rates: dict[str, RateLimit] = {}
        self._shared = SharedLog.named(limits.share, self._given, limits.window_s) if limits.share else None
        self._gate_until = 0.0
        self._reason = ""
        self._adaptive: adaptive_rate.AdaptiveRate | None = None
        self._next_slot = 0.0
        self._started = 0.0
        self._admitted = 0

    def start(self) -> None:
        """The run begins; call inside the event loop, before the first permit."""
        now = self._started = asyncio.get_running_loop().time()
        for age, weight in self._earlier:
            self._history.add(now - age, weight)
        for unit, rate in self._given.items():
            self._rates[unit] = self._rate(unit, rate)

    def _rate(self, unit: str, per_minute: float) -> RateLimit:
        return RateLimit(*in_window(per_minute, self._window_s), self._history.amounts(unit))

    async def permit(self, weight: Weight) -> GrantedPermit:
        """Wait for every limit, for the rate found by trial, and for the gate."""
        loop = asyncio.get_running_loop()
        for unit, rate in tuple(self._rates.items()):  # answers may add to them meanwhile
            await rate.spread(weight.amount_of(unit))
        while (wait := self._ready_at(loop.time(), weight) - loop.time()) > 0:  # noqa: ASYNC110 - may move meanwhile
            await asyncio.sleep(wait)
        amounts = {unit: weight.amount_of(unit) for unit in self._given}
        shared = None if self._shared is None else await self._shared.acquire(amounts)
        now = loop.time()
        if self._adaptive is not None:
            self._next_slot = max(now - 0.05, self._next_slot) + 1.0 / self._adaptive.rate(now)
        self._history.add(now, weight)
        return GrantedPermit(
            [
                (rate.log, rate.log.add(now, weight.amount_of(unit), has_left=False))
                for unit, rate in self._rates.items()
            ],
            shared,
        )

    def _ready_at(self, now: float, weight: Weight) -> float:
        moments = [rate.log.ready_at(now, weight.amount_of(unit)) for unit, rate in self._rates.items()]
        slot = self._next_slot if self._adaptive is not None else now
        return max(now, slot, self._gate_until, *moments)

    def close_gate(self, seconds: float, reason: str) -> None:
        """Nobody sends for so long. A longer closure that is under way stays."""
        until = asyncio.get_running_loop().time() + seconds
        if until > self._gate_until:
            self._gate_until, self._reason = until, reason

    def throttled(self, wait_s: float) -> None:
        """The service refused a request for speed: send more slowly, unless a given limit paces the run already."""
        now = asyncio.get_running_loop().time()
        resumes = now + wait_s
        if self._adaptive is None:
            recently = self._history.since(now - _RECENT_S) / _RECENT_S
            elapsed = now - self._started
            self._adaptive = adaptive_rate.after_first_refusal(
                self._admitted, elapsed, recently, now, resumes
            )
        else:
            self._adaptive = adaptive_rate.after_refusal(self._adaptive, now, resumes, self._admitted)

    def admitted(self) -> None:
        """The service took a request."""
        self._admitted += 1

    def observe_rates(self, rates: Mapping[str, ReportedRate]) -> None:
        """Apply the limits in an answer's headers; they can only slow the run down."""
        for unit, reported in rates.items():
            own = self._rates.get(unit)
            if reported.limit is not None and (own is None or reported.limit < own.per_minute):
                self._rates[unit] = self._rate(unit, reported.limit)
            elif own is None and reported.remaining == 0 and reported.reset_s is not None:
                self.close_gate(
                    min(reported.reset_s, self._window_s), f"the service allows no more {unit} for now"
                )

    @property
    def waiting_reason(self) -> str:
        """Why senders wait now: a closed gate, or a rate found by trial; "" when nothing holds them back."""
        now = asyncio.get_running_loop().time()
        if self._gate_until - now >= 1:
            seconds = math.ceil(self._gate_until - now)
            return f"{self._reason}; next try in {f'{seconds} s' if seconds < MINUTE_S else duration_text(seconds)}"
        if self._adaptive is not None and not self._rates:
            return f"pacing at {self._adaptive.rate(now) * 60:.0f}/min (learnt from 429 answers)"
        return ""

    @property
    def known_rate_per_s(self) -> float | None:
        """The lowest given limit in requests or images a second; None without one."""
        rates = [rate / MINUTE_S for unit, rate in self._given.items() if unit != "tokens"]
        return min(rates) if rates else None
