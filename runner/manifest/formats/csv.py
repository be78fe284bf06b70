"""CSV and TSV: a header, then records with as many fields as it has names."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from runner.manifest.formats.csv_rows import Row, csv_rows, tsv_rows
from runner.manifest.formats.tsv import header_fields, is_all_quoted
from runner.manifest.lines import Lines, UnclosedRecord, line_blocks
from runner.manifest.records import ManifestError, Places
from runner.manifest.sources import Source, open_text
from runner.manifest.tables import Block, Malformed, Table, gather, text_block, unique_names

Rows = Callable[[Lines], Iterator[tuple[int, Row | Malformed]]]


class _Header(NamedTuple):
    """cells: as they stand. stop: number of the line after it. rows: how the records below are read."""

    cells: list[str]
    stop: int
    rows: Rows


def open_csv(source: Source) -> Table:
    """Fields between commas; between semicolons or tabs where the header has no comma. Quoting as in RFC 4180."""
    return _open(source, (",", ";", "\t"))


def open_tsv(source: Source) -> Table:
    """Fields between tabs; quotes are text unless they must be quoting (`tsvquotes`)."""
    return _open(source, ("\t",))


def _open(source: Source, delimiters: tuple[str, ...]) -> Table:
    with open_text(source) as file:
        header = _read_header(Lines(line_blocks(file)), source.name, delimiters)
    names = unique_names((cell.strip().lstrip("\ufeff").strip() for cell in header.cells), source.name)
    return Table(
        source.name,
        names,
        types=partial(dict.fromkeys, names, pa.string()),
        blocks=partial(_blocks, source, header.rows, names),
    )


def _blocks(
    source: Source, rows: Rows, names: tuple[str, ...], columns: Mapping[str, str]
) -> Iterator[Block]:
    blank = (None,) * len(names)
    with open_text(source) as file:
        lines = Lines(line_blocks(file))
        for batch in gather(rows(lines), lambda: lines.passed_bytes):
            values = zip(*(blank if row is None else row for row in batch.items), strict=True)
            by_name = dict(zip(names, values, strict=True))
            yield text_block(Places("line %d", batch.starts), by_name, columns, batch.malformed)


def _read_header(lines: Lines, source: str, delimiters: tuple[str, ...]) -> _Header:
    number, line = _first_line(lines, source)
    problem = lines.problem(number, number + 1)
    if problem is not None:
        raise ManifestError(f"{source}: line {number}, the header: {problem}")
    read = [_split_header(lines, number, line, delimiter) for delimiter in delimiters]
    header = next((header for header in read if header is not None and len(header.cells) > 1), read[0])
    if header is None:
        raise ManifestError(
            f"{source}: line {number} should be the header, but its quotes do not match",
            fix="start the file with a line of column names, one of them prompt",
        )
    return header


def _first_line(lines: Lines, source: str) -> tuple[int, str]:
    """Number and text of the first line that is not blank."""
    for number, line in enumerate(lines.read_from(1), 1):
        if line.strip():
            return number, line
        lines.hold = number
    raise ManifestError(
        f"{source} is empty: it has no header",
        fix="start the file with a line of column names, one of them prompt",
    )


def _split_header(lines: Lines, number: int, line: str, delimiter: str) -> _Header | None:
    if delimiter == "\t" and not is_all_quoted(line):
        cells = header_fields(line)
        return _Header(cells, number + 1, partial(tsv_rows, start=number + 1, width=len(cells)))
    reader = csv.reader(lines.read_from(number), delimiter=delimiter, strict=True)
    try:
        cells = next(reader)
    except (csv.Error, UnclosedRecord):
        return None
    stop = number + reader.line_num
    return _Header(cells, stop, partial(csv_rows, start=stop, width=len(cells), delimiter=delimiter))
