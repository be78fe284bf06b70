"""Permission to send: told limits are kept exactly, untold ones are found, and one refusal closes a gate for everybody.

One task takes all permits, before it makes the request's own task; so waiting is first in, first out, a row with n = 10
takes ten image permits without starving, and a thousand waiting rows cost nothing. aiolimiter spreads permits over the
window; `jobs.sliding_window` bounds every window, counting each request from the moment at which it really left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from aiolimiter import AsyncLimiter

from jobs import adaptive_rate
from jobs.classify import RateTold
from jobs.send_history import Sends, Weight
from jobs.sliding_window import Sent, WindowLog, margin_s, spacing
from runner.limits.shared import SharedLog
from schemas.job import LimitsTable

_LATELY_S = 1.0
UNIT_NAMES = ("requests", "images", "tokens")


@dataclass(slots=True)
class Permit:
    """Leave to send one request. Tell it when the request leaves: until then it counts from when it was given."""

    entries: list[Sent]
    tell: Callable[[], None] = lambda: None

    def sent(self, now: float) -> None:
        """The request left at `now` (the event loop's clock)."""
        for entry in self.entries:
            entry.at = max(entry.at, now)
        self.tell()


class Rate:
    """One allowance: no window of `window_s` seconds ever sees more than `limit`."""

    def __init__(self, limit: float, window_s: float, history: Iterable[tuple[float, float]] = ()) -> None:
        self.limit = limit
        self.window_s = window_s
        self.log = WindowLog(limit, window_s, margin_s(window_s, limit))
        self._burst, period = spacing(limit, window_s)
        self._spread = AsyncLimiter(self._burst, period)
        for at, amount in history:
            self.log.add(at, amount)

    async def spread(self, amount: float) -> None:
        """Wait until the bucket has room for this much; it grows to the heaviest request that has come."""
        amount = min(amount, self.limit)
        if amount > self._burst:
            self._burst, period = spacing(self.limit, self.window_s, amount)
            self._spread = AsyncLimiter(self._burst, period)
        await self._spread.acquire(amount)


class Pacer:
    """The job's allowances, the gate, and the pace found by trial. Times are the event loop's clock, in seconds.

    earlier: (age in seconds, images) of requests that the folder's earlier runs sent within the last window.
    """

    def __init__(self, limits: LimitsTable, earlier: Iterable[tuple[float, int]] = ()) -> None:
        self._window_s = limits.window_s
        told = {"requests": limits.rpm, "images": limits.ipm, "tokens": limits.tpm}
        self._told = {unit: rate for unit, rate in told.items() if rate is not None}
        self._earlier = [(age, Weight(images, 0.0)) for age, images in earlier]
        self._history = Sends(max(limits.window_s, _LATELY_S))
        self._rates: dict[str, Rate] = {}
        self._shared = SharedLog.named(limits.share, self._told, limits.window_s) if limits.share else None
        self._gate_until = 0.0
        self._reason = ""
        self._pace: adaptive_rate.Pace | None = None
        self._next_slot = 0.0
        self._started = 0.0
        self._admitted = 0

    def start(self) -> None:
        """The run begins; call inside the event loop, before the first permit."""
        now = self._started = asyncio.get_running_loop().time()
        for age, weight in self._earlier:
            self._history.add(now - age, weight)
        for unit, rate in self._told.items():
            self._rates[unit] = self._rate(unit, rate)

    def _rate(self, unit: str, limit: float) -> Rate:
        return Rate(limit, self._window_s, self._history.amounts(unit))

    async def permit(self, weight: Weight) -> Permit:
        """Wait for every allowance, for the pace, and for the gate."""
        loop = asyncio.get_running_loop()
        for unit, rate in tuple(self._rates.items()):  # answers may add to them meanwhile
            await rate.spread(weight.of(unit))
        while (wait := self._ready_at(loop.time(), weight) - loop.time()) > 0:  # noqa: ASYNC110 - may move meanwhile
            await asyncio.sleep(wait)
        tell = await self._share(weight)
        now = loop.time()
        if self._pace is not None:
            self._next_slot = max(now - 0.05, self._next_slot) + 1.0 / self._pace.rate(now)
        self._history.add(now, weight)
        return Permit([rate.log.add(now, weight.of(unit)) for unit, rate in self._rates.items()], tell)

    async def _share(self, weight: Weight) -> Callable[[], None]:
        if self._shared is None:
            return lambda: None
        records = await self._shared.take({unit: weight.of(unit) for unit in self._told})
        return partial(self._shared.sent, records)

    def _ready_at(self, now: float, weight: Weight) -> float:
        moments = [rate.log.ready_at(now, weight.of(unit)) for unit, rate in self._rates.items()]
        slot = self._next_slot if self._pace is not None else now
        return max(now, slot, self._gate_until, *moments)

    def close_gate(self, seconds: float, reason: str) -> None:
        """Nobody sends for so long. A longer closure that is under way stays."""
        until = asyncio.get_running_loop().time() + seconds
        if until > self._gate_until:
            self._gate_until, self._reason = until, reason

    def refused(self, wait_s: float) -> None:
        """The service said "later": send more slowly, where no told limit paces the run already."""
        now = asyncio.get_running_loop().time()
        resumes = now + wait_s
        if self._pace is None:
            lately = self._history.since(now - _LATELY_S) / _LATELY_S
            elapsed = now - self._started
            self._pace = adaptive_rate.first_pace(self._admitted, elapsed, lately, now, resumes)
        else:
            self._pace = adaptive_rate.refused(self._pace, now, resumes, self._admitted)

    def admitted(self) -> None:
        """The service took a request."""
        self._admitted += 1

    def heard(self, told: Mapping[str, RateTold]) -> None:
        """Obey what an answer's headers say about allowances: they can only slow the run down."""
        for unit, said in told.items():
            own = self._rates.get(unit)
            if said.limit is not None and (own is None or said.limit < own.limit):
                self._rates[unit] = self._rate(unit, said.limit)
            elif own is None and said.remaining == 0 and said.reset_s is not None:
                self.close_gate(min(said.reset_s, self._window_s), f"the service's {unit} are used up")

    @property
    def waiting(self) -> str:
        """Why senders wait now: a closed gate, or a pace found by trial; "" when nothing holds them back."""
        now = asyncio.get_running_loop().time()
        if self._gate_until - now >= 1:
            return f"{self._reason}: {self._gate_until - now:.0f} s"
        if self._pace is not None and not self._rates:
            return f"pace found by trial: {self._pace.rate(now) * 60:.0f} requests/min"
        return ""

    @property
    def told_per_s(self) -> float | None:
        """The lowest told rate in requests or images a second; None when nothing was told."""
        rates = [rate / self._window_s for unit, rate in self._told.items() if unit != "tokens"]
        return min(rates) if rates else None
