"""What a results table holds, counted while it is read or written."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.failures import FailureKind, RowStatus
from schemas.reports import FailedImage


class Repeated(NamedTuple):
    """One picture that several rows have. file_name: the first of them."""

    rows: int
    file_name: str


SHOWN_FAILURES = 20
"""Results rows that a summary names at most, so many of each kind."""
_NOT_FINE = frozenset({RowStatus.FAILED.value, RowStatus.PARKED.value, RowStatus.INVALID.value})


@dataclass
class Counts:
    """What the table holds. by_status, by_error: results rows. rows: manifest rows; images: results rows in all.

    by_error: of failed, parked and invalid results rows. by_kind: of all that have one, by status and kind.
    removed: rows that were sent earlier and that the manifest no longer holds.
    repeated: pictures that several rows have, those of the most rows first. blank: rows with a picture of one colour.
    pending_rows: manifest rows that still wait for an image.
    """

    rows: int = 0
    images: int = 0
    pending_rows: int = 0
    by_status: Counter[str] = field(default_factory=Counter)
    by_error: Counter[str] = field(default_factory=Counter)
    removed: int = 0
    repeated: Sequence[Repeated] = ()
    blank: int = 0
    by_kind: Counter[tuple[str, str]] = field(default_factory=Counter)
    _examples: dict[str, list[FailedImage]] = field(default_factory=dict)

    def succeeded(self, images: int, rows: int) -> None:
        """Count rows with nothing but successes."""
        self.rows += rows
        self.images += images
        if images:
            self.by_status[RowStatus.SUCCEEDED.value] += images

    def add(self, values: Sequence[Mapping[str, Any]]) -> None:
        """Count one manifest row's results rows."""
        self.rows += 1
        self.images += len(values)
        self.pending_rows += any(value["status"] == RowStatus.PENDING for value in values)
        for value in values:
            status, kind = value["status"], value.get("error_kind")
            self.by_status[status] += 1
            if kind:
                self.by_kind[status, kind] += 1
                if status in _NOT_FINE:
                    self.by_error[kind] += 1
                if status in _NOT_FINE or kind != FailureKind.STOPPED:
                    self._keep(kind, value)

    def _keep(self, kind: str, value: Mapping[str, Any]) -> None:
        kept = self._examples.setdefault(kind, [])
        if len(kept) < SHOWN_FAILURES:
            message = value.get("error_message")
            kept.append(FailedImage(value["row_id"], value["row"], value["image_index"], kind, message))

    def failures(self) -> tuple[FailedImage, ...]:
        """Up to `SHOWN_FAILURES` of those that `by_error` counts or that wait for a reason: of each kind as many as of the
        others."""
        order = dict.fromkeys((*(kind for kind, _ in self.by_error.most_common()), *self._examples))
        kinds = [self._examples[kind] for kind in order]
        ranked = (kept[rank] for rank in range(SHOWN_FAILURES) for kept in kinds if rank < len(kept))
        return tuple(itertools.islice(ranked, SHOWN_FAILURES))
