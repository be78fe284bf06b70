"""Which manifest rows take part: the first of each value, a sample, the first so many."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from jobs.key_set import SeenKeys
from schemas.failures import FailureKind, RowStatus
from schemas.job import InputTable, Job
from schemas.row import Row, RowProblem


class RetrySelection(NamedTuple):
    """What `retry` was asked to send. All that is given must hold of a row.

    kinds: of its last failure. flags: one of these. since_ms: its last attempt was sent then or later (Unix
    milliseconds). where: the text of an expression over its results. row_ids: one of these. missing: an image of it is gone
    from the disk. parked, pending, succeeded: rows in these states and no others; without any of them the failed and pending
    ones, parked ones where `kinds` or `where` names them, and succeeded ones by a flag, by a pick, or because they
    are missing. picked: only images that are in a file of picks.
    """

    kinds: frozenset[FailureKind] = frozenset()
    flags: frozenset[str] = frozenset()
    since_ms: int | None = None
    where: str | None = None
    row_ids: frozenset[str] | None = None
    parked: bool = False
    pending: bool = False
    succeeded: bool = False
    missing: bool = False
    picked: bool = False

    @property
    def statuses(self) -> frozenset[RowStatus]:
        """Rows in these states are sent; parked ones may be paid for already, and are sent only where they are named."""
        named = {
            status
            for status, is_named in (
                (RowStatus.PARKED, self.parked),
                (RowStatus.PENDING, self.pending),
                (RowStatus.SUCCEEDED, self.succeeded),
            )
            if is_named
        }
        if self.missing:
            return frozenset({RowStatus.SUCCEEDED})
        usual = {RowStatus.FAILED, RowStatus.PENDING, RowStatus.PARKED}
        return frozenset(named or usual | ({RowStatus.SUCCEEDED} if self.flags or self.picked else set()))

    @property
    def narrows(self) -> bool:
        """Whether anything but states is asked for."""
        return bool(self.kinds) or self.reads_by_name

    @property
    def reads_by_name(self) -> bool:
        """Whether rows are named by what successes have too: flags, columns, ids, times."""
        given = (self.since_ms, self.where, self.row_ids)
        return bool(self.flags) or self.missing or self.picked or any(each is not None for each in given)


@dataclass
class DistinctFilter:
    """Keeps the first record of each value of a column (`input.distinct`)."""

    _seen: SeenKeys = field(default_factory=SeenKeys)

    def offsets(self, values: Sequence[str | None]) -> list[int]:
        """Offsets of the records to keep, in order. None counts as a value of its own."""
        digests = b"".join(
            blake2b(
                b"\0" if value is None else b"\1" + value.encode("utf-8", "surrogatepass"), digest_size=8
            ).digest()
            for value in values
        )
        repeated = self._seen.add(np.frombuffer(digests, dtype="<u8"))
        return [int(i) for i in np.flatnonzero(~repeated)]


def sample(rows: Iterable[Row | RowProblem], size: int, seed: int) -> frozenset[int]:
    """Positions of `size` rows chosen at random (`input.sample`).

    Each row's rank in the draw depends on its id and the seed only, so appending rows changes few of those chosen.
    Memory: `size` entries.
    """
    key = seed.to_bytes(16, "little", signed=True)
    ranked = (
        (blake2b(row.row_id.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest(), row.position)
        for row in rows
    )
    return frozenset(position for _, position in heapq.nsmallest(size, ranked))


def reads_all(job: Job) -> bool:
    """Whether every row of the manifest takes part."""
    return job.input == InputTable(seed=job.input.seed, allow_empty=job.input.allow_empty)
