"""The rows that a retry sends, by manifest position: the survey picks them, the engine is given them."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field

from jobs.rows import partial_row
from jobs.work import FIRST, Work
from runner.planning.row_stream import RowBatch
from runner.retry.override_rows import RowOverrides
from schemas.outcome import ABSENT
from schemas.row import Row


@dataclass
class PickedRows:
    """Picked rows in 16 bytes each, and more for rows of which only some images are requested.

    abandoned: items whose open tasks are given up.
    """

    row_overrides: RowOverrides
    abandoned: set[int] = field(default_factory=set)
    successes: bool = False
    _positions: array[int] = field(default_factory=lambda: array("q"))
    _editions: array[int] = field(default_factory=lambda: array("q"))
    _parts: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._positions)

    def add(self, position: int, indexes: tuple[int, ...] | None, edition: int) -> None:
        """Add a row. Rows must be added in manifest order. indexes: of the requested images; None: all of them.

        edition: not 0 when an image that exists already is requested again.
        """
        self._positions.append(position)
        self._editions.append(edition)
        if indexes is not None:
            self._parts[position] = indexes
        self.successes |= edition > 0

    def work(self, batch: RowBatch, index: int, row: Row, item: int) -> Work | None:
        """What is sent of one of the batch's rows; None when nothing is."""
        at = bisect_left(self._positions, row.position)
        if at == len(self) or self._positions[at] != row.position:
            return None
        made = self.row_overrides.override_again(batch, index, row)
        if not isinstance(made, Row):
            return None
        made = made._replace(edition=self._editions[at])
        indexes = self._parts.get(row.position)
        if indexes is not None:
            made = partial_row(made, indexes)
        return Work(made, None if item == ABSENT else item, FIRST, indexes)
