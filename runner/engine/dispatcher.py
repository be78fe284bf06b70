"""The dispatcher: takes the next row, waits for everything that a request needs, and hands it over to be sent."""

from __future__ import annotations

import asyncio
from typing import Protocol

from jobs import concurrency_window
from jobs.cost import Estimate, Prices, estimate, likely_tokens
from jobs.send_history import Weight
from jobs.work import Work
from runner.engine.policy import RunPolicy
from runner.engine.ports import Permit, Ports
from runner.engine.run_state import RunState
from runner.engine.shutdown import Shutdown
from runner.process.crash_points import crash_point
from schemas.attempt import OpenTask
from schemas.errors import ExitCode

WAITING_CAP = 10_000
"""With so many rows waiting for another attempt or for their images, no new row is read from the manifest."""


class Launcher(Protocol):
    """Starts attempts, each in a task of its own."""

    def send(self, work: Work, price: Estimate, permit: Permit) -> None:
        """Send a row that holds a permit."""

    def rejoin(self, work: Work, task: OpenTask) -> asyncio.Task[None]:
        """Go on waiting for a task, or fetch images again."""


class Dispatcher:
    """One task walks the rows in order. Waiting happens here, before anything is written.

    trusts_ceiling: the user has said how many requests may be in flight, which counts before the first image too.
    """

    def __init__(
        self,
        ports: Ports,
        state: RunState,
        shutdown: Shutdown,
        policy: RunPolicy,
        prices: Prices,
        launcher: Launcher,
        *,
        trusts_ceiling: bool = False,
    ) -> None:
        self._trusts_ceiling = trusts_ceiling
        self._ports = ports
        self._state = state
        self._shutdown = shutdown
        self._policy = policy
        self._prices = prices
        self._launcher = launcher

    async def run(self) -> None:
        """Hand over every row that is still to do, or as many as may be sent; returns when none waits or is in flight,
        and no image is to be fetched."""
        while (work := await self._next_work()) is not None:
            while self._state.counters.in_flight >= self._slots:
                await self._state.change()
            if work.task is not None:
                self._launcher.rejoin(work, work.task)
                continue
            if not await self._trusted():
                return
            request = work.row.request
            price = estimate(request, self._prices)
            if not await self._affordable(price):
                return
            permit = await self._ports.limiter.permit(Weight(request.n, likely_tokens(request, price)))
            if (
                self._shutdown.stopping.is_set()
                or not await self._affordable(price)
                or not await self._trusted()
            ):
                return
            crash_point("permit granted")
            self._launcher.send(work, price, permit)

    @property
    def _slots(self) -> int:
        """Requests that may be in flight."""
        capacity = self._ports.road.capacity
        limit = self._state.window.limit
        if not (self._trusts_ceiling or self._policy.brake.works):
            limit = min(limit, concurrency_window.START)
        return limit if capacity is None else min(limit, capacity)

    async def _next_work(self) -> Work | None:
        """A retry whose time has come, else the next row, else whatever comes first; None when all is done."""
        loop = asyncio.get_running_loop()
        state, quota = self._state, self._policy.quota
        exhausted = False
        while True:
            now = loop.time()
            opens = quota.opens_at(now)
            due = state.waiting.due(now) if opens <= now else None
            if due is not None:
                quota.resent(now)
                return due
            reason = self._policy.breaker.canary_failure
            if reason is not None and await self._ports.source.has_next():
                self._shutdown.stop(ExitCode.SERVICE_DOWN, reason)
                return None
            waiting = len(state.waiting) + len(state.fetches)
            if not exhausted and waiting < WAITING_CAP and not self._policy.breaker.awaits_canary:
                work = await self._ports.source.next()
                if work is not None:
                    return work
                exhausted = True
            next_due = state.waiting.next_due()
            if next_due is None and state.nothing_goes_on:
                return None
            await state.change(None if next_due is None else max(0.0, max(next_due, opens) - loop.time()))

    async def _trusted(self) -> bool:
        """Whether the answers of this run allow another request; False ends the run.

        While they do not, nothing is sent, and what is in flight may still prove them wrong.
        """
        while (suspicion := self._policy.brake.suspicion) is not None:
            if self._state.nothing_goes_on:
                self._shutdown.stop(suspicion.exit_code, suspicion.text)
                return False
            await self._state.change()
        return True

    async def _affordable(self, price: Estimate) -> bool:
        """Whether this request may be paid for and its answer kept; False ends the run."""
        while (refusal := self._ports.budget.refusal(price)) is not None:
            if self._state.nothing_goes_on:
                self._shutdown.stop(ExitCode.BUDGET, refusal)
                return False
            await self._state.change()
        while (problem := self._ports.store.room_for(self._state.counters.in_flight)) is not None:
            if self._state.nothing_goes_on:
                self._shutdown.stop(ExitCode.LOCAL, problem)
                return False
            await self._state.change()  # what is in flight may turn out to need less than was feared
        return True
