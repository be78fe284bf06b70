"""What is still to do: rows of the manifest that are not settled, or that a retry chose, and attempts that wait."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from jobs.retry import History
from jobs.rows import part
from runner.ledger.completion_cache import DoneMap
from runner.ledger.item_index import Gap, ItemIndex
from runner.ledger.open_tasks import OpenTask
from runner.planning.row_stream import Intake, RowBatch
from runner.planning.version_pins import Standing
from schemas.failures import RowStatus
from schemas.outcome import ABSENT
from schemas.row import Row, RowProblem

FIRST = History()
"""The history of a row that has not been sent in this run."""


class Work(NamedTuple):
    """One row to send. item: its number in the ledger, None while it has none. history: its failures in this run.

    indexes: which of the row's images the request is for; None means all. task: sent by an earlier run, to be polled.
    """

    row: Row
    item: int | None
    history: History = FIRST
    indexes: tuple[int, ...] | None = None
    task: OpenTask | None = None


class Again(Protocol):
    """Which rows `retry` sends, and as what."""

    def work(self, batch: RowBatch, place: int, row: Row, item: int) -> Work | None:
        """What is sent of one of the batch's rows; None when nothing is."""
        ...


@dataclass
class Tally:
    """What has been read of the manifest so far, in images. `complete`: all of it."""

    rows: int = 0
    images: int = 0
    done: int = 0
    failed: int = 0
    parked: int = 0
    invalid: int = 0
    complete: bool = False

    @property
    def to_make(self) -> int:
        """Images of rows that were to be sent when they were read."""
        return self.images - self.done - self.failed - self.parked - self.invalid


class Source:
    """Tasks of earlier runs, then rows of the manifest that are pending; reads ahead by one batch in a thread.

    tasks: polled, whichever rows are sent. done: rows to pass over; index must know of it too. again: chooses the rows
    instead of their status. held: items that are neither sent nor polled here.
    standing: items of earlier versions that stand for edited rows, which are not sent.
    """

    def __init__(
        self,
        intake: Intake,
        index: ItemIndex,
        tasks: Sequence[OpenTask] = (),
        done: DoneMap | None = None,
        standing: Standing | None = None,
        again: Again | None = None,
        held: frozenset[int] = frozenset(),
    ) -> None:
        self._standing = standing or Standing()
        self._again = again
        waiting = [Work(task.row, task.item, FIRST, task.indexes, task) for task in tasks]
        self._polled = {work.item for work in waiting} | held
        self._batches: Iterator[RowBatch] = intake.batches(done)
        self._index = index
        self._ready: Iterator[Work] = iter(waiting)
        self._next: asyncio.Task[tuple[list[Work], Tally] | None] | None = None
        self.tally = Tally() if done is None else Tally(done.rows, done.images, done.images)
        self.warnings: dict[str, None] = {}

    async def next(self) -> Work | None:
        """The next row to send; None at the end of the manifest. Safe to cancel and call again."""
        while True:
            for work in self._ready:
                return work
            if self.tally.complete:
                return None
            if self._next is None:
                self._next = asyncio.create_task(asyncio.to_thread(self._read))
            found = await asyncio.shield(self._next)
            self._next = None
            if found is None:
                self.tally.complete = True
                return None
            self._take(*found)

    async def anything(self) -> bool:
        """Whether there is any row to send. Reads the manifest up to the first such row."""
        work = await self.next()
        if work is not None:
            self._ready = itertools.chain((work,), self._ready)
        return work is not None

    async def close(self) -> None:
        """Wait for the batch that is being read, if any."""
        if self._next is not None:
            await asyncio.wait([self._next])

    def _take(self, works: list[Work], tally: Tally) -> None:
        for work in works:
            for warning in work.row.warnings:
                if len(self.warnings) < 100:
                    self.warnings.setdefault(warning)
        total = self.tally
        self.tally = Tally(
            total.rows + tally.rows,
            total.images + tally.images,
            total.done + tally.done,
            total.failed + tally.failed,
            total.parked + tally.parked,
            total.invalid + tally.invalid,
        )
        self._ready = iter(works)

    def _read(self) -> tuple[list[Work], Tally] | None:
        batch = next(self._batches, None)
        if batch is None:
            return None
        rows, items, kept = self._standing.settle(batch.rows, self._index.items(batch.rows))
        statuses = self._index.statuses(items)
        works: list[Work] = []
        tally = Tally(rows=len(rows))
        for place, (row, item, status) in enumerate(zip(rows, items, statuses, strict=True)):
            if isinstance(row, RowProblem):
                count(tally, row, status)
            elif item in self._polled:
                tally.images += row.request.n
            elif place not in kept and (work := self._chosen(batch, place, row, item, status)) is not None:
                tally.images += row.request.n
                tally.done += row.request.n - work.row.request.n
                works.append(work)
            else:
                count(tally, row, status, self._index.gaps.get(item))
        return works, tally

    def _chosen(self, batch: RowBatch, place: int, row: Row, item: int, status: RowStatus) -> Work | None:
        """What is sent of this row; None when nothing is."""
        if self._again is not None:
            return self._again.work(batch, place, row, item)
        gap = self._index.gaps.get(item)
        if (status if gap is None else gap.status) is not RowStatus.PENDING:
            return None
        if gap is not None:
            return Work(part(row, gap.indexes), item, FIRST, gap.indexes)
        return Work(row, None if item == ABSENT else item)


def count(tally: Tally, row: Row | RowProblem, status: RowStatus, gap: Gap | None = None) -> None:
    """Add one row that is not sent to the tally. gap: what it lacks, if it succeeded in part."""
    if isinstance(row, RowProblem):
        tally.images += 1
        tally.invalid += 1
        return
    n = row.request.n
    tally.images += n
    if status is RowStatus.SUCCEEDED:
        lacks = 0 if gap is None else min(n, len(gap.indexes))
        tally.done += n - lacks
        tally.failed += lacks
    elif status is RowStatus.FAILED:
        tally.failed += n
    elif status is RowStatus.PARKED:
        tally.parked += n


class Waiting:
    """Rows that wait for their next attempt. They hold no slot and no permit."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Work]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, work: Work, not_before: float) -> None:
        """Wait until this time (seconds, the event loop's clock)."""
        heapq.heappush(self._heap, (not_before, next(self._order), work))

    def due(self, now: float) -> Work | None:
        """A row whose time has come, earliest first."""
        if self._heap and self._heap[0][0] <= now:
            return heapq.heappop(self._heap)[2]
        return None

    def next_due(self) -> float | None:
        """When the earliest row's time comes; None when none waits."""
        return self._heap[0][0] if self._heap else None


def with_history(work: Work, item: int, history: History) -> Work:
    """The same row for its next attempt."""
    return Work(work.row, item, history, work.indexes, work.task)
