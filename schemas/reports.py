"""What a command reports before a run (`Plan`) and while it works (`Progress`). Field names are the JSON keys.

`RunPlan` and `RunEnd` are what listeners of a run hear of its start and its end; `Summary` has a module of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.manifest_diff import ManifestChanges

if TYPE_CHECKING:
    from schemas.summary import Summary


@dataclass(frozen=True, slots=True)
class RunWarning:
    """Something that a user should look at. kind: for programs, it never changes. rows: how many rows it is about."""

    kind: str
    message: str
    rows: int = 0


SIMULATED = "simulated"
"""The endpoint of whatever the simulator answers."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where a job's requests go.

    profile: the service's name, or the host of a base URL of the user's own. endpoint: the base URL, or `simulated`.
    model: sent for rows that name none. key_from: where the key was found, as in `.env (IMAGEMILL_API_KEY)`; "" where none
    is needed; None where there is none yet.
    """

    profile: str
    endpoint: str
    model: str
    key_from: str | None

    def __str__(self) -> str:
        if self.endpoint == SIMULATED:
            return f"{SIMULATED} (in place of {self.profile}), model {self.model}, no key needed"
        key = "no key yet" if self.key_from is None else f"key from {self.key_from}"
        return f"{self.endpoint}, model {self.model}, {key}"


@dataclass(frozen=True, slots=True)
class FailedImage:
    """A results row that failed, is parked or invalid, or waits for a reason. row: in the manifest, from 0."""

    row_id: str
    row: int
    image_index: int
    error_kind: str
    error_message: str | None


@dataclass(frozen=True, slots=True)
class CostRange:
    """USD. None where no price is known. source: where the prices come from, with their date."""

    low: float | None
    high: float | None
    source: str


@dataclass(frozen=True, slots=True)
class InvalidRow:
    """A row that cannot be sent. line: in its file, from 1 (of Parquet and DataFrames the row, from 0); None: unknown.

    column, value: what is wrong, where it is one column. message: all of it, with the fix.
    """

    line: int | None
    row_id: str
    column: str | None
    value: str | None
    message: str


@dataclass(frozen=True, slots=True)
class BudgetCover:
    """What is left of the budget. max_cost: USD, max_requests: both over the folder's life, as the job says.

    covers_images: of those still to make, in order, at the dearest that each may be; None where no price is known.
    """

    max_cost: float | None
    max_requests: int | None
    covers_images: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """`plan --json`. rows: manifest rows; images, requests: still to make and to send.

    done, invalid, parked: rows. duration_s: None when nothing bounds it. binding_limit: rpm, ipm, concurrency, …
    changes: against what the folder has sent; None where it has sent nothing. budget: None where there is none.
    invalid_rows: the first of them, or all where they were asked for.
    """

    rows: int
    images: int
    requests: int
    done: int
    invalid: int
    parked: int
    cost_usd: CostRange
    duration_s: float | None
    binding_limit: str
    warnings: tuple[RunWarning, ...] = ()
    changes: ManifestChanges | None = None
    service: Service | None = None
    budget: BudgetCover | None = None
    invalid_rows: tuple[InvalidRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at a running job; `on_progress` and the progress bar receive it a few times a second.

    Rows are counted beside the run. Until that is done (`total_known` False), `total_images` is what was read so far, and
    eta_s and projected_usd are None. total_images, done_images, failed_images, parked_images: of the manifest, earlier runs
    included; done_images are acknowledged ones. run_*: of this run alone.
    phase: `running`, or `draining` once nothing more is sent. stopping: what the user should know then, as a sentence.
    images_per_minute: lately (the newer half of the run, at most ten minutes of it).
    cost_usd: of this run, folder_cost_usd: of the folder's whole life, cost_per_minute: of this run. projected_usd: of this
    run when it is done, if what is left costs, of what it was estimated at, the share that this run's requests did. None:
    no price known. simulated: no money is real.
    waiting: why senders wait now, "" when they do not. given_up_images: parked because the user did not wait for them.
    manifest, out: what is read, and where to.
    """

    phase: str
    total_images: int
    total_known: bool
    done_images: int
    failed_images: int
    parked_images: int
    invalid_rows: int
    in_flight: int
    concurrency: int
    images_per_minute: float
    cost_usd: float | None
    elapsed_s: float
    eta_s: float | None
    waiting: str = ""
    cost_per_minute: float | None = None
    projected_usd: float | None = None
    notes: tuple[str, ...] = field(default=())
    run_done_images: int = 0
    run_failed_images: int = 0
    run_parked_images: int = 0
    requests_sent: int = 0
    folder_cost_usd: float | None = None
    simulated: bool = False
    stopping: str = ""
    given_up_images: int = 0
    manifest: str = ""
    out: str = ""

    @property
    def settled_images(self) -> int:
        """Images of which nothing more will come in this run: made, failed, parked, or of a row that cannot be sent."""
        return self.done_images + self.failed_images + self.parked_images + self.invalid_rows

    @property
    def percent(self) -> float | None:
        """How much of `total_images` is settled, from 0 to 100. None while the total is not known, or is 0."""
        if not (self.total_known and self.total_images):
            return None
        return 100 * min(self.settled_images, self.total_images) / self.total_images


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is known when a command's run starts, before any manifest is read.

    job: its name in metrics and messages. started_s: when the command began (Unix seconds).
    """

    job: str
    started_s: float


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a command's run ended. exit_code: of the process.

    summary: None when it ended by an error, or could not start. locked_out: that error was another run's lock.
    """

    exit_code: int
    exit_reason: str
    summary: Summary | None = None
    locked_out: bool = False
