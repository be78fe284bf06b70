"""CSV and TSV: a header, then records with as many fields as it has names."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from runner.manifest.columns import DELIMITERS
from runner.manifest.formats.csv_rows import Row, csv_rows, readable_cells, tsv_rows
from runner.manifest.formats.tsv import header_fields, is_all_quoted
from runner.manifest.lines import Lines, UnclosedRecord, line_blocks
from runner.manifest.records import Locations, ManifestError
from runner.manifest.sources import SourceFile, open_text
from runner.manifest.tables import Block, Malformed, Table, gather, text_block, unique_names

Rows = Callable[[Lines], Iterator[tuple[int, Row | Malformed]]]

SEP_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?', re.IGNORECASE)
"""Excel's first line: the delimiter of the lines below it. It is no header."""


class _Header(NamedTuple):
    """names: its cells, without blanks around them. stop: number of the line after it. rows: how what follows is read."""

    names: list[str]
    stop: int
    rows: Rows


def open_csv(source: SourceFile, known: Collection[str]) -> Table:
    """Fields between commas, semicolons, tabs or bars as the header or a line `sep=` above it tells; quoted as in RFC 4180.

    known: names of columns that a header is known by.
    """
    return _open(source, DELIMITERS, known)


def open_tsv(source: SourceFile, known: Collection[str]) -> Table:
    """The same where tabs are the first choice. Between tabs, quotes are text unless they must be quoting (`tsv`)."""
    return _open(source, ("\t", *(mark for mark in DELIMITERS if mark != "\t")), known)


def split_line(line: str, delimiter: str) -> list[str]:
    """The cells of one line by themselves, without blanks around them; none where its quotes do not match."""
    try:
        cells = next(csv.reader((line,), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in cells]


def _open(source: SourceFile, delimiters: tuple[str, ...], known: Collection[str]) -> Table:
    with open_text(source) as file:
        header = _read_header(Lines(line_blocks(file)), source.name, delimiters, known)
    names = unique_names(header.names, source.name)
    return Table(
        source.name,
        names,
        types=partial(dict.fromkeys, names, pa.string()),
        blocks=partial(_blocks, source, header.rows, names),
    )


def _blocks(
    source: SourceFile, rows: Rows, names: tuple[str, ...], columns: Mapping[str, str]
) -> Iterator[Block]:
    width, starts_with_id = len(names), columns.get("id") == names[0]
    with open_text(source) as file:
        lines = Lines(line_blocks(file))
        for batch in gather(rows(lines), lambda: lines.passed_bytes):
            records: list[Any] = batch.items
            for offset in batch.malformed:
                records[offset] = readable_cells(records[offset], width, first=starts_with_id)
            by_name = dict(zip(names, zip(*records, strict=True), strict=True))
            yield text_block(Locations("line %d", batch.starts), by_name, columns, batch.malformed)


def _read_header(lines: Lines, source: str, delimiters: tuple[str, ...], known: Collection[str]) -> _Header:
    number, line = _first_line(lines, source, 1)
    told = SEP_LINE.fullmatch(line.rstrip("\r\n"))
    if told is not None:
        delimiters = (told[1],)
        number, line = _first_line(lines, source, number + 1)
    problem = lines.problem(number, number + 1)
    if problem is not None:
        raise ManifestError(f"{source}: line {number}, the header: {problem}")
    read = [_split_header(lines, number, line, delimiter) for delimiter in delimiters]
    header = _likeliest([header for header in read if header is not None], known) or read[0]
    if header is None:
        raise ManifestError(
            f"{source}: line {number} should be the header, but its quotes do not match",
            fix="start the file with a line of column names, one of them prompt",
        )
    return header


def _likeliest(headers: list[_Header], known: Collection[str]) -> _Header | None:
    """The first that splits the line and has a known name; else one with a known name; else the first that splits it.

    None where none splits it.
    """
    several = [header for header in headers if len(header.names) > 1]
    for among in (several, headers):
        for header in among:
            if not set(known).isdisjoint(header.names):
                return header
    return several[0] if several else None


def _first_line(lines: Lines, source: str, start: int) -> tuple[int, str]:
    """Number and text of the first line from `start` on that is not blank."""
    for number, line in enumerate(lines.read_from(start), start):
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
        return _Header(_named(cells), number + 1, partial(tsv_rows, start=number + 1, width=len(cells)))
    reader = csv.reader(lines.read_from(number), delimiter=delimiter, strict=True)
    try:
        cells = next(reader)
    except (csv.Error, UnclosedRecord):
        return None
    stop = number + reader.line_num
    return _Header(_named(cells), stop, partial(csv_rows, start=stop, width=len(cells), delimiter=delimiter))


def _named(cells: list[str]) -> list[str]:
    return [cell.strip().lstrip("\ufeff").strip() for cell in cells]
