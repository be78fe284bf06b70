"""What one attempt came to: saved images, indexes without an image, and what the service reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schemas.failures import Failure, FailureKind


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One image file, durable under its final name.

    index: which of the row's n, from 0. file_name: relative to OUT. sha256: hex, of the bytes as received.
    format: from the bytes (png, jpeg, webp, gif, svg). width, height: pixels; None for a vector image.
    flags: what differs from the request (`format_mismatch`, `size_mismatch`, …).
    """

    index: int
    file_name: str
    format: str
    width: int | None
    height: int | None
    bytes: int
    sha256: str
    revised_prompt: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MissingImage:
    """An image asked for that the answer did not yield; `revised_prompt` when the answer had one all the same."""

    index: int
    kind: FailureKind
    message: str
    revised_prompt: str | None = None


class Reported(NamedTuple):
    """What the service said about an attempt; None where it said nothing.

    created: Unix seconds. cost_usd: the service's own figure. Tokens from `usage`.
    """

    created: int | None = None
    request_id: str | None = None
    task_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


NOTHING_REPORTED = Reported()


class Task(NamedTuple):
    """An answer that the service has promised. poll_url: where to ask for it, when the service or a poll told."""

    task_id: str
    poll_url: str | None = None


@dataclass(frozen=True, slots=True)
class Success:
    """A whole, paid answer. `missing` lists indexes that have no image; `flags` concern the answer as a whole."""

    images: tuple[SavedImage, ...]
    missing: tuple[MissingImage, ...] = ()
    reported: Reported = NOTHING_REPORTED
    http_status: int = 200
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt without a usable image. `quarantined`: file below OUT that holds the paid body, if there is one."""

    failure: Failure
    reported: Reported = NOTHING_REPORTED
    quarantined: str | None = None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A task that is still being made when imagemill stops polling it; the next run goes on. kind: why it stopped."""

    kind: FailureKind
    message: str


Outcome = Success | Failed


ABSENT = -1
"""The item number of a row that the ledger does not know."""


PRUNED = "pruned"
"""Flag of an image whose file `prune` has removed."""


EDITED = "edited"
"""Flag of a row that shows its earlier version (`run.on_change = keep`)."""
