"""Several files as one manifest: their roles, the union of their other columns, their records one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import NamedTuple

import pyarrow as pa
import pyarrow.types as kinds

from runner.manifest.arrow_text import as_type
from runner.manifest.columns import assign_roles
from runner.manifest.records import Batch, Manifest, RecordTexts
from runner.manifest.sources import reading
from runner.manifest.tables import Block, Table, check_width


class _Part(NamedTuple):
    """One file and its role -> column name. prefix: the file's name where there are several, else ""."""

    table: Table
    roles: dict[str, str]
    prefix: str


def concatenated(
    tables: Sequence[Table], *, label: str, stem: str, prompt_col: str | None, id_col: str | None
) -> Manifest:
    """The tables' records in order, each table with roles of its own. Raises ManifestError where one has no prompts."""
    parts = []
    for table in tables:
        roles = assign_roles(
            table.names, table.source, prompt_col=prompt_col, id_col=id_col, open_ended=table.open_ended
        )
        parts.append(_Part(table, roles, table.source if len(tables) > 1 else ""))
    columns: dict[str, str] = {}
    for part in parts:
        for role, name in part.roles.items():
            if name in part.table.names:
                columns.setdefault(role, name)
    schema = cache(partial(_extra_schema, parts, label))
    return Manifest(label, stem, columns, schema, partial(_batches, parts, columns, schema))


def _extra_schema(parts: Sequence[_Part], label: str) -> pa.Schema:
    types: dict[str, pa.DataType] = {}
    for part in parts:
        taken = set(part.roles.values())
        for name, kind in part.table.types().items():
            if name not in taken:
                types[name] = _common_type(types.get(name, kind), kind)
    check_width(len(types), label)
    return pa.schema(list(types.items()))


def _common_type(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    """A type that holds the values of both unchanged; text where there is none."""
    if first == second or kinds.is_null(second):
        return first
    if kinds.is_null(first):
        return second
    for same_kind in (kinds.is_signed_integer, kinds.is_unsigned_integer, kinds.is_floating):
        if same_kind(first) and same_kind(second):
            return max(first, second, key=lambda kind: kind.bit_width)
    return pa.string()


def _batches(
    parts: Sequence[_Part], columns: Mapping[str, str], schema: Callable[[], pa.Schema]
) -> Iterator[Batch]:
    for part in parts:
        for block in part.table.blocks(part.roles):
            part.table.check()
            yield _batch(part, block, columns, schema)
        part.table.check()


def _batch(part: _Part, block: Block, columns: Mapping[str, str], schema: Callable[[], pa.Schema]) -> Batch:
    locations = block.locations.within(part.prefix)
    return Batch(
        source=part.table.source,
        locations=locations,
        texts=cache(partial(_texts, part, block, columns, locations)),
        extras=partial(_extras, part, block, schema),
    )


def _texts(part: _Part, block: Block, columns: Mapping[str, str], locations: Sequence[str]) -> RecordTexts:
    with reading(part.table.source):
        roles, malformed = block.texts()
        part.table.check()
    for role in columns:
        roles.setdefault(role, [None] * len(locations))
    return RecordTexts(
        roles, {offset: f"{locations[offset]}: {problem}" for offset, problem in malformed.items()}
    )


def _extras(part: _Part, block: Block, schema: Callable[[], pa.Schema]) -> pa.RecordBatch:
    fields = schema()
    count = len(block.locations)
    if not fields.names:
        return pa.RecordBatch.from_struct_array(pa.nulls(count, pa.struct([])))
    taken = set(part.roles.values())
    arrays = []
    with reading(part.table.source):
        for field in fields:
            array = None if field.name in taken else block.column(field.name)
            arrays.append(pa.nulls(count, field.type) if array is None else as_type(array, field.type))
        part.table.check()
    return pa.RecordBatch.from_arrays(arrays, schema=fields)
