"""Permission to send: rate permits from aiolimiter, and one gate that a single refusal closes for everybody.

One task takes all permits, before it makes the request's own task; so waiting is first in, first out, a row with n = 10
takes ten image permits without starving, and a thousand waiting rows cost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiolimiter import AsyncLimiter

from jobs.pace import bucket
from schemas.job import LimitsTable


class Rate:
    """No window of `window_s` seconds sees more than `rate` permits."""

    def __init__(self, rate: float, window_s: float) -> None:
        self.rate = rate
        self.window_s = window_s
        self._burst, period = bucket(rate, window_s)
        self._limiter = AsyncLimiter(self._burst, period)

    async def take(self, permits: float) -> None:
        """Wait until so many permits were granted, a little at a time; more than a whole window's worth just waits."""
        while permits > 0:
            step = min(permits, self._burst)
            await self._limiter.acquire(step)
            permits -= step


class Pacer:
    """The job's rates and the gate. Times are the event loop's clock, in seconds."""

    def __init__(self, limits: LimitsTable) -> None:
        told: Mapping[str, float | None] = {
            "requests": limits.rpm,
            "images": limits.ipm,
            "tokens": limits.tpm,
        }
        self._rates = {name: Rate(rate, limits.window_s) for name, rate in told.items() if rate is not None}
        self._gate_until = 0.0
        self._reason = ""

    def close_gate(self, seconds: float, reason: str) -> None:
        """Nobody sends for so long. A longer closure that is under way stays."""
        until = asyncio.get_running_loop().time() + seconds
        if until > self._gate_until:
            self._gate_until, self._reason = until, reason

    @property
    def waiting(self) -> str:
        """Why nobody may send now, "" when the gate is open."""
        left = self._gate_until - asyncio.get_running_loop().time()
        return f"{self._reason}: {left:.0f} s" if left >= 1 else ""

    async def permit(self, *, images: int, tokens: float) -> None:
        """Wait for the gate and for every rate."""
        loop = asyncio.get_running_loop()
        wanted = {"requests": 1.0, "images": float(images), "tokens": tokens}
        for name, rate in self._rates.items():
            await rate.take(wanted[name])
        while (left := self._gate_until - loop.time()) > 0:  # noqa: ASYNC110 - the gate may close again meanwhile
            await asyncio.sleep(left)

    @property
    def told_per_s(self) -> float | None:
        """The lowest told rate in requests or images a second; None when nothing was told."""
        rates = [rate.rate / rate.window_s for name, rate in self._rates.items() if name != "tokens"]
        return min(rates) if rates else None
