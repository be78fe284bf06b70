"""One opened file of a manifest: its columns, and its records as blocks. Every format is read as this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any, Generic, NamedTuple, TypeVar

import pyarrow as pa

from runner.manifest.arrow_text import string_array
from runner.manifest.records import Locations, ManifestError, RecordTexts

FIRST_BATCH_RECORDS = (64, 256)
BATCH_RECORDS = 2_048

MAX_BATCH_BYTES = 4 * 1024 * 1024
"""A batch of long records ends early, when about so much text has been read for it."""

MAX_COLUMNS = 5_000


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that cannot be read whole. problem: what is wrong with it and how to mend it.

    kept: what can be told of it all the same, in the form of the other records; None: nothing.
    """

    problem: str
    kept: Any = None


@dataclass(frozen=True, slots=True)
class Gathered(Generic[Item]):
    """Consecutive records of a text. starts: their places. items: of a malformed one what is kept of it."""

    starts: list[object] = field(default_factory=list)
    items: list[Item | None] = field(default_factory=list)
    malformed: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive records of one file.

    locations: where each record starts. texts: of the roles asked for, under `reading`.
    column: the values of a column by its name, as Arrow, of any type; None where this block has no such column.
    """

    locations: Locations
    texts: Callable[[], RecordTexts]
    column: Callable[[str], pa.Array | None]


class Table(NamedTuple):
    """One file, of which only the head has been read.

    names: its columns, unique, in order; with `open_ended`, those of the first records, and others may follow.
    types: every column's Arrow type, in order; may read the whole file.
    blocks: role -> column name (chosen from the columns) to the file's records, in order. Opens the file anew.
    check: as of its `Source`.
    """

    source: str
    names: tuple[str, ...]
    types: Callable[[], dict[str, pa.DataType]]
    blocks: Callable[[Mapping[str, str]], Iterator[Block]]
    open_ended: bool = False
    check: Callable[[], None] = lambda: None


def batch_sizes() -> Iterator[int]:
    """How many records the batches of one file hold at most, one after another."""
    return chain(FIRST_BATCH_RECORDS, repeat(BATCH_RECORDS))


def gather(
    records: Iterable[tuple[object, Item | Malformed]], passed: Callable[[], int]
) -> Iterator[Gathered[Item]]:
    """Records in batches, limited by their number and by the text read for them. passed: length of all text read so far."""
    sizes = batch_sizes()
    size, full_at = next(sizes), passed() + MAX_BATCH_BYTES
    batch: Gathered[Item] = Gathered()
    for start, item in records:
        if isinstance(item, Malformed):
            batch.malformed[len(batch.items)] = item.problem
            batch.items.append(item.kept)
        else:
            batch.items.append(item)
        batch.starts.append(start)
        if len(batch.items) == size or passed() > full_at:
            yield batch
            size, full_at = next(sizes), passed() + MAX_BATCH_BYTES
            batch = Gathered()
    if batch.items:
        yield batch


def unique_names(header: Iterable[str], source: str) -> tuple[str, ...]:
    """Column names without repeats: `a, a` gives `a, a_2`; the third name, when empty, becomes `column_3`.

    Raises ManifestError for more than `MAX_COLUMNS`.
    """
    plain = [name or f"column_{number}" for number, name in enumerate(header, 1)]
    check_width(len(plain), source)
    free = set(plain)
    seen: set[str] = set()
    names = []
    for name in plain:
        number, unique = 2, name
        while unique in seen or (unique != name and unique in free):
            unique, number = f"{name}_{number}", number + 1
        seen.add(unique)
        names.append(unique)
    return tuple(names)


def check_width(columns: int, source: str) -> None:
    """Raises ManifestError for more than `MAX_COLUMNS`."""
    if columns > MAX_COLUMNS:
        raise ManifestError(
            f"{source} has more than {MAX_COLUMNS:,} columns",
            fix="keep varying names in one column, for example as JSON text",
        )


def read_already(texts: RecordTexts) -> Callable[[], RecordTexts]:
    """The `texts` of a block of a form that must be read to know where its records are."""
    return lambda: texts


def text_block(
    locations: Locations,
    values: Mapping[str, Sequence[str | None]],
    columns: Mapping[str, str],
    malformed: dict[int, str],
) -> Block:
    """A block of a text form. values: column name -> values. columns: role -> column name."""
    roles = {role: list(values[name]) for role, name in columns.items()}
    texts = read_already(RecordTexts(roles, malformed))
    return Block(locations, texts, lambda name: string_array(values[name]) if name in values else None)
