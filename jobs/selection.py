"""Which manifest rows take part: the first of each value, a sample, the first so many."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from jobs.seen import SeenKeys
from schemas.failures import FailureKind, RowStatus
from schemas.row import Row, RowProblem


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of the ledger are sent. The default is what `run` sends: what is pending, and nothing else.

    statuses: rows in one of these. kinds: of them only those whose last failure is one of these; empty: any.
    """

    statuses: frozenset[RowStatus] = frozenset({RowStatus.PENDING})
    kinds: frozenset[FailureKind] = frozenset()

    def takes(self, status: RowStatus, kind: FailureKind | None) -> bool:
        """Whether a row in this state is sent."""
        return status in self.statuses and (not self.kinds or kind in self.kinds)


UNSETTLED = Selection()


def retry_selection(*, parked: bool, kinds: frozenset[FailureKind]) -> Selection:
    """What `retry` sends: failed rows; parked ones only when asked for, by `parked` or by the name of their failure."""
    statuses = {RowStatus.PARKED} if parked else {RowStatus.FAILED, RowStatus.PENDING}
    if kinds:
        statuses = {RowStatus.FAILED, RowStatus.PARKED, RowStatus.PENDING}
    return Selection(frozenset(statuses), kinds)


@dataclass
class FirstOfEach:
    """Keeps the first record of each value of a column (`input.distinct`)."""

    _seen: SeenKeys = field(default_factory=SeenKeys)

    def kept(self, values: Sequence[str | None]) -> list[int]:
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

    Each row's place in the draw hangs on its id and the seed only, so appending rows changes few of those chosen.
    Memory: `size` entries.
    """
    key = seed.to_bytes(16, "little", signed=True)
    ranked = (
        (blake2b(row.row_id.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest(), row.position)
        for row in rows
    )
    return frozenset(position for _, position in heapq.nsmallest(size, ranked))
