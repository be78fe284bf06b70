"""The states of a row, folded from its attempts.

A row has no state of its own: it has attempts, and each attempt has at most one outcome. Folding them gives, for every
image that was asked for, the newest success if there is one, and otherwise what the newest attempt came to:

    no attempt                      -> pending
    newest outcome `succeeded`      -> succeeded, image by image; an index the answer lacked is `failed`
    any older success of an index   -> succeeded (a success is never hidden by a later failure)
    newest outcome `failed`         -> failed     (final: sent again only by `retry`)
    newest outcome `parked`         -> parked     (may have been paid for: sent again only when asked by name)
    newest outcome `pending`        -> pending    (safe: the next run sends it)
    newest attempt without outcome  -> pending while its run lives (it is in flight); afterwards parked, or, when it is
                                       a task that is still being made, pending until polling it has taken too long
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from schemas.failures import FailureKind, RowStatus
from schemas.outcome import NOTHING_REPORTED, MissingImage, Reported, SavedImage


class AttemptRecord(NamedTuple):
    """One attempt as the ledger holds it. `status` None: no outcome. Times in Unix milliseconds.

    task: the service promised an answer. waited: why polling it ended before the task did; None when it did not.
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

    def asked_for(self, index: int) -> bool:
        """Whether it asked for this image of the row."""
        return self.indexes is None or index in self.indexes


@dataclass(frozen=True, slots=True)
class ImageState:
    """What became of one image of a row: the attempt that tells it, and its file where there is one.

    try_number: which of the row's attempts that is, from 1; None without one.
    """

    status: RowStatus
    attempt: AttemptRecord | None
    image: SavedImage | None = None
    kind: FailureKind | None = None
    message: str | None = None
    revised_prompt: str | None = None
    try_number: int | None = None


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
    place = next((at for at in reversed(range(len(attempts))) if attempts[at].asked_for(index)), -1)
    last = attempts[place]
    absent = next((absent for absent in last.missing if absent.index == index), None)
    return replace(_without_image(last, absent), try_number=place % len(attempts) + 1)


def _without_image(last: AttemptRecord, absent: MissingImage | None) -> ImageState:
    if absent is not None:
        return ImageState(
            RowStatus.FAILED, last, None, absent.kind, absent.message, revised_prompt=absent.revised_prompt
        )
    if last.status is None:
        if last.live:
            return ImageState(RowStatus.PENDING, last)
        if last.task and last.waited is not None:
            return ImageState(RowStatus.PARKED, last, None, FailureKind.TASK_TIMEOUT, last.waited)
        if last.task:
            message = "the service is still making it; the next run asks for it"
            return ImageState(RowStatus.PENDING, last, None, FailureKind.STOPPED, message)
        return ImageState(
            RowStatus.PARKED,
            last,
            None,
            FailureKind.DISCONNECTED,
            "imagemill ended before an answer was kept",
        )
    if last.status is RowStatus.SUCCEEDED:
        return ImageState(
            RowStatus.FAILED, last, None, FailureKind.BAD_CONTENT, "not in the service's answer"
        )
    return ImageState(last.status, last, None, last.kind, last.message)


def _lost(last: AttemptRecord) -> int:
    return 1 if last.status is None and not last.live else 0
