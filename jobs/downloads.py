"""Images behind URLs: which of them are dead, and when the others are fetched again. Fetching is free."""

from __future__ import annotations

from dataclasses import replace

from schemas.failures import Failure, FailureKind
from schemas.outcome import Link

GONE = frozenset({403, 404, 410})
"""Statuses of a URL whose image is not there, or no longer."""
GONE_TWICE_MS = 3_600_000
"""An image that is not there at two moments so far apart does not come back."""
OLD_MS = 86_400_000
"""No signed URL is good for longer."""
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0


def after_failure(link: Link, failure: Failure, *, since_ms: int, now_ms: int) -> Link | None:
    """The link as it is kept after a fetch that failed; None where it is dead.

    A URL that imagemill must not go to has not been tried, and so cannot be dead.

    Args:
        since_ms: when the answer came that held the link, as `now_ms` in Unix milliseconds.
    """
    kept = replace(link, kind=failure.kind, message=failure.message)
    if failure.kind is FailureKind.DOWNLOAD_REFUSED:
        return kept
    gone_ms = link.gone_ms
    if failure.http_status in GONE:
        if gone_ms is not None and now_ms - gone_ms >= GONE_TWICE_MS:
            return None
        gone_ms = now_ms if gone_ms is None else gone_ms
    return None if now_ms - since_ms >= OLD_MS else replace(kept, gone_ms=gone_ms)


def pause_s(rounds: int, waited_s: float, patience_s: float) -> float | None:
    """Seconds until the next round of a run; None when the next run goes on.

    Args:
        rounds: rounds that brought nothing, from 1.
        waited_s: seconds since the first of them.
        patience_s: seconds for which a run goes on trying.
    """
    if waited_s >= patience_s:
        return None
    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (min(rounds, 10) - 1))
    return min(pause, patience_s - waited_s)
