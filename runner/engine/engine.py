"""The engine: the only place where a run is orchestrated.

One dispatcher walks the work in order. For each row it waits for a concurrency slot, then for the gate and the rate
permits, then reserves money, and only then makes a task that carries out one attempt. A row that must be sent again goes
into `Waiting` with the time before which it may not be sent; it holds nothing meanwhile. So at any moment a row is in
exactly one place: still in the manifest, waiting, in flight, or settled in the ledger.

An attempt task writes its intent, sends, saves what came, decides with `jobs.retry.decide`, and records the outcome
together with what becomes of the row. It is never cancelled from outside: `Ending.hard` makes it stop waiting, park its
row and record that. Whatever stops a run goes through `Ending.stop`; the dispatcher then ends, the tasks in flight end by
themselves, and the first reason stands.

The engine knows the world by its ports (`runner.engine.ports`) only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from jobs import concurrency_window
from jobs.cost import Estimate, Prices
from jobs.retry import PROBE_S
from jobs.work import FIRST, Work
from runner.engine.dispatcher import Dispatcher
from runner.engine.durable_io import DurableIO
from runner.engine.ingest import Ingest
from runner.engine.policy import Verdicts
from runner.engine.ports import Checkpoint, Permit, Ports
from runner.engine.run_state import Counters, RunState
from runner.engine.settlement import Settlement
from runner.engine.shutdown import Ending
from runner.process.clock import wall_ms
from runner.process.redaction import Redactor
from schemas.attempt import Intent, NextNumbers, OpenTask
from schemas.errors import ExitCode, JobError
from schemas.outcome import Task

AT_ONCE = 48
"""Answers that are saved and recorded at a time; of more, none would be done and its place free before all are."""


class Engine:
    """One run over one source of work.

    cost_usd: what earlier runs of the folder cost, None when nothing is known of it. concurrency: the user's ceiling.
    """

    def __init__(
        self,
        ports: Ports,
        numbers: NextNumbers,
        *,
        ending: Ending,
        verdicts: Verdicts,
        prices: Prices,
        redactor: Redactor,
        cost_usd: float | None = None,
        concurrency: int | None = None,
        wall_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._ports = ports
        self._numbers = numbers
        self._ending = ending
        self._verdicts = verdicts
        self._wall_ms = wall_ms
        window = concurrency_window.opening(concurrency, ports.limiter.known_rate_per_s)
        self.state = RunState(window, cost_usd, cost_usd)
        self._durable = DurableIO(ports.store, ports.log, ending)
        ingest = Ingest(self._durable, redactor)
        self._settlement = Settlement(
            ports, self.state, ending, verdicts, prices, redactor, self._durable, ingest, wall_ms
        )
        self._dispatcher = Dispatcher(ports, self.state, ending, verdicts, prices, self)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def counters(self) -> Counters:
        """What this run has done so far."""
        return self.state.counters

    @property
    def waiting_reason(self) -> str:
        """Why senders wait now, "" when nothing holds them back."""
        return self._ports.limiter.waiting_reason

    async def run(self) -> None:
        """Send everything that is still to do, or as much as the ending allows; returns when nothing is in flight.

        When it is cancelled, rows in flight are parked before the cancellation goes on.
        """
        self._verdicts.start(asyncio.get_running_loop().time())
        self._ports.limiter.start()
        dispatcher = asyncio.create_task(self._dispatcher.run())
        stopping = asyncio.create_task(self._ending.stopping.wait())
        try:
            await asyncio.wait((dispatcher, stopping), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._ending.cut()
            raise
        finally:
            stopping.cancel()
            dispatcher.cancel()
            await asyncio.wait((dispatcher,))
            while self._tasks:
                await asyncio.wait(self._tasks)
            await self._ports.source.close()
        if not dispatcher.cancelled() and (error := dispatcher.exception()) is not None:
            self._fault(error)

    def send(self, work: Work, price: Estimate, permit: Permit) -> None:
        """Start an attempt for a row that holds a permit; called by the dispatcher."""
        number = self._numbers.attempt
        fresh = work.item is None
        item = self._numbers.item if work.item is None else work.item
        self._numbers = NextNumbers(self._numbers.run, number + 1, self._numbers.item + fresh)
        reserved_usd = self._ports.budget.reserve(price)
        if self._verdicts.down:
            self._ports.limiter.close_gate(PROBE_S, "the service is down; one request at a time")
        if work.history == FIRST:
            self._verdicts.quota.first_sent()
            self._verdicts.breaker.sent()
        intent = Intent(
            number,
            item,
            self._numbers.run,
            work.row,
            self._wall_ms(),
            None if price.high is None else reserved_usd,
            fresh,
            work.indexes,
        )
        work = Work(work.row, item, work.history, work.indexes, work.task)
        self._start(self._attempt(work, intent, reserved_usd, permit))

    def rejoin(self, work: Work, task: OpenTask) -> None:
        """Go on with a task of an earlier run: nothing is sent, so it needs no permit and no money."""
        self._start(self._rejoin(work, task))

    def _start(self, attempt: Coroutine[Any, Any, None]) -> None:
        self.counters.in_flight += 1
        task = asyncio.create_task(attempt)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.counters.in_flight -= 1
        self.state.changed.set()
        if not task.cancelled() and task.exception() is not None:
            self._fault(task.exception())

    def _fault(self, error: BaseException | None) -> None:
        """An attempt ended in a way that is not an outcome: this machine's trouble, or a bug."""
        if isinstance(error, JobError):
            self._ending.stop(error.exit_code, error.message)
        elif isinstance(error, OSError):
            self._ending.stop(ExitCode.LOCAL, f"this machine refused: {error}")
        else:
            self._ending.stop(ExitCode.INTERNAL, f"internal error: {type(error).__name__}: {error}")

    async def _attempt(self, work: Work, intent: Intent, reserved_usd: float, permit: Permit) -> None:
        try:
            await self._ports.log.intend(intent)
        except OSError:
            self._ports.budget.settle(reserved_usd, cost_usd=None, maybe_billed=False)
            raise
        self.counters.sent += 1
        checkpoint = self._checkpoint(intent.attempt)
        async with (
            self._ports.road.send(work.row, permit, checkpoint, self._ending.hard) as arrival,
            self._turns,
        ):
            await self._settlement.settle(arrival, work, intent.attempt, reserved_usd)

    async def _rejoin(self, work: Work, task: OpenTask) -> None:
        reserved_usd = self._ports.budget.rejoin(task.reserved_usd)
        checkpoint = self._checkpoint(task.attempt)
        road = self._ports.road.rejoin(work.row, task.task, checkpoint, self._ending.hard)
        async with road as arrival, self._turns:
            await self._settlement.settle(arrival, work, task.attempt, reserved_usd)

    def _checkpoint(self, attempt: int) -> Checkpoint:
        async def accepted(task: Task) -> None:
            await self._durable.keep(lambda: self._ports.log.accepted(attempt, task))

        return accepted
