"""Records of CSV and TSV as lists of fields, each with the number of the line it starts on.

After a malformed record, reading goes on at the line below its first one: a stray quote costs one record, not the rest
of the file. Where the record had run over very many lines, they are read one by one, so that the work stays linear.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import count, islice

from runner.manifest.formats.tsv import split_record
from runner.manifest.lines import MAX_RECORD_BYTES, Lines, UnclosedRecord
from runner.manifest.tables import Malformed

Row = list[str]

REREAD_LINES = 100
"""A malformed record over more lines than this has them read one by one."""

_TSV_LOOK_AHEAD_CHARS = MAX_RECORD_BYTES // 4  # so that `Lines`, which counts bytes, never gives up first

_UNCLOSED = f"a quoted value opens here and does not close within {MAX_RECORD_BYTES >> 20} MiB; close it"


def csv_rows(
    lines: Lines, *, start: int, width: int, delimiter: str
) -> Iterator[tuple[int, Row | Malformed]]:
    """Line number and fields of each record from line `start` on, quoting as in RFC 4180."""
    if csv.field_size_limit() < MAX_RECORD_BYTES:
        csv.field_size_limit(MAX_RECORD_BYTES)  # of the whole process, so it is only ever raised
    restart: int | None = start
    one_by_one_to = inside_to = start
    while restart is not None:
        if restart < one_by_one_to:
            yield from _single_lines(lines, restart, one_by_one_to, width, delimiter)
            restart = one_by_one_to
        records, restart = _split(lines, restart, delimiter), None
        for at, stop, row in records:
            item = _checked(row, width, delimiter)
            if item is None:
                continue
            yield at, _with_problem(item, lines.problem(at, stop), inside=at < inside_to)
            if isinstance(item, Malformed) and stop > at + 1:
                restart, inside_to = at + 1, max(inside_to, stop)
                one_by_one_to = stop if stop - at > REREAD_LINES else restart
                break


def tsv_rows(lines: Lines, *, start: int, width: int) -> Iterator[tuple[int, Row | Malformed]]:
    """Line number and fields of each record from line `start` on; quotes as `tsvquotes` tells."""
    source = lines.read_from(start)
    at = start
    one_by_one_to = start
    while (line := next(source, None)) is not None:
        lines.hold, stop = at, at + 1
        row = line.rstrip("\r\n").split("\t")
        if '"' in line:
            following = lines.read_from(stop) if stop >= one_by_one_to else iter(())
            row, used, looked = _careful_split(line, following, width)
            if used > 1:
                stop = at + used
                source = lines.read_from(stop)
            elif looked > REREAD_LINES:
                one_by_one_to = stop + looked
        item = _checked([] if row == [""] else row, width, "\t")
        if item is not None:
            yield at, _with_problem(item, lines.problem(at, stop))
        at = stop


def _careful_split(line: str, following: Iterator[str], width: int) -> tuple[Row, int, int]:
    """Fields, lines that the record takes, and lines that were looked at to find that out."""
    looked_at = count()
    ahead = (text for text, _ in zip(following, looked_at, strict=False))
    row, used = split_record(line, ahead, width, _TSV_LOOK_AHEAD_CHARS)
    return row, used, next(looked_at)


def _split(lines: Lines, start: int, delimiter: str) -> Iterator[tuple[int, int, Row | Malformed]]:
    """First line, line after the last, and fields of each record; ends where a record is not closed in time."""
    reader = csv.reader(lines.read_from(start), delimiter=delimiter, strict=True)
    at = lines.hold = start
    while True:
        row: Row | Malformed | None
        try:
            row = next(reader, None)
        except csv.Error as error:
            row = _wrong_quotes(error, next(lines.read_from(at)), delimiter)
        except UnclosedRecord:
            kept = _first_cell(next(lines.read_from(at)), delimiter)
            yield at, max(at + 2, start + reader.line_num), Malformed(_UNCLOSED, kept)
            return
        if row is None:
            return
        stop = start + reader.line_num
        yield at, stop, row
        at = lines.hold = stop


def _single_lines(
    lines: Lines, start: int, stop: int, width: int, delimiter: str
) -> Iterator[tuple[int, Row | Malformed]]:
    """Records of lines `start` to `stop - 1`, none of which may run over its line's end."""
    for at, line in enumerate(islice(lines.read_from(start), stop - start), start):
        lines.hold = at
        try:
            item = _checked(next(csv.reader((line,), delimiter=delimiter, strict=True)), width, delimiter)
        except csv.Error as error:
            item = _wrong_quotes(error, line, delimiter)
        if item is not None:
            yield at, _with_problem(item, lines.problem(at, at + 1), inside=True)


def readable_cells(row: Row | None, width: int, *, first: bool) -> Sequence[str | None]:
    """What can be told of a malformed record of a table of this width: its cells that are text.

    row: all of its cells, or the first alone: nothing can have shifted that. first: whether it counts then.
    """
    if row is None or width == 1:
        return (None,) * width
    if len(row) != width:
        told = first and _is_text(row[0])
        return (row[0] if told else None, *(None,) * (width - 1))
    return [cell if _is_text(cell) else None for cell in row]


def _is_text(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_problem(item: Row | Malformed, problem: str | None, *, inside: bool = False) -> Row | Malformed:
    """The record, whose lines may have a problem of their own.

    inside: it may be a line of a malformed record before it; then nothing that it holds can be told for sure.
    """
    if problem is None and not (inside and isinstance(item, Malformed)):
        return item
    if isinstance(item, Malformed):
        return Malformed(problem or item.problem, None if inside else item.kept)
    return Malformed(problem or "", item)


def _first_cell(line: str, delimiter: str) -> Row | None:
    """The first cell of a record whose quotes go wrong further on, alone; None where it cannot be told."""
    if line.startswith('"'):
        found = re.match(r'"((?:[^"]++|"")*+)"' + re.escape(delimiter), line)
        return None if found is None else [found[1].replace('""', '"')]
    cell, mark, _ = line.partition(delimiter)
    return [cell] if mark and '"' not in cell else None


def _wrong_quotes(error: csv.Error, line: str, delimiter: str) -> Malformed:
    return Malformed(
        f"its quotes do not match ({error}); close each quoted value and double the quotes inside it",
        _first_cell(line, delimiter),
    )


def _checked(row: Row | Malformed, width: int, delimiter: str) -> Row | Malformed | None:
    """The row where it has as many fields as the header; None for a blank line."""
    if isinstance(row, Malformed) or len(row) == width:
        return row
    if not row or (len(row) == 1 and row[0].isspace()):
        return None
    found = f"{len(row):,} field{'s' * (len(row) != 1)}"
    sign = "a tab" if delimiter == "\t" else repr(delimiter)
    fix = "add what is missing" if len(row) < width else f"put quotes around a value that holds {sign}"
    return Malformed(f"has {found}, the header has {width:,}; {fix}", row[:1] if len(row) > 1 else None)
