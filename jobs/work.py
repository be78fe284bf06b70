"""One row to send, as it goes round: from the manifest into flight, and back into the queue while it may be sent again."""

from __future__ import annotations

from typing import NamedTuple

from jobs.retry import History
from schemas.attempt import OpenTask
from schemas.row import Row

FIRST = History()
"""The history of a row that has not been sent in this run."""


class Work(NamedTuple):
    """One row to send. item: its number in the ledger, None while it has none. history: its failures in this run.

    indexes: which of the row's images the request is for; None means all. task: sent already, to be polled or fetched.
    rounds: how often its images could not be fetched in this run; waits_since: the first time (the event loop's clock).
    """

    row: Row
    item: int | None
    history: History = FIRST
    indexes: tuple[int, ...] | None = None
    task: OpenTask | None = None
    rounds: int = 0
    waits_since: float = 0.0
