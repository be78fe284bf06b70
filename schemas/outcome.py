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


@dataclass(frozen=True, slots=True)
class Task:
    """An answer that the service has promised. poll_url: where to poll it, if the service gave a URL."""

    task_id: str
    poll_url: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """An image behind a URL, not fetched yet.

    position: among the images of its answer. gone_ms: when its host first said that it is not there (Unix ms); None: never.
    kind, message: why it was not fetched.
    """

    position: int
    url: str
    revised_prompt: str | None = None
    gone_ms: int | None = None
    kind: FailureKind = FailureKind.DOWNLOAD
    message: str = "the image is made and not fetched yet; the next run fetches it without paying"


@dataclass(frozen=True, slots=True)
class Unfetched:
    """Images that a paid answer has behind URLs, to be fetched without paying, by this run or a later one.

    count: images that the answer holds; more: others that are not taken. since_ms: when it came (Unix ms).
    saved: how many of its images are recorded; None while the attempt has no outcome.
    """

    links: tuple[Link, ...]
    count: int
    more: int
    http_status: int
    reported: Reported
    since_ms: int
    saved: int | None = None


OpenWork = Task | Unfetched
"""What goes on without a request: a task to be polled, or images to be fetched."""


@dataclass(frozen=True, slots=True)
class KeptBody:
    """A quarantined body, durable. file_name: relative to OUT. sha256: hex, of the bytes as they were kept."""

    file_name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Success:
    """A whole, paid answer. `missing` lists indexes that have no image; `flags` concern the answer as a whole.

    made: images that the answer held, where they are more than those kept.
    quarantined: the body, where something in it is no image. unfetched: the images that are still to be fetched.
    `images` are the new ones: those of an earlier outcome of the same attempt stay.
    """

    images: tuple[SavedImage, ...]
    missing: tuple[MissingImage, ...] = ()
    reported: Reported = NOTHING_REPORTED
    http_status: int = 200
    flags: tuple[str, ...] = ()
    made: int = 0
    quarantined: KeptBody | None = None
    unfetched: Unfetched | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt without a usable image. quarantined: the paid body, if there is one.

    unfetched: images that it has all the same, and that are still to be fetched.
    """

    failure: Failure
    reported: Reported = NOTHING_REPORTED
    quarantined: KeptBody | None = None
    unfetched: Unfetched | None = None


@dataclass(frozen=True, slots=True)
class Spooled:
    """A paid answer that is kept, though not where it belongs: the next run makes its outcome from the spool file.

    file_name: the spool file, relative to OUT.
    """

    file_name: str


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


BLANK = "blank_image"
"""Flag of a picture of one colour."""


DUPLICATE = "duplicate_image"
"""Flag of a picture that is there more than once, byte for byte."""
