"""The engine's ports as fakes in memory. Each passes the contract suite of its port (`tests/contracts`).

`world()` gives all of them over one journal, in which every call to a port stands in order.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from jobs.circuit_breaker import Breaker
from jobs.classify import RateTold
from jobs.cost import Estimate, Prices
from jobs.retry import RetryPolicy
from jobs.send_history import Weight
from jobs.work import Work
from runner.engine.engine import Engine
from runner.engine.policy import Verdicts
from runner.engine.ports import Arrival, CancelSignal, Checkpoint, Permit, Ports, StoreRefused
from runner.engine.shutdown import Ending
from runner.process.redaction import Redactor
from schemas.artifacts import Asked, Label, NotAnImage
from schemas.attempt import Intent, Measured, NextNumbers
from schemas.failures import RowStatus
from schemas.outcome import Outcome, SavedImage, Task
from schemas.received import Pieces, Received, ReceivedImage, Result
from schemas.request import ImageRequest
from schemas.row import Row

Journal = list[str]


def row(number: int = 0, prompt: str = "a fox", n: int = 1) -> Row:
    """Some row."""
    params = (("n", n),) if n != 1 else ()
    return Row(number, f"r{number}", ImageRequest(prompt, params), number.to_bytes(16, "big"))


@dataclass
class FakeBody:
    """A body without lifted images."""

    data: bytes = b"body"
    images: Sequence[object] = ()

    def verbatim(self) -> Iterable[bytes]:
        """The body."""
        return iter((self.data,))


def received(*images: bytes) -> Received:
    """A paid answer with these images."""
    return Received(tuple(ReceivedImage((data,)) for data in images), FakeBody(), 200)


@dataclass
class FakeSource:
    """Rows from a list."""

    journal: Journal
    works: list[Work]

    async def next(self) -> Work | None:
        self.journal.append("source.next")
        return self.works.pop(0) if self.works else None

    async def anything(self) -> bool:
        return bool(self.works)

    async def close(self) -> None:
        self.journal.append("source.close")


@dataclass
class FakePermit:
    """Notes when the request left."""

    left: list[float] = field(default_factory=list)

    def sent(self, now: float) -> None:
        self.left.append(now)


@dataclass
class FakeRoad:
    """Answers each row as `answer` says, in order of its tries. tasks: made durable before the answer."""

    journal: Journal
    answer: Callable[[Row, int], Result]
    tasks: Mapping[str, Task] = field(default_factory=dict)
    capacity: int | None = None
    tries: dict[str, int] = field(default_factory=dict)

    @asynccontextmanager
    async def send(
        self, row: Row, permit: Permit, checkpoint: Checkpoint, cancel: CancelSignal
    ) -> AsyncIterator[Arrival]:
        self.journal.append("road.send")
        permit.sent(0.0)
        if (task := self.tasks.get(row.row_id)) is not None:
            await checkpoint(task)
        turn = self.tries[row.row_id] = self.tries.get(row.row_id, -1) + 1
        for _ in range(20):  # others may be sent meanwhile
            await asyncio.sleep(0)
        yield Arrival(self.answer(row, turn), 0.5)
        self.journal.append("road.released")

    @asynccontextmanager
    async def rejoin(
        self, row: Row, task: Task, checkpoint: Checkpoint, cancel: CancelSignal
    ) -> AsyncIterator[Arrival]:
        self.journal.append("road.rejoin")
        yield Arrival(self.answer(row, 0), 0.5)


@dataclass
class FakeLog:
    """Records in memory. refuses: so many records fail first, as on a full disk."""

    journal: Journal
    refuses: int = 0
    intents: list[Intent] = field(default_factory=list)
    tasks: dict[int, Task] = field(default_factory=dict)
    waits: list[int] = field(default_factory=list)
    outcomes: dict[int, tuple[Outcome, RowStatus, Measured]] = field(default_factory=dict)

    def _record(self, what: str) -> None:
        self.journal.append(what)
        if self.refuses:
            self.refuses -= 1
            raise OSError(28, "No space left on device")

    async def intend(self, intent: Intent) -> None:
        self._record("log.intend")
        self.intents.append(intent)

    async def accepted(self, attempt: int, task: Task) -> None:
        self._record("log.accepted")
        self.tasks[attempt] = task

    async def still_open(self, attempt: int, why: str) -> None:
        self._record("log.still_open")
        self.waits.append(attempt)

    async def conclude(self, outcome: Outcome, status: RowStatus, measured: Measured) -> None:
        self._record("log.conclude")
        self.outcomes[measured.attempt] = (outcome, status, measured)


@dataclass
class FakeStore:
    """Files in memory; bytes that begin with `bad` are no image."""

    journal: Journal
    refuses: int = 0
    full: str | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    released: bool = False

    def _keep(self, name: str, data: bytes) -> str:
        if self.refuses:
            self.refuses -= 1
            raise StoreRefused(28, "No space left on device")
        self.files[name] = data
        return name

    async def save_image(self, data: Pieces, asked: Asked, label: Label) -> SavedImage:
        self.journal.append("store.save_image")
        whole = b"".join(data)
        if whole.startswith(b"bad"):
            raise NotAnImage("bad")
        name = self._keep(f"images/{label.slug}-{label.attempt}-{label.image}.png", whole)
        digest = hashlib.sha256(whole).hexdigest()
        return SavedImage(label.image, name, "png", 1, 1, len(whole), digest)

    async def quarantine(self, label: Label, data: Iterable[bytes]) -> str:
        self.journal.append("store.quarantine")
        return self._keep(f"quarantine/{label.slug}-{label.attempt}.body", b"".join(data))

    def room_for(self, in_flight: int) -> str | None:
        self.journal.append("store.room_for")
        return self.full

    def release_reserve(self) -> None:
        self.released = True


@dataclass
class FakeLimiter:
    """Gives every permit at once."""

    journal: Journal
    permits: list[FakePermit] = field(default_factory=list)
    waiting_reason: str = ""
    known_rate_per_s: float | None = None

    def start(self) -> None:
        self.journal.append("limiter.start")

    async def permit(self, weight: Weight) -> FakePermit:
        self.journal.append("limiter.permit")
        self.permits.append(FakePermit())
        return self.permits[-1]

    def close_gate(self, seconds: float, reason: str) -> None:
        self.waiting_reason = reason

    def throttled(self, wait_s: float) -> None:
        self.journal.append("limiter.throttled")

    def admitted(self) -> None:
        self.journal.append("limiter.admitted")

    def heard(self, rates: Mapping[str, RateTold]) -> None:
        self.journal.append("limiter.heard")


@dataclass
class FakeBudget:
    """A number of requests, each of one dollar at worst."""

    journal: Journal
    requests: int = 1_000_000
    reserved_usd: float = 0.0
    spent_usd: float = 0.0

    def refusal(self, estimate: Estimate) -> str | None:
        self.journal.append("budget.refusal")
        return None if self.requests > 0 else "the budget is used up"

    def reserve(self, estimate: Estimate) -> float:
        self.journal.append("budget.reserve")
        self.requests -= 1
        self.reserved_usd += 1.0
        return 1.0

    def rejoin(self, reserved_usd: float) -> float:
        self.reserved_usd += reserved_usd
        return reserved_usd

    def settle(self, reserved_usd: float, *, cost_usd: float | None, maybe_billed: bool) -> None:
        self.journal.append("budget.settle")
        self.reserved_usd -= reserved_usd
        self.spent_usd += reserved_usd if maybe_billed else cost_usd or 0.0


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
    ending: Ending

    def engine(self) -> Engine:
        """To be made inside an event loop."""
        ports = Ports(self.source, self.road, self.log, self.store, self.limiter, self.budget)
        verdicts = Verdicts(RetryPolicy(), 0, Breaker())
        return Engine(
            ports,
            NextNumbers(0, 0, 0),
            ending=self.ending,
            verdicts=verdicts,
            prices=Prices(per_image=0.1),
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
        Ending(),
    )
