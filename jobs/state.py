"""The states of a row, folded from its attempts.

A row has no state of its own: it has attempts, and each attempt has at most one outcome. Folding them gives, for every
image that was asked for, the newest success if there is one, and otherwise what the newest attempt came to:

    no attempt                      -> pending
    newest outcome `succeeded`      -> succeeded, image by image; an index the answer lacked is `failed`
    any older success of an index   -> succeeded (a success is never hidden by a later failure)
    newest outcome `failed`         -> failed     (final: sent again only by `retry`)
    newest outcome `parked`         -> parked     (may have been paid for: sent again only when asked by name)
    newest outcome `pending`        -> pending    (safe: the next run sends it)
    an image still to be fetched    -> pending    (paid for: the next run fetches it)
    an index beyond those asked for -> pending    (a larger `n`: the next run asks for it) once the row has a success;
                                       otherwise what the newest attempt came to
    newest attempt without outcome  -> pending while its run lives (it is in flight); afterwards parked, or, when it is
                                       a task that is still being made, pending until polling it has taken too long;
                                       pending also where its answer is in a spool file, from which the next run takes it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from schemas.failures import FailureKind, RowStatus
from schemas.outcome import NOTHING_REPORTED, Link, MissingImage, Reported, SavedImage

_BEYOND = 1000
"""First index of extra images, where the request was for some of a row's images only."""


class AttemptRecord(NamedTuple):
    """One attempt as the ledger holds it. `status` None: no outcome. Times in Unix milliseconds.

    task: the service promised an answer. waited: why polling it ended before the task did; None when it did not.
    spooled: the spool file that holds its answer; None for none. links: its images that are still to be fetched.
    prompt: as sent, where it was not the row's own. indexes: which of the row's images it asked for; None: all.
    """

    attempt: int
    item: int
    params: Mapping[str, Any]
    n: int
    sent_ms: int
    endpoint: str
    live: bool
    status: RowStatus | None = None
    finished_ms: int | None = None
    kind: FailureKind | None = None
    code: str | None = None
    message: str | None = None
    http_status: int | None = None
    maybe_billed: int = 0
    cost_usd: float | None = None
    cost_estimated: bool = False
    reported: Reported = NOTHING_REPORTED
    latency_s: float | None = None
    flags: tuple[str, ...] = ()
    images: tuple[SavedImage, ...] = ()
    missing: tuple[MissingImage, ...] = ()
    task: bool = False
    waited: str | None = None
    prompt: str | None = None
    indexes: tuple[int, ...] | None = None
    spooled: str | None = None
    links: tuple[Link, ...] = ()

    def asked_for(self, index: int) -> bool:
        """Whether it asked for this image of the row."""
        return index < self.n if self.indexes is None else index in self.indexes

    @property
    def reach(self) -> int:
        """One more than the highest index that it asked for."""
        return self.n if self.indexes is None else max(self.indexes, default=-1) + 1

    def link(self, index: int) -> Link | None:
        """The link to this image of the row; None where it is not to be fetched."""
        return next((link for link in self.links if image_index(link.position, self.indexes) == index), None)


@dataclass(frozen=True, slots=True)
class ImageState:
    """What became of one image of a row: the attempt that decided it, and its file where there is one.

    try_number: which of the row's attempts that is, from 1; None without one.
    """

    status: RowStatus
    attempt: AttemptRecord | None
    image: SavedImage | None = None
    kind: FailureKind | None = None
    message: str | None = None
    revised_prompt: str | None = None
    try_number: int | None = None


def image_index(position: int, indexes: tuple[int, ...] | None) -> int:
    """Index among the row's images of the image at this position of the answer; extra images come last.

    indexes: which of the row's images were asked for; None: all.
    """
    if indexes is None:
        return position
    return indexes[position] if position < len(indexes) else _BEYOND + position


_NOT_ASKED_FOR = "not asked for yet: the row was sent for fewer images"


class RowState(NamedTuple):
    """A row's images in index order, and what its attempts add up to. cost_usd: None when nothing is known of it."""

    images: tuple[ImageState, ...]
    attempts: int = 0
    maybe_billed: int = 0
    cost_usd: float | None = None


def fold(attempts: Sequence[AttemptRecord], n: int) -> RowState:
    """The state of a row that asks for `n` images. attempts: oldest first."""
    if not attempts:
        return RowState((ImageState(RowStatus.PENDING, None, kind=FailureKind.STOPPED),) * n)
    last = attempts[-1]
    newest: dict[int, ImageState] = {}
    for number, attempt in enumerate(attempts, 1):
        for image in attempt.images:
            newest[image.index] = ImageState(
                RowStatus.SUCCEEDED, attempt, image, revised_prompt=image.revised_prompt, try_number=number
            )
    images = tuple(newest.get(i) or _lacking(attempts, i) for i in range(n))
    costs = [attempt.cost_usd for attempt in attempts if attempt.cost_usd is not None]
    return RowState(
        images,
        attempts=len(attempts),
        maybe_billed=sum(attempt.maybe_billed for attempt in attempts) + _lost(last),
        cost_usd=sum(costs) if costs else None,
    )


def _lacking(attempts: Sequence[AttemptRecord], index: int) -> ImageState:
    """What the newest attempt that asked for this image came to."""
    offset = next((at for at in reversed(range(len(attempts))) if attempts[at].asked_for(index)), -1)
    if offset < 0 and any(attempt.images for attempt in attempts):
        return ImageState(RowStatus.PENDING, None, kind=FailureKind.STOPPED, message=_NOT_ASKED_FOR)
    last = attempts[offset]
    absent = next((absent for absent in last.missing if absent.index == index), None)
    spooled = last.status is None and last.spooled is not None  # fetched already
    if (link := last.link(index)) is not None and not spooled:
        waiting = ImageState(RowStatus.PENDING, last, None, link.kind, link.message, link.revised_prompt)
        return replace(waiting, try_number=offset % len(attempts) + 1)
    return replace(_without_image(last, absent), try_number=offset % len(attempts) + 1)


def _without_image(last: AttemptRecord, absent: MissingImage | None) -> ImageState:
    if absent is not None:
        return ImageState(
            RowStatus.FAILED, last, None, absent.kind, absent.message, revised_prompt=absent.revised_prompt
        )
    if last.status is None:
        if last.live:
            return ImageState(RowStatus.PENDING, last)
        if last.spooled is not None:
            message = f"paid for and kept in {last.spooled}: this machine refused its place; the next run puts it there"
            return ImageState(RowStatus.PENDING, last, None, FailureKind.LOCAL, message)
        if last.task and last.waited is not None:
            return ImageState(RowStatus.PARKED, last, None, FailureKind.TASK_TIMEOUT, last.waited)
        if last.task:
            message = "the service is still making it; the next run asks for it"
            return ImageState(RowStatus.PENDING, last, None, FailureKind.STOPPED, message)
        return ImageState(
            RowStatus.PARKED,
            last,
            None,
            FailureKind.INTERRUPTED,
            "imagemill ended before an answer was kept",
        )
    if last.status is RowStatus.SUCCEEDED:
        return ImageState(
            RowStatus.FAILED, last, None, FailureKind.BAD_CONTENT, "not in the service's answer"
        )
    return ImageState(last.status, last, None, last.kind, last.message)


def _lost(last: AttemptRecord) -> int:
    return 1 if last.status is None and not last.live else 0
