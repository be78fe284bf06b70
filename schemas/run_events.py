"""What a run notes of itself while it goes on, for its log: rows that failed, and changes of pace."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.failures import FailureKind, RowStatus


@dataclass(frozen=True, slots=True)
class RowFailed:
    """A row has come to rest without all of its images. row: in the manifest, from 0; -1: that is not known.

    status: failed or parked; pending for images that are fetched by the next run.
    """

    row_id: str
    row: int
    attempt: int
    status: RowStatus
    kind: FailureKind
    message: str
    code: str | None = None
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class PaceChanged:
    """All senders wait, and go on more slowly. wait_s: seconds. concurrency: requests that may be in flight then."""

    reason: str
    wait_s: float
    concurrency: int


RunEvent = RowFailed | PaceChanged
