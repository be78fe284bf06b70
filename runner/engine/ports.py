"""All that the engine knows of the world. `runner.app.composition` fills these ports; tests fill them with fakes.

`RunListener` alone is not the engine's: `runner.app.listeners` calls it.

Imports `jobs` and `schemas` only. Each port has a contract suite in `tests/contracts`, run over every implementation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from jobs.cost import Estimate
from jobs.rate_headers import ReportedRate
from jobs.send_history import Weight
from jobs.work import Work
from schemas.artifacts import Label, RequestedFormat, SpoolNote
from schemas.attempt import Intent, Measured
from schemas.failures import RowStatus
from schemas.outcome import KeptBody, OpenWork, Outcome, SavedImage
from schemas.received import Pieces, Result
from schemas.reports import Progress, RunEnd, RunPlan
from schemas.row import Row


class AttemptLog(Protocol):
    """The durable record of attempts. Each coroutine returns when its record is on stable storage.

    Raises OSError when the record could not be written; nothing of it is kept then.
    """

    async def intend(self, intent: Intent) -> None:
        """An attempt is about to be sent; awaited before its first byte leaves."""

    async def accepted(self, attempt: int, task: OpenWork) -> None:
        """The service has promised a task for it, or made images that are to be fetched; awaited before the first poll
        or fetch."""

    async def still_open(self, attempt: int, why: str) -> None:
        """Polling its task has taken too long; the task stays open."""

    async def conclude(self, outcome: Outcome, status: RowStatus, measured: Measured) -> None:
        """The attempt has ended. Files that the outcome names are durable already.

        An outcome with `unfetched` is followed by others of the same attempt, each of which takes the place of the last.
        """

    async def spooled(self, attempt: int, file_name: str) -> None:
        """All of its answer is kept, some of it in this spool file; the next run concludes it."""


class StoreRefused(OSError):
    """The store did not take it, for now: the disk is full, or not there."""


class ArtifactStore(Protocol):
    """Images and quarantined bodies, by names relative to OUT. A name that was returned is durable.

    Raises StoreRefused when the store does not take it; nothing is left under the final name then.
    """

    async def save_image(self, data: Pieces, requested: RequestedFormat, label: Label) -> SavedImage:
        """Check an image and save it. Raises NotAnImage for bytes that are no whole image."""

    async def quarantine(self, label: Label, data: Iterable[bytes]) -> KeptBody:
        """Keep bytes that were paid for and cannot be used, readable by the user alone."""

    async def spool(self, label: Label, data: Iterable[bytes], note: SpoolNote) -> str:
        """Keep bytes that could not be saved where they belong, with what the next run needs to do that; the file's name.

        Raises NotAnImage for bytes that are neither a body nor a whole image.
        """

    def room_for(self, in_flight: int) -> str | None:
        """Why nothing more should be sent while so many requests are in flight; None when there is room."""

    def release_reserve(self) -> None:
        """Free the space that was set aside, so that what is in flight can still be saved on a full disk."""


class CancelSignal(Protocol):
    """Ends every wait for an answer."""

    def is_set(self) -> bool:
        """Whether it has been given."""

    def cancellable(self) -> AbstractAsyncContextManager[None]:
        """A block of one task that ends with TimeoutError when the signal is given."""


class Permit(Protocol):
    """Leave to send one request."""

    def sent(self, now: float) -> None:
        """The request left at `now` (seconds, the event loop's clock). Until then it counts, however long that takes."""

    def unused(self) -> None:
        """The request will not leave."""


Checkpoint = Callable[[OpenWork], Awaitable[None]]
"""Makes a task, or the URLs of images, durable. Awaited before the first poll or fetch."""


class Arrival(NamedTuple):
    """What a request came to, and the seconds it took."""

    result: Result
    latency_s: float


class Road(Protocol):
    """One way from a row to a result: online requests, a Batch API, another endpoint.

    capacity: rows that it can have under way; None: the engine's concurrency window decides.
    Memory that the result holds is given back at the end of the block.
    """

    @property
    def capacity(self) -> int | None:
        """See above."""

    def send(
        self, row: Row, permit: Permit, checkpoint: Checkpoint, cancel: CancelSignal
    ) -> AbstractAsyncContextManager[Arrival]:
        """Send the row, and wait for what comes of it.

        `cancel` ends the wait: a request that may have left is `Rejected` as ambiguous then, a task that the service has
        accepted is `Unfinished`.
        """

    def rejoin(
        self, row: Row, task: OpenWork, checkpoint: Checkpoint, cancel: CancelSignal
    ) -> AbstractAsyncContextManager[Arrival]:
        """Resume waiting for a task, or fetch images again; nothing is sent."""

    async def renew_key(self, left_at: float) -> bool:
        """The key of a request that left at `left_at` (seconds, the event loop's clock) was refused.

        Returns whether requests that leave from now on have another key. It is read again once for all senders.
        """


class RateLimiter(Protocol):
    """Says when a request may leave. No window of time ever holds more than the limits allow."""

    @property
    def waiting_reason(self) -> str:
        """Why senders wait now; "" when nothing holds them back."""

    @property
    def known_rate_per_s(self) -> float | None:
        """The lowest limit that the user gave, in requests or images a second; None without one."""

    def start(self) -> None:
        """The run begins; called inside the event loop, before the first permit."""

    async def permit(self, weight: Weight) -> Permit:
        """Wait until a request of this weight may leave; first come, first served."""

    def close_gate(self, seconds: float, reason: str) -> None:
        """Nobody sends for so long. A longer closure that is under way stays."""

    def throttled(self, wait_s: float) -> None:
        """The service refused a request for speed, and wants none for so long."""

    def admitted(self) -> None:
        """The service took a request."""

    def observe_rates(self, rates: Mapping[str, ReportedRate]) -> None:
        """Obey what an answer's headers say of the service's limits: they can only slow the run down."""


class Budget(Protocol):
    """Money and requests that may still be spent, over the folder's whole life. Amounts in USD."""

    def refusal(self, estimate: Estimate) -> str | None:
        """Why a request may not be sent now; None when it may."""

    def reserve(self, estimate: Estimate) -> float:
        """Count a request and set its estimate aside; the amount."""

    def rejoin(self, reserved_usd: float) -> float:
        """Set aside again what an earlier run had reserved for a task. Returns the amount."""

    def settle(self, reserved_usd: float, *, cost_usd: float | None, maybe_billed: bool) -> None:
        """Replace what was set aside by what the attempt cost; what may have been billed counts as spent."""


class RowSource(Protocol):
    """Rows to send, in the order of the manifest, tasks of earlier runs first."""

    async def next(self) -> Work | None:
        """The next row to send; None at the end. Safe to cancel and call again."""

    async def has_next(self) -> bool:
        """Whether there is any row left to send."""

    async def close(self) -> None:
        """Wait for what is being read, if anything."""


class RunListener(Protocol):
    """Hears of one command's run: a progress bar, a metrics file, a message to somebody.

    In this order: `started` once, `progress` any number of times, `finished` once. A run that could not start has
    `finished` alone. `runner.app.listeners` calls all three in a thread of this listener's own, so they may block. What
    they raise is a warning; the run goes on.
    """

    @property
    def label(self) -> str:
        """How a warning about it begins: the option, setting or file."""

    @property
    def under_lock(self) -> bool:
        """Whether the job's lock is held until it has heard the end, because the job's next run writes to the same place.

        False for what may hang on a network: it is waited for when the lock is free.
        """

    def started(self, plan: RunPlan) -> None:
        """The command may run: it has its job's lock, though not yet that of a folder."""

    def progress(self, progress: Progress) -> None:
        """A look at the folder that is worked on, a few times a second; after a slow call the next one is the newest.

        Counts of images and rows, money and time never fall within a folder. A job that is run night after night may
        finish an earlier night's folder first; the figures begin anew with the next folder.
        """

    def finished(self, end: RunEnd) -> None:
        """The run is over, also when it failed or was cut."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What one engine drives."""

    source: RowSource
    road: Road
    log: AttemptLog
    store: ArtifactStore
    limiter: RateLimiter
    budget: Budget
