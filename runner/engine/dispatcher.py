"""The dispatcher: takes the next row, waits for everything that a request needs, and hands it over to be sent."""

from __future__ import annotations

import asyncio
from typing import Protocol

from jobs.cost import Estimate, Prices, estimate, likely_tokens
from jobs.send_history import Weight
from jobs.work import Work
from runner.engine.policy import Verdicts
from runner.engine.ports import Permit, Ports
from runner.engine.run_state import RunState
from runner.engine.shutdown import Ending
from runner.process.crash_points import crash_point
from schemas.attempt import OpenTask
from schemas.errors import ExitCode

WAITING_CAP = 10_000
"""With so many rows waiting for another attempt, no new row is read from the manifest."""


class Launcher(Protocol):
    """Starts attempts, each in a task of its own."""

    def send(self, work: Work, price: Estimate, permit: Permit) -> None:
        """Send a row that holds a permit."""

    def rejoin(self, work: Work, task: OpenTask) -> None:
        """Go on waiting for a task of an earlier run."""


class Dispatcher:
    """One task walks the rows in order. Waiting happens here, before anything is written."""

    def __init__(
        self,
        ports: Ports,
        state: RunState,
        ending: Ending,
        verdicts: Verdicts,
        prices: Prices,
        launcher: Launcher,
    ) -> None:
        self._ports = ports
        self._state = state
        self._ending = ending
        self._verdicts = verdicts
        self._prices = prices
        self._launcher = launcher

    async def run(self) -> None:
        """Hand over every row that is still to do, or as many as may be sent; returns when none is in flight or waits."""
        while (work := await self._next_work()) is not None:
            while self._state.counters.in_flight >= self._slots:
                await self._state.change()
            if work.task is not None:
                self._launcher.rejoin(work, work.task)
                continue
            request = work.row.request
            price = estimate(request, self._prices)
            if not await self._affordable(price):
                return
            permit = await self._ports.limiter.permit(Weight(request.n, likely_tokens(request, price)))
            if self._ending.stopping.is_set() or not await self._affordable(price):
                return
            crash_point("permit granted")
            self._launcher.send(work, price, permit)

    @property
    def _slots(self) -> int:
        """Requests that may be in flight."""
        capacity = self._ports.road.capacity
        limit = self._state.window.limit
        return limit if capacity is None else min(limit, capacity)

    async def _next_work(self) -> Work | None:
        """A retry whose time has come, else the next row, else whatever comes first; None when all is done."""
        loop = asyncio.get_running_loop()
        state, quota = self._state, self._verdicts.quota
        exhausted = False
        while True:
            now = loop.time()
            opens = quota.opens_at(now)
            due = state.waiting.due(now) if opens <= now else None
            if due is not None:
                quota.resent(now)
                return due
            reason = self._verdicts.breaker.canary_died
            if reason is not None and await self._ports.source.anything():
                self._ending.stop(ExitCode.SERVICE_DOWN, reason)
                return None
            if not exhausted and len(state.waiting) < WAITING_CAP and not self._verdicts.breaker.holds:
                work = await self._ports.source.next()
                if work is not None:
                    return work
                exhausted = True
            next_due = state.waiting.next_due()
            if next_due is None and state.counters.in_flight == 0:
                return None
            await state.change(None if next_due is None else max(0.0, max(next_due, opens) - loop.time()))

    async def _affordable(self, price: Estimate) -> bool:
        """Whether this request may be paid for and its answer kept; False ends the run."""
        while (refusal := self._ports.budget.refusal(price)) is not None:
            if self._state.counters.in_flight == 0:
                self._ending.stop(ExitCode.BUDGET, refusal)
                return False
            await self._state.change()
        problem = self._ports.store.room_for(self._state.counters.in_flight)
        if problem is not None:
            self._ending.stop(ExitCode.LOCAL, problem)
        return problem is None
