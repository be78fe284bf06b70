"""What every manifest reader yields: batches of records, as columns, with the place each record came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

ROLES = ("prompt", "id")
"""Besides these two roles, every name in `schemas.request.FIELDS` is a role."""

Values = list[str | None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one file.

    roles: role (`prompt`, `id`, a request field) to the values as text, one a record; None is null or absent.
    places: where each record starts, ready to show: `line 17` (text forms, counted from 1), `row 17`, a file name.
    source: the file's name, for messages.
    malformed: offset in this batch -> what is wrong with that record and how to mend it. Its values are None.
    extras: the other columns of these records, in the manifest's `extra_schema`, made on demand.
    """

    source: str
    places: Sequence[str]
    roles: dict[str, Values]
    extras: Callable[[], pa.RecordBatch]
    malformed: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True, slots=True)
class Manifest:
    """An opened manifest. It can be read any number of times; memory does not grow with its length.

    label: what the user named, ready to show. stem: the name for `{manifest_stem}`.
    columns: role -> the manifest's own column name, for messages.
    extra_schema: Arrow schema of the other columns. Calling it may read the manifest once (JSONL, several files).
    batches: opens the manifest and yields its records in order. `batches(first)` starts with batches of at most
        `first` records, then larger ones, so that the first record is there soon.
    """

    label: str
    stem: str
    columns: dict[str, str]
    extra_schema: Callable[[], pa.Schema]
    batches: Callable[[], Iterator[Batch]]
