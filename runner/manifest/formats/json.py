"""JSONL (one object or string a line), and JSON files that hold JSON lines or one array."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import NamedTuple

import pyarrow as pa

from runner.manifest.arrow_text import string_array
from runner.manifest.columns import column_list
from runner.manifest.formats.json_array import ArrayItems
from runner.manifest.formats.json_record import BARE_STRING_KEY, Nested, Record, parse_record
from runner.manifest.lines import Lines, Readable, line_blocks, text_chunks
from runner.manifest.records import Locations, ManifestError, RecordTexts
from runner.manifest.sources import SourceFile, open_text
from runner.manifest.tables import Block, Gathered, Malformed, Table, check_width, gather, read_already

HEAD_BATCHES = 2
"""The keys in so many batches are the columns that roles are chosen from."""


class _Form(NamedTuple):
    """location: how messages name a record. records: (file, file's name, keys not to be repeated) -> batches."""

    location: str
    records: Callable[[Readable, str, Container[str]], Iterator[Gathered[Record]]]


def open_json_lines(source: SourceFile, known: Collection[str]) -> Table:
    """A record a line; blank lines are none. A file whose first line is a lone bracket is an array all the same.

    known: names of columns that rows are known by.
    """
    return _open(source, _ARRAY if _head(source).partition("\n")[0].strip() == "[" else _LINES, known)


def open_json(source: SourceFile, known: Collection[str]) -> Table:
    """One array of objects or of strings, or JSON lines: the first character tells."""
    return _open(source, _ARRAY if _head(source).startswith("[") else _LINES, known)


def _head(source: SourceFile) -> str:
    """The first text that is not blank, up to a chunk of it."""
    with open_text(source) as file:
        return next((text for chunk in text_chunks(file) if (text := chunk.lstrip())), "")


def _line_records(file: Readable, _: str, once: Container[str]) -> Iterator[Gathered[Record]]:
    lines = Lines(line_blocks(file))
    return gather(_of_lines(lines, once), lambda: lines.passed_bytes)


def _array_records(file: Readable, source: str, once: Container[str]) -> Iterator[Gathered[Record]]:
    items = ArrayItems(text_chunks(file), source)
    return gather(items.records(once), lambda: items.passed_chars)


_LINES = _Form("line %d", _line_records)
_ARRAY = _Form("line %d, item %d", _array_records)


def _of_lines(lines: Lines, once: Container[str]) -> Iterator[tuple[int, Record | Malformed]]:
    for number, line in enumerate(lines.read_from(1), 1):
        lines.hold = number
        problem = lines.problem(number, number + 1)
        if problem is not None:
            record = parse_record(line, once)
            yield number, Malformed(problem, record.kept if isinstance(record, Malformed) else record)
        elif not line.isspace():
            yield number, parse_record(line, once)


def _open(source: SourceFile, form: _Form, known: Collection[str]) -> Table:
    with open_text(source) as file:
        head = list(islice(form.records(file, source.name, ()), HEAD_BATCHES))
    names = _keys(head, source.name)
    _refuse_columns(source, [record for batch in head for record in batch.items], known)
    if head and not names:
        problem = next((text for batch in head for text in batch.malformed.values()), "has no keys")
        raise ManifestError(
            f"{source.name} holds no record that can be read; the first {problem}",
            fix="write JSON lines (one object a line) or, in a .json file, one array of objects",
        )
    return Table(
        source.name,
        tuple(names) or (BARE_STRING_KEY,),
        types=partial(_types, source, form),
        blocks=partial(_blocks, source, form, names),
        open_ended=True,
    )


_OBJECT_OF_COLUMNS = re.compile(r'\{\s*+"((?:[^"\\]++|\\.)*+)"\s*+:\s*+[\[{]')
_AS_ROWS = (
    "write one list of objects, [{…}, {…}], or one object a line; "
    "pandas does with frame.to_json(path, orient='records')"
)


def _refuse_columns(source: SourceFile, records: list[Record | None], known: Collection[str]) -> None:
    """Raises ManifestError where the file is one object that holds columns, rows by their index, or a list of prompts."""
    record = records[0] if len(records) == 1 else None
    keys: Iterable[str] = record or ()
    if record:
        nested = [key for key, value in record.items() if isinstance(value, Nested)]
        if not nested or (len(nested) < len(record) and not set(known).isdisjoint(record)):
            return
    elif any(records) or (found := _OBJECT_OF_COLUMNS.match(_head(source))) is None:
        return
    else:
        keys = (found[1],)
    if "body" in keys:  # one request of a batch: what is said of a missing prompt column names that form
        return
    raise ManifestError(
        f"{source.name} is one JSON object whose values are lists or objects ({column_list(tuple(keys))}), not rows",
        fix=_AS_ROWS,
    )


def _keys(
    batches: Iterator[Gathered[Record]] | list[Gathered[Record]], source: str
) -> dict[str, pa.DataType]:
    """The keys of these records, in order of appearance."""
    keys: dict[str, pa.DataType] = {}
    for batch in batches:
        for record in batch.items:
            if record is not None and not record.keys() <= keys.keys():
                keys.update(dict.fromkeys((key for key in record if key not in keys), pa.string()))
        check_width(len(keys), source)
    return keys


def _types(source: SourceFile, form: _Form) -> dict[str, pa.DataType]:
    with open_text(source) as file:
        return _keys(form.records(file, source.name, ()), source.name)


def _blocks(
    source: SourceFile, form: _Form, known: Container[str], columns: Mapping[str, str]
) -> Iterator[Block]:
    with open_text(source) as file:
        for batch in form.records(file, source.name, frozenset(columns.values())):
            records: list[Record] = [record or {} for record in batch.items]
            present = set[str]().union(*records)
            roles = {
                role: [record.get(name) for record in records]
                for role, name in columns.items()
                if name in known or name in present or role == "prompt"
            }
            texts = read_already(RecordTexts(roles, batch.malformed))
            yield Block(Locations(form.location, batch.starts), texts, partial(_column, records))


def _column(records: list[Record], name: str) -> pa.Array:
    return string_array([record.get(name) for record in records])
