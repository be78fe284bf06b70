"""The ports as fakes in memory. Each passes the contract suite of its port (`tests/contracts`).

`tests/support/world.py` gives an engine over all of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from jobs.cost import Estimate
from jobs.rate_headers import ReportedRate
from jobs.send_history import Weight
from jobs.work import Work
from runner.engine.ports import Arrival, CancelSignal, Checkpoint, Permit, StoreRefused
from schemas.artifacts import Label, NotAnImage, RequestedFormat, SpoolNote
from schemas.attempt import Intent, Measured
from schemas.failures import RowStatus
from schemas.outcome import KeptBody, OpenWork, Outcome, SavedImage, Unfetched
from schemas.received import Pieces, Received, ReceivedImage, Result
from schemas.reports import Progress, RunEnd, RunPlan
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

    def verbatim(self) -> Iterator[bytes]:
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

    async def has_next(self) -> bool:
        return bool(self.works)

    async def close(self) -> None:
        self.journal.append("source.close")


@dataclass
class FakePermit:
    """Notes when the request left, or that it will not."""

    left: list[float] = field(default_factory=list)
    given_back: bool = False

    def sent(self, now: float) -> None:
        self.left.append(now)

    def unused(self) -> None:
        self.given_back = True


@dataclass
class FakeRoad:
    """Answers each row as `answer` says, in order of its tries. tasks: made durable before the answer."""

    journal: Journal
    answer: Callable[[Row, int], Result]
    tasks: Mapping[str, OpenWork] = field(default_factory=dict)
    capacity: int | None = None
    keys: int = 0
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
        self, row: Row, task: OpenWork, checkpoint: Checkpoint, cancel: CancelSignal
    ) -> AsyncIterator[Arrival]:
        self.journal.append("road.rejoin")
        result = self.answer(row, 0)
        if isinstance(task, Unfetched) and isinstance(result, Received):
            links = {link.position: link for link in task.links}
            items = (replace(result.items[position], link=link) for position, link in links.items())
            result = replace(result, items=tuple(items), unfetched=task)
        yield Arrival(result, 0.5)

    async def renew_key(self, left_at: float) -> bool:
        self.journal.append("road.renew_key")
        self.keys -= 1
        return self.keys >= 0


@dataclass
class FakeLog:
    """Records in memory. refuses: so many records fail first, as on a full disk."""

    journal: Journal
    refuses: int = 0
    intents: list[Intent] = field(default_factory=list)
    tasks: dict[int, OpenWork] = field(default_factory=dict)
    waits: list[int] = field(default_factory=list)
    spools: dict[int, str] = field(default_factory=dict)
    outcomes: dict[int, tuple[Outcome, RowStatus, Measured]] = field(default_factory=dict)

    def _record(self, what: str) -> None:
        self.journal.append(what)
        if self.refuses:
            self.refuses -= 1
            raise OSError(28, "No space left on device")

    async def intend(self, intent: Intent) -> None:
        self._record("log.intend")
        self.intents.append(intent)

    async def accepted(self, attempt: int, task: OpenWork) -> None:
        self._record("log.accepted")
        self.tasks[attempt] = task

    async def still_open(self, attempt: int, why: str) -> None:
        self._record("log.still_open")
        self.waits.append(attempt)

    async def spooled(self, attempt: int, file_name: str) -> None:
        self._record("log.spooled")
        self.spools[attempt] = file_name

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
    spool_refuses: bool = False
    spooled: list[tuple[Label, bytes, SpoolNote]] = field(default_factory=list)
    released: bool = False

    def _keep(self, name: str, data: bytes) -> str:
        if self.refuses:
            self.refuses -= 1
            raise StoreRefused(28, "No space left on device")
        self.files[name] = data
        return name

    async def save_image(self, data: Pieces, requested: RequestedFormat, label: Label) -> SavedImage:
        self.journal.append("store.save_image")
        whole = b"".join(data)
        if whole.startswith(b"bad"):
            raise NotAnImage("bad")
        name = self._keep(f"images/{label.slug}-{label.attempt}-{label.image}.png", whole)
        digest = hashlib.sha256(whole).hexdigest()
        return SavedImage(label.image, name, "png", 1, 1, len(whole), digest)

    async def quarantine(self, label: Label, data: Iterable[bytes]) -> KeptBody:
        self.journal.append("store.quarantine")
        whole = b"".join(data)
        name = self._keep(f"quarantine/{label.slug}-{label.attempt}.body", whole)
        return KeptBody(name, len(whole), hashlib.sha256(whole).hexdigest())

    async def spool(self, label: Label, data: Iterable[bytes], note: SpoolNote) -> str:
        self.journal.append("store.spool")
        if self.spool_refuses:
            raise StoreRefused(28, "No space left on device")
        self.spooled.append((label, b"".join(data), note))
        return "quarantine/spool-0.tar"

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

    def observe_rates(self, rates: Mapping[str, ReportedRate]) -> None:
        self.journal.append("limiter.observe_rates")


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
class FakeListener:
    """Notes what it hears. raises: it does so each time. stuck: each look waits for it."""

    journal: Journal
    raises: Exception | None = None
    stuck: threading.Event | None = None
    under_lock: bool = True
    label: str = "a fake"
    looks: list[Progress] = field(default_factory=list)
    ends: list[RunEnd] = field(default_factory=list)

    def _hear(self, what: str) -> None:
        self.journal.append(f"listener.{what}")
        if self.raises is not None:
            raise self.raises

    def started(self, plan: RunPlan) -> None:
        self._hear("started")

    def progress(self, progress: Progress) -> None:
        self.looks.append(progress)
        if self.stuck is not None:
            self.stuck.wait()
        self._hear("progress")

    def finished(self, end: RunEnd) -> None:
        self.ends.append(end)
        self._hear("finished")
