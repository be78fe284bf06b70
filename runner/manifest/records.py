"""What every manifest reader yields: batches of records, as columns, with the location of each record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, overload

import pyarrow as pa

from schemas.errors import JobError

ROLES = ("prompt", "id")
"""Besides these two roles, every name in `schemas.request.FIELDS` is a role."""

Values = list[str | None]


class ManifestError(JobError):
    """The manifest as a whole cannot be read, or not to its end. Exit code 2."""


@dataclass(frozen=True, slots=True)
class Locations(Sequence[str]):
    """Locations of records, formatted on demand.

    form: a %-format, `line %d`. numbers: its arguments, one for each record. file: a prefix, when there are several files.
    """

    form: str
    numbers: Sequence[object]
    file: str = ""

    def within(self, file: str) -> Locations:
        """The same locations with the file's name as a prefix."""
        return replace(self, file=file)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Locations: ...
    def __getitem__(self, index: int | slice) -> str | Locations:
        if isinstance(index, slice):
            return replace(self, numbers=self.numbers[index])
        location = self.form % self.numbers[index]
        return f"{self.file}, {location}" if self.file else location

    def __len__(self) -> int:
        return len(self.numbers)


class RecordTexts(NamedTuple):
    """Consecutive records as text.

    roles: role (`prompt`, `id`, a request field) to the values as text, one a record; None is null or absent.
    malformed: offset -> what is wrong with that record and how to mend it. Its roles have what can be told of it, else None.
    """

    roles: dict[str, Values]
    malformed: dict[int, str]


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one file.

    source: the file's name, for messages.
    locations: where each record starts, ready to show: `line 17` (text forms, counted from 1), `row 17` (Parquet and
        DataFrame, counted from 0 in the file), a file name (folder). With several files: `b.csv, line 17`.
    texts: the records themselves, made on demand and kept. Every role of `Manifest.columns` is there, others where a later
        file or record brings them. What is malformed is ready to show: it begins with the location.
    extras: the other columns of these records, in the manifest's `extra_schema`, made on demand.

    Both may raise `ManifestError` where the file cannot be read there, or has changed since.
    """

    source: str
    locations: Sequence[str]
    texts: Callable[[], RecordTexts]
    extras: Callable[[], pa.RecordBatch]

    def __len__(self) -> int:
        return len(self.locations)

    @property
    def roles(self) -> dict[str, Values]:
        """As in `RecordTexts`."""
        return self.texts().roles

    @property
    def malformed(self) -> dict[int, str]:
        """As in `RecordTexts`."""
        return self.texts().malformed


class Manifest(NamedTuple):
    """An opened manifest. It can be read any number of times; memory does not grow with its length.

    label: what the user named, ready to show. stem: the name for `{manifest_stem}`.
    columns: role -> the manifest's own column name, for messages.
    extra_schema: Arrow schema of the other columns. The first call may read the manifest once (JSONL, object columns
        of a DataFrame).
    batches: opens the manifest and yields its records in order, in batches that grow from 64 to 2,048 records so that
        the first is there soon. Raises `ManifestError` where a file cannot be read to its end. What nobody asks for of a
        Parquet file or a DataFrame is not read.
    changed: what became of its files since it was opened, for one that is held (see `HeldFiles`); None: nothing.
    """

    label: str
    stem: str
    columns: dict[str, str]
    extra_schema: Callable[[], pa.Schema]
    batches: Callable[[], Iterator[Batch]]
    changed: Callable[[], str | None] = lambda: None
