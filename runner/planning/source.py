"""The rows to send: open tasks of earlier runs first, then rows of the manifest that are pending or that a retry chose."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from jobs.rows import partial_row
from jobs.work import FIRST, Work
from runner.ledger.item_index import Gap, ItemIndex
from runner.manifest.records import ManifestError
from runner.planning.row_stream import RowBatch, RowStream
from runner.planning.version_pins import VersionPins
from schemas.attempt import OpenTask
from schemas.errors import ExitCode, Reason
from schemas.failures import RowStatus
from schemas.outcome import ABSENT
from schemas.row import Row, RowProblem


class RowChooser(Protocol):
    """Chooses the rows that a retry sends."""

    def work(self, batch: RowBatch, index: int, row: Row, item: int) -> Work | None:
        """What is sent of one of the batch's rows; None when nothing is. index: of the row in the batch."""
        ...


@dataclass
class Tally:
    """Counts of the manifest so far, in images, as the folder was when the run began; rows: in rows.

    complete: the whole manifest has been read.
    """

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

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.rows + other.rows,
            self.images + other.images,
            self.done + other.done,
            self.failed + other.failed,
            self.parked + other.parked,
            self.invalid + other.invalid,
            self.complete or other.complete,
        )


class PendingRows:
    """One pass over the manifest that finds the rows to send, batch by batch.

    index: passes over the rows that it has as completed. chooser: chooses the rows instead of their status.
    polled: items that are under way already, and not sent.
    """

    def __init__(
        self,
        row_stream: RowStream,
        index: ItemIndex,
        pins: VersionPins,
        chooser: RowChooser | None,
        polled: frozenset[int],
    ) -> None:
        self.row_stream = row_stream
        self._batches = row_stream.incomplete_batches(index)
        self._index = index
        self._pins = pins
        self._chooser = chooser
        self._polled = polled
        known = index.completed
        self.passed_over = Tally(known.rows, known.images, known.images)

    @property
    def sends_all(self) -> bool:
        """Whether every row that can be sent is to be sent, so that none need be told from another."""
        fresh = not len(self._index) and not self.passed_over.rows
        return fresh and self._chooser is None and self.row_stream.job.input.sample is None

    def afresh(self) -> PendingRows:
        """The same pass once more, from the start."""
        return PendingRows(self.row_stream, self._index, self._pins, self._chooser, self._polled)

    def read(self) -> tuple[list[Work], Tally] | None:
        """What is to send of the next batch, and the batch's counts; None at the end. Raises ManifestError."""
        batch = next(self._batches, None)
        if batch is None:
            return None
        rows, items, pinned = self._pins.apply(batch.rows, self._index.items(batch.rows))
        statuses = self._index.statuses(items)
        works: list[Work] = []
        tally = Tally(rows=len(rows))
        for index, (row, item, status) in enumerate(zip(rows, items, statuses, strict=True)):
            if isinstance(row, RowProblem):
                count(tally, row, status)
            elif item in self._polled:
                tally.images += row.request.n
            elif index not in pinned and (work := self._chosen(batch, index, row, item, status)) is not None:
                tally.images += row.request.n
                tally.done += row.request.n - work.row.request.n
                works.append(work)
            else:
                count(tally, row, status, self._index.gaps.get(item))
        return works, tally

    def _chosen(self, batch: RowBatch, index: int, row: Row, item: int, status: RowStatus) -> Work | None:
        """What is sent of this row; None when nothing is."""
        if self._chooser is not None:
            return self._chooser.work(batch, index, row, item)
        indexes = self._index.to_send(row, item, status)
        if indexes is None:
            return Work(row, None if item == ABSENT else item)
        return Work(partial_row(row, indexes), item, FIRST, indexes) if indexes else None


class PendingRowSource:
    """Tasks of earlier runs, then rows of the manifest that are pending; reads ahead by one batch in a thread.

    tasks: polled, whichever rows are sent. unreachable: items that are neither sent nor polled here.
    rows: the pass over the manifest, with what chooses the rows.

    problem: why the manifest could not be read to its end; the rows before that are sent.
    """

    def __init__(
        self,
        row_stream: RowStream,
        index: ItemIndex,
        tasks: Sequence[OpenTask] = (),
        pins: VersionPins | None = None,
        chooser: RowChooser | None = None,
        unreachable: frozenset[int] = frozenset(),
    ) -> None:
        waiting = [Work(task.row, task.item, FIRST, task.indexes, task) for task in tasks]
        polled = frozenset(work.item for work in waiting if work.item is not None) | unreachable
        self.rows = PendingRows(row_stream, index, pins or VersionPins(), chooser, polled)
        self._ready: Iterator[Work] = iter(waiting)
        self._next: asyncio.Task[tuple[list[Work], Tally] | None] | None = None
        self.tally = Tally() + self.rows.passed_over
        self.warnings: dict[str, None] = {}
        self.problem: ManifestError | None = None

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

    async def has_next(self) -> bool:
        """Whether there is any row to send. Reads the manifest up to the first such row."""
        work = await self.next()
        if work is not None:
            self._ready = itertools.chain((work,), self._ready)
        return work is not None

    async def close(self) -> None:
        """Wait for the batch that is being read, if any."""
        if self._next is not None:
            await asyncio.wait([self._next])

    def cut_short(self, sent: int) -> Reason | None:
        """How the run ends when not every row could be read; None when all were. sent: its requests."""
        if self.problem is None:
            return None
        code = ExitCode.SOME_FAILED if sent else ExitCode.USAGE
        return Reason(code, f"the manifest could not be read to its end: {self.problem.message}")

    def _take(self, works: list[Work], tally: Tally) -> None:
        for work in works:
            for warning in work.row.warnings:
                if len(self.warnings) < 100:
                    self.warnings.setdefault(warning)
        self.tally += tally
        self._ready = iter(works)

    def _read(self) -> tuple[list[Work], Tally] | None:
        try:
            return self.rows.read()
        except ManifestError as error:
            self.problem = error
            return None


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
