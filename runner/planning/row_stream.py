"""Manifest records become rows, batch by batch: the same stream feeds the engine, the plan and the results table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.rows import RecordColumns, RequestDefaults, RowReader
from jobs.selection import FirstOfEach, sample
from runner.ledger.completion_cache import DoneMap
from runner.manifest.records import Batch, Manifest
from schemas.errors import JobError
from schemas.job import Job
from schemas.providers import DEFAULT_MODEL, Profile
from schemas.request import FIELDS
from schemas.row import Row, RowProblem


class RowBatch(NamedTuple):
    """Consecutive rows that take part. `offsets`: their places in the manifest's batch.

    keys, repeated: what tells the rows apart, and which of it came more than once so far (see `RowReader`).
    """

    rows: list[Row | RowProblem]
    batch: Batch
    offsets: Sequence[int]
    keys: npt.NDArray[np.uint64]
    repeated: set[int]

    def own_fields(self, place: int) -> tuple[tuple[str, str], ...]:
        """What one of the rows itself sets: field and text."""
        values = ((name, self.batch.roles.get(name)) for name in FIELDS)
        at = self.offsets[place]
        return tuple((name, text) for name, texts in values if texts is not None and (text := texts[at]))

    def extras(self) -> pa.RecordBatch:
        """The manifest's other columns, a row each."""
        whole = self.batch.extras()
        if len(self.offsets) == len(self.batch):
            return whole
        return whole.take(pa.array(self.offsets, pa.int64()))


class Unread(NamedTuple):
    """A batch of the manifest before its records become rows. position: of its first record, from 0."""

    batch: Batch
    position: int
    reader: RowReader

    def rows(self, offsets: Sequence[int]) -> RowBatch:
        """The rows at these places of the batch, in order. Ask once, before the next batch."""
        if not offsets:
            return RowBatch([], self.batch, (), np.empty(0, dtype=np.uint64), self.reader.repeated)
        rows = self.reader.read(_columns(self.batch, offsets, self.position))
        return RowBatch(rows, self.batch, offsets, self.reader.keys, self.reader.repeated)


def request_defaults(job: Job, profile: Profile) -> RequestDefaults:
    """What is sent where a row says nothing. The model is always sent: services' own defaults differ."""
    table = job.request
    values = {name: getattr(table, name) for name in FIELDS}
    values["model"] = values["model"] or profile.model or DEFAULT_MODEL
    fields = tuple((name, value) for name, value in values.items() if value is not None)
    own = job.endpoint.drop_params
    extra = tuple(item for item in sorted(table.param.items()) if item[0] not in own)
    return RequestDefaults(fields, extra, own, profile.dropped, profile.name)


class Intake(NamedTuple):
    """A manifest with the job's selection. Can be read any number of times, each time from the start."""

    manifest: Manifest
    job: Job
    defaults: RequestDefaults

    def batches(self, done: DoneMap | None = None) -> Iterator[RowBatch]:
        """The rows that take part, in manifest order. done: rows to pass over; only of a manifest that is read whole."""
        if done is not None:
            yield from self._undone(done)
            return
        wanted = self.job.input
        chosen = None
        if wanted.sample is not None:
            every = (row for batch in self._all() for row in batch.rows)
            chosen = sample(every, wanted.sample, wanted.seed)
        left = wanted.limit
        for batch in self._all():
            kept = list(range(len(batch.rows)))
            if chosen is not None:
                kept = [i for i in kept if batch.rows[i].position in chosen]
            if left is not None:
                kept = kept[:left]
                left -= len(kept)
            if len(kept) == len(batch.rows):
                yield batch
            elif kept:
                rows = [batch.rows[i] for i in kept]
                offsets = [batch.offsets[i] for i in kept]
                yield RowBatch(rows, batch.batch, offsets, batch.keys[kept], batch.repeated)
            if left == 0:
                return

    def _undone(self, done: DoneMap) -> Iterator[RowBatch]:
        for unread in self.unread():
            offsets = done.left(unread.position, len(unread.batch))
            if offsets:
                yield unread.rows(offsets)

    def unread(self) -> Iterator[Unread]:
        """The manifest's batches, of which those rows become rows that are asked for; for one that is read whole."""
        reader = RowReader(self.defaults, self.manifest.columns)
        position = 0
        for batch in self.manifest.batches():
            yield Unread(batch, position, reader)
            position += len(batch)

    def _all(self) -> Iterator[RowBatch]:
        reader = RowReader(self.defaults, self.manifest.columns)
        distinct = FirstOfEach() if self.job.input.distinct is not None else None
        position = 0
        for batch in self.manifest.batches():
            offsets: Sequence[int] = range(len(batch))
            if distinct is not None:
                offsets = distinct.kept(self._distinct_values(batch))
            rows = reader.read(_columns(batch, offsets, position))
            yield RowBatch(rows, batch, offsets, reader.keys, reader.repeated)
            position += len(batch)

    def _distinct_values(self, batch: Batch) -> Sequence[str | None]:
        column = self.job.input.distinct
        for role, name in self.manifest.columns.items():
            if column in (name, role):
                return batch.roles[role]
        extras = batch.extras()
        if column not in extras.schema.names:
            there = ", ".join([*self.manifest.columns.values(), *extras.schema.names])
            raise JobError(f"no column {column!r} for --distinct", fix=f"the columns are: {there}")
        return [None if value is None else str(value) for value in extras.column(column).to_pylist()]


def _columns(batch: Batch, offsets: Sequence[int], position: int) -> RecordColumns:
    if len(offsets) == len(batch):
        positions: Sequence[int] = range(position, position + len(batch))
        return RecordColumns(positions, batch.places, batch.roles, batch.malformed)
    return RecordColumns(
        [position + i for i in offsets],
        [batch.places[i] for i in offsets],
        {role: [values[i] for i in offsets] for role, values in batch.roles.items()},
        {new: batch.malformed[i] for new, i in enumerate(offsets) if i in batch.malformed},
    )
