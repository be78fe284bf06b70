"""Attempts as values: what is recorded before a request leaves, what is known when it ends, and tasks still open."""

from __future__ import annotations

from typing import NamedTuple

from schemas.outcome import OpenWork
from schemas.row import Row


class NextNumbers(NamedTuple):
    """The run's own number, and the first attempt and item numbers that it may use."""

    run: int
    attempt: int
    item: int


class Intent(NamedTuple):
    """An attempt that is about to be sent. fresh: the row has no item number in the ledger yet.

    sent_ms: Unix milliseconds. reserved_usd: set aside in the budget, None where no price is known.
    indexes: which of the row's images it asks for; None means all.
    """

    attempt: int
    item: int
    run: int
    row: Row
    sent_ms: int
    reserved_usd: float | None
    fresh: bool
    indexes: tuple[int, ...] | None = None


class Measured(NamedTuple):
    """What imagemill itself knows of an ended attempt. cost_usd None: unpaid, or no price known."""

    attempt: int
    finished_ms: int
    latency_s: float | None
    cost_usd: float | None = None
    cost_estimated: bool = False


class OpenTask(NamedTuple):
    """An attempt that goes on without a request: a task that had not ended, or images that were not fetched.

    row: as it was sent. indexes: which of the row's images it makes; None means all. reserved_usd: set aside for it, or
    counted as spent on it. waited: polling it has taken too long once. endpoint: where it is being made; other_endpoint:
    that was not the folder's own service, but one that a retry named. resumed: it was sent by an earlier run.
    """

    attempt: int
    item: int
    row: Row
    task: OpenWork
    indexes: tuple[int, ...] | None
    reserved_usd: float
    waited: bool
    endpoint: str
    other_endpoint: bool
    resumed: bool = True
