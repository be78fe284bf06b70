"""The engine: the only place where a run is orchestrated.

One dispatcher walks the work in order. For each row it waits for a concurrency slot, then for the gate and the rate
permits, then reserves money, and only then makes a task that carries out one attempt. A row that must be sent again goes
into `Waiting` with the time before which it may not be sent; it holds nothing meanwhile. So at any moment a row is in
exactly one place: still in the manifest, waiting, in flight, or settled in the ledger.

An attempt task writes its intent, sends, saves what came, decides with `jobs.retry.decide`, and records the outcome
together with what becomes of the row. It is not cancelled from outside: `Shutdown.forced` makes it stop waiting, park its
row and record that. Only what hangs even then, in a disk, is left behind (`Shutdown.abandoned`). Whatever stops a run goes
through `Shutdown.stop`; the dispatcher then ends, the tasks in flight end by themselves, and the first reason stands.

The engine knows the world by its ports (`runner.engine.ports`) only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from jobs import concurrency_window
from jobs.cost import Estimate, Prices
from jobs.retry import PROBE_S
from jobs.work import FIRST, Work
from runner.engine.dispatcher import Dispatcher
from runner.engine.durable_io import DurableIO
from runner.engine.ingest import Ingest
from runner.engine.policy import RunPolicy
from runner.engine.ports import Checkpoint, Permit, Ports
from runner.engine.refetcher import Refetcher
from runner.engine.run_state import Counters, RunState
from runner.engine.settlement import Settlement, safe_work
from runner.engine.shutdown import Shutdown
from runner.process.clock import wall_ms
from runner.process.redaction import Redactor
from schemas.attempt import Intent, NextNumbers, OpenTask
from schemas.errors import ExitCode, JobError
from schemas.outcome import OpenWork
from schemas.run_events import RunEvent

_LOG = logging.getLogger(__name__)
MAX_SETTLING = 48
"""Answers that are settled (saved and recorded) at a time. With more, each would take longer, and all would end together."""


class RunTerms(NamedTuple):
    """What holds for one run.

    cost_usd: of the folder's earlier runs, None when it is not known. concurrency: the user's ceiling.
    fetch_patience_s: how long an image that was made is tried to be fetched. note: hears of rows that fail and of changes of
    pace; returns at once.
    """

    prices: Prices
    cost_usd: float | None = None
    concurrency: int | None = None
    fetch_patience_s: float = 180.0
    note: Callable[[RunEvent], None] = lambda _event: None


class Engine:
    """One run over one source of work."""

    def __init__(
        self,
        ports: Ports,
        numbers: NextNumbers,
        terms: RunTerms,
        *,
        shutdown: Shutdown,
        policy: RunPolicy,
        redactor: Redactor,
        wall_ms: Callable[[], int] = wall_ms,
    ) -> None:
        prices, cost_usd, concurrency, fetch_patience_s, note = terms
        self._ports = ports
        self._numbers = numbers
        self._shutdown = shutdown
        self._policy = policy
        self._wall_ms = wall_ms
        window = concurrency_window.initial_window(concurrency, ports.limiter.known_rate_per_s)
        self.state = RunState(window, cost_usd, cost_usd)
        self._durable = DurableIO(ports.store, ports.log, shutdown)
        self._redactor = redactor
        ingest = Ingest(self._durable, redactor, wall_ms)
        self._settlement = Settlement(
            ports,
            self.state,
            shutdown,
            policy,
            prices,
            redactor,
            self._durable,
            ingest,
            wall_ms,
            fetch_patience_s,
            note,
        )
        self._dispatcher = Dispatcher(
            ports, self.state, shutdown, policy, prices, self, trusts_ceiling=concurrency is not None
        )
        self._settling = asyncio.Semaphore(MAX_SETTLING)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def counters(self) -> Counters:
        """What this run has done so far."""
        return self.state.counters

    @property
    def waiting_reason(self) -> str:
        """Why senders wait now, "" when nothing holds them back."""
        reason = self._ports.limiter.waiting_reason
        if not reason and (waiting := len(self.state.fetches)):
            rows = "1 row is" if waiting == 1 else f"{waiting:,} rows are"
            return f"images of {rows} made, and cannot be fetched yet; trying again"
        return reason

    async def run(self) -> None:
        """Send everything that is still to do, or until the shutdown begins; returns when nothing is in flight.

        When it is cancelled, rows in flight are parked before the cancellation continues.
        """
        self._policy.start(asyncio.get_running_loop().time())
        self._ports.limiter.start()
        dispatcher = asyncio.create_task(self._dispatcher.run())
        refetcher = asyncio.create_task(Refetcher(self.state, self).run())
        stopping = asyncio.create_task(self._shutdown.stopping.wait())
        senders = (dispatcher, refetcher)
        try:
            await asyncio.wait((*senders, stopping), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._shutdown.force()
            raise
        finally:
            for task in (*senders, stopping):
                task.cancel()
            await asyncio.wait(senders)
            await self._landed()
        for sender in senders:
            if not sender.cancelled() and (error := sender.exception()) is not None:
                self._fault(error)

    async def _landed(self) -> None:
        """Wait for what is under way. Once the run was cut, what this machine does not finish in time is left behind.

        Such an attempt gets no outcome: the next run takes in the images that it finds, or parks the row.
        """
        landing = asyncio.create_task(self._landing())
        abandoned = asyncio.create_task(self._shutdown.abandoned.wait())
        await asyncio.wait((landing, abandoned), return_when=asyncio.FIRST_COMPLETED)
        left = [landing, abandoned, *self._tasks]
        if self._tasks:
            _LOG.warning("left behind: this machine has not saved %d answers in time", len(self._tasks))
        for task in left:
            task.cancel()
        await asyncio.wait(left)
        if not landing.cancelled():
            landing.result()

    async def _landing(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._ports.source.close()

    def send(self, work: Work, price: Estimate, permit: Permit) -> None:
        """Start an attempt for a row that holds a permit; called by the dispatcher."""
        number = self._numbers.attempt
        fresh = work.item is None
        item = self._numbers.item if work.item is None else work.item
        self._numbers = NextNumbers(self._numbers.run, number + 1, self._numbers.item + fresh)
        reserved_usd = self._ports.budget.reserve(price)
        if self._policy.service_is_down:
            self._ports.limiter.close_gate(PROBE_S, self.state.trouble or "the service is down")
        if work.history == FIRST:
            self._policy.quota.first_sent()
            self._policy.breaker.sent()
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

    def rejoin(self, work: Work, task: OpenTask) -> asyncio.Task[None]:
        """Resume a task, or fetch images again: nothing is sent, so it needs no permit and no money."""
        return self._start(self._rejoin(work, task))

    def _start(self, attempt: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.counters.in_flight += 1
        task = asyncio.create_task(attempt)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.counters.in_flight -= 1
        self.state.changed.set()
        if not task.cancelled() and task.exception() is not None:
            self._fault(task.exception())

    def _fault(self, error: BaseException | None) -> None:
        """Stop the run: an attempt ended without an outcome, because of this machine or of a bug."""
        if isinstance(error, JobError):
            self._shutdown.stop(error.exit_code, error.message)
        elif isinstance(error, OSError):
            self._shutdown.stop(ExitCode.LOCAL, f"this machine refused: {error}")
        else:
            self._shutdown.stop(ExitCode.INTERNAL, f"internal error: {type(error).__name__}: {error}")

    async def _attempt(self, work: Work, intent: Intent, reserved_usd: float, permit: Permit) -> None:
        try:
            await self._ports.log.intend(intent)
        except OSError:
            self._ports.budget.settle(reserved_usd, cost_usd=None, maybe_billed=False)
            raise
        self.counters.sent += 1
        checkpoint = self._checkpoint(intent.attempt)
        async with (
            self._ports.road.send(work.row, permit, checkpoint, self._shutdown.forced) as arrival,
            self._settling,
        ):
            await self._settlement.settle(arrival, work, intent.attempt, reserved_usd)

    async def _rejoin(self, work: Work, task: OpenTask) -> None:
        reserved_usd = self._ports.budget.rejoin(task.reserved_usd)
        checkpoint = self._checkpoint(task.attempt)
        road = self._ports.road.rejoin(work.row, task.task, checkpoint, self._shutdown.forced)
        async with road as arrival, self._settling:
            await self._settlement.settle(arrival, work, task.attempt, reserved_usd)

    def _checkpoint(self, attempt: int) -> Checkpoint:
        async def accepted(task: OpenWork) -> None:
            kept = safe_work(task, self._redactor)
            await self._durable.persist(lambda: self._ports.log.accepted(attempt, kept))

        return accepted
