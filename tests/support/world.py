"""An engine over the fakes of all its ports, which share one journal: every call to a port stands there, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobs.circuit_breaker import Breaker
from jobs.cost import Prices
from jobs.retry import RetryPolicy
from jobs.work import Work
from runner.engine.engine import Engine, RunTerms
from runner.engine.policy import RunPolicy
from runner.engine.ports import Ports
from runner.engine.shutdown import Shutdown
from runner.process.redaction import Redactor
from schemas.attempt import NextNumbers
from schemas.received import Result
from schemas.row import Row
from tests.support.fakes import FakeBudget, FakeLimiter, FakeLog, FakeRoad, FakeSource, FakeStore, Journal


@dataclass
class World:
    """An engine over fakes. journal: every call to a port."""

    journal: Journal
    source: FakeSource
    road: FakeRoad
    log: FakeLog
    store: FakeStore
    limiter: FakeLimiter
    budget: FakeBudget
    shutdown: Shutdown

    def engine(self) -> Engine:
        """To be made inside an event loop."""
        ports = Ports(self.source, self.road, self.log, self.store, self.limiter, self.budget)
        policy = RunPolicy(RetryPolicy(), 0, Breaker())
        return Engine(
            ports,
            NextNumbers(0, 0, 0),
            RunTerms(Prices(per_image=0.1)),
            shutdown=self.shutdown,
            policy=policy,
            redactor=Redactor(),
            wall_ms=lambda: 1_000,
        )


def world(answer: Callable[[Row, int], Result], rows: Sequence[Row]) -> World:
    """Fakes for these rows."""
    journal: Journal = []
    works = [Work(each, None) for each in rows]
    return World(
        journal,
        FakeSource(journal, works),
        FakeRoad(journal, answer),
        FakeLog(journal),
        FakeStore(journal),
        FakeLimiter(journal),
        FakeBudget(journal),
        Shutdown(),
    )
