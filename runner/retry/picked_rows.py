"""The rows that a retry sends, by manifest position: what the survey found is what the engine is given."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field

from jobs.rows import part
from runner.engine.queue import FIRST, Work
from runner.planning.row_stream import RowBatch
from runner.retry.override_rows import Remaker
from schemas.outcome import ABSENT
from schemas.row import Row


@dataclass
class Picks:
    """16 bytes a row, and more for those of whose images only some are asked for.

    abandoned: items whose tasks are given up.
    """

    remaker: Remaker
    abandoned: set[int] = field(default_factory=set)
    successes: bool = False
    _positions: array[int] = field(default_factory=lambda: array("q"))
    _editions: array[int] = field(default_factory=lambda: array("q"))
    _parts: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._positions)

    def add(self, position: int, indexes: tuple[int, ...] | None, edition: int) -> None:
        """Another row, after all those before it in the manifest. indexes: of its images; None: all of them.

        edition: not 0 when a picture that is there is asked for anew.
        """
        self._positions.append(position)
        self._editions.append(edition)
        if indexes is not None:
            self._parts[position] = indexes
        self.successes |= edition > 0

    def work(self, batch: RowBatch, place: int, row: Row, item: int) -> Work | None:
        """What is sent of one of the batch's rows; None when nothing is."""
        at = bisect_left(self._positions, row.position)
        if at == len(self) or self._positions[at] != row.position:
            return None
        made = self.remaker.again(batch, place, row)
        if not isinstance(made, Row):
            return None
        made = made._replace(edition=self._editions[at])
        indexes = self._parts.get(row.position)
        if indexes is not None:
            made = part(made, indexes)
        return Work(made, None if item == ABSENT else item, FIRST, indexes)
