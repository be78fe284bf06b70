"""Edited rows that keep their old image: maps the new row's fingerprint to the ledger item that represents it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.outcome import ABSENT
from schemas.request import ImageRequest
from schemas.row import Row, RowProblem


class PinnedRows(NamedTuple):
    """A batch's rows with the items that represent them. pinned: offsets of rows represented by an earlier version."""

    rows: Sequence[Row | RowProblem]
    items: list[int]
    pinned: frozenset[int] = frozenset()


class VersionPins:
    """Fingerprint -> the item that represents the row, where it is not the row's own version. 26 bytes a row."""

    def __init__(self, found: Sequence[tuple[bytes, int, int, bool]] = ()) -> None:
        """found: fingerprint, item, number of images of the item, and whether the item is an edited row's old version."""
        self._parts: list[tuple[npt.NDArray[Any], ...]] = []
        self._sorted: tuple[npt.NDArray[Any], ...] | None = None
        self.add(found)

    def __len__(self) -> int:
        return sum(len(part[1]) for part in self._parts)

    def add(self, found: Sequence[tuple[bytes, int, int, bool]]) -> None:
        """Remember more rows."""
        if found:
            prints, items, numbers, pinned = zip(*found, strict=True)
            halves = np.frombuffer(b"".join(prints), dtype="<u8").reshape(-1, 2)
            arrays = (
                halves,
                np.array(items, np.int64),
                np.array(numbers, np.uint8),
                np.array(pinned, np.bool_),
            )
            self._parts.append(arrays)
            self._sorted = None

    def apply(self, rows: Sequence[Row | RowProblem], items: list[int]) -> PinnedRows:
        """The rows with the items that represent them."""
        absent = [i for i, item in enumerate(items) if item == ABSENT and isinstance(rows[i], Row)]
        if not absent or not self._parts:
            return PinnedRows(rows, items)
        halves, numbers, images, pinned = self._ordered()
        wanted = np.frombuffer(b"".join(rows[i].fingerprint for i in absent), dtype="<u8").reshape(-1, 2)  # type: ignore[union-attr]
        at = np.minimum(np.searchsorted(halves[:, 0], wanted[:, 0]), len(halves) - 1)
        hit = (halves[at] == wanted).all(axis=1)
        found = [
            (absent[i], int(numbers[at[i]]), int(images[at[i]]), bool(pinned[at[i]]))
            for i in np.flatnonzero(hit).tolist()
        ]
        return with_versions(rows, items, found)

    def _ordered(self) -> tuple[npt.NDArray[Any], ...]:
        if self._sorted is None:
            joined = tuple(np.concatenate(columns) for columns in zip(*self._parts, strict=True))
            order = np.argsort(joined[0][:, 0], kind="stable")
            self._parts = [tuple(column[order] for column in joined)]
            self._sorted = self._parts[0]
        return self._sorted


def with_versions(
    rows: Sequence[Row | RowProblem], items: list[int], found: Sequence[tuple[int, int, int, bool]]
) -> PinnedRows:
    """The rows with other items. found: offset, item, its number of images, whether it is an edited row's old version."""
    rows, items = list(rows), list(items)
    for offset, item, n, _ in found:
        items[offset] = item
        row = rows[offset]
        if isinstance(row, Row) and row.request.n != n:
            others = tuple((name, value) for name, value in row.request.params if name != "n")
            rows[offset] = row._replace(request=ImageRequest(row.request.prompt, (*others, ("n", n))))
    return PinnedRows(rows, items, frozenset(offset for offset, _, _, pinned in found if pinned))
