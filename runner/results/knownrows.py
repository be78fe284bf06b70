"""Rows that a map knows to be done, told by the ledger alone: read in blocks of several of the manifest's batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from runner.ledger.completion_cache import CompletedRows
from runner.results.batches import KnownLines
from runner.results.columns import Lines, PlainRows

Numbers = npt.NDArray[np.int64]

_BATCHES = 4
"""So many are read at once, but no more than were before: what is read first is soon to be written."""
_BLOCK_BYTES = 8 * 1024 * 1024
"""Of text: no more is read at once, going by the block before, but for one batch."""


class KnownRows:
    """Asked for the batches of one pass over the manifest, in order."""

    def __init__(self, known: CompletedRows, plain: PlainRows) -> None:
        self._known = known
        self._plain = plain
        self._numbers = known.numbers()
        self._passed = 0
        self._row_bytes = 0.0
        self._start = self._stop = 0
        self._places = self._items = np.empty(0, dtype=np.int64)
        self._told = np.empty(0, dtype=np.bool_)
        self._lines: Lines | None = None

    def of(self, position: int, count: int) -> tuple[KnownLines | None, dict[int, int]]:
        """The lines of the batch of so many rows at this manifest position, and item numbers of those rows that the map
        knows but that have a longer story, by their places in the batch."""
        if position < self._start or position + count > self._stop:
            few = min(_BATCHES * count, position, int(_BLOCK_BYTES / (self._row_bytes + 1)))
            self._read(position, max(1, few // count) * count)
        first, last = np.searchsorted(self._places, (position, position + count)).tolist()
        self._passed += last - first
        places, items = self._places[first:last] - position, self._items[first:last]
        told = self._told[first:last]
        lines = None
        if self._lines is not None and told.any():
            before = int(np.count_nonzero(self._told[:first]))
            table = partial(_cut, self._lines.table, before, int(np.count_nonzero(told)))
            lines = KnownLines(table, places[told], items[told], position)
        return lines, dict(zip(places[~told].tolist(), items[~told].tolist(), strict=True))

    def _read(self, position: int, count: int) -> None:
        self._start, self._stop = position, position + count
        self._places = self._known.places(position, count) + position
        self._items = self._numbers[self._passed : self._passed + len(self._places)]
        self._told, self._lines = self._plain.known(self._places, self._items)
        if self._lines is not None:
            self._row_bytes = self._lines.size / len(self._items)


def _cut(table: Callable[[], pa.Table], first: int, count: int) -> pa.Table:
    return table().slice(first, count)
