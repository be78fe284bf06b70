"""What a command reports at its end (`Summary`, `Plan`) and while it works (`Progress`). Field names are the JSON keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.failures import RowStatus
from schemas.manifest_diff import Changes


@dataclass(frozen=True, slots=True)
class Summary:
    """`run --json`, `status --json` and OUT/summary.json.

    by_status, by_error: counts of results rows (one an image asked for). rows: manifest rows. images: images asked for.
    requests_sent, images_saved, maybe_billed, cost_usd: over the whole life of the folder.
    duration_s: of this run. next: the command to type next. removed: rows sent earlier that the manifest no longer holds.
    """

    run_id: str
    out: str
    rows: int
    images: int
    by_status: dict[str, int]
    by_error: dict[str, int]
    requests_sent: int
    images_saved: int
    maybe_billed: int
    cost_usd: float | None
    duration_s: float
    exit_code: int
    exit_reason: str
    next: str
    removed: int = 0


@dataclass(frozen=True, slots=True)
class CostRange:
    """USD. None where no price is known. source: where the prices come from, with their date."""

    low: float | None
    high: float | None
    source: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`plan --json`. rows: manifest rows; images, requests: still to make and to send.

    done, invalid, parked: rows. duration_s: None when nothing bounds it. binding_limit: rpm, ipm, concurrency, …
    changes: against what the folder has sent; None where it has sent nothing.
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
    warnings: tuple[str, ...] = ()
    changes: Changes | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at a running job; `on_progress` and the progress bar receive it a few times a second.

    total_images: images asked for by the rows read so far, plus `total_known` False until the whole manifest is read.
    done_images: acknowledged images, earlier runs included. waiting: why senders wait now, "" when they do not.
    cost_usd: spent so far in this folder (None: no price known). cost_per_minute: of this run. projected_usd: when all is
    done, if what is left costs what this run's images did. Both, and eta_s, are None until they can be told.
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


@dataclass
class Counts:
    """What the table holds. by_status, by_error: results rows. rows: manifest rows; images: results rows in all.

    removed: rows that were sent earlier and that the manifest no longer holds.
    """

    rows: int = 0
    images: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    by_error: Counter[str] = field(default_factory=Counter)
    removed: int = 0

    def succeeded(self, images: int, rows: int) -> None:
        """Count rows with nothing but successes."""
        self.rows += rows
        self.images += images
        if images:
            self.by_status[RowStatus.SUCCEEDED.value] += images

    def add(self, values: Sequence[Mapping[str, Any]]) -> None:
        """Count one manifest row's results rows."""
        self.rows += 1
        self.images += len(values)
        for value in values:
            self.by_status[value["status"]] += 1
            if value.get("error_kind"):
                self.by_error[value["error_kind"]] += 1
