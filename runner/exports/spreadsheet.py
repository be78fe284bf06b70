"""`csv`: the results as tables that a spreadsheet opens without running or losing anything. No images are copied."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import pyarrow as pa

from runner.exports.destination import Destination
from runner.exports.layout import json_text

MOST_LINES = 1_048_575
"""Below the header, in one sheet."""
MOST_CHARS = 32_767
"""In one cell."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_LISTS = (list, dict, tuple)


def safe_cell(value: Any) -> str:
    """A cell's text. One that a spreadsheet would run gets an apostrophe before it, which `text[1:]` takes away again."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        text = value
    else:
        text = json_text(value)
        text = text if isinstance(value, _LISTS) else text.strip('"')
    text = _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text)
    return f"'{text}" if _FORMULA.match(text) else text


def safe_header(name: str) -> str:
    """A column's name likewise."""
    return safe_cell(name)


def write_tables(
    tables: Iterator[pa.Table], columns: tuple[str, ...], dest: Destination, most_lines: int = MOST_LINES
) -> tuple[int, int]:
    """Write `results.csv`, and `results-2.csv` and so on where one sheet does not hold all. UTF-8 with a byte order mark.

    Returns how many lines there are, and in how many files.
    """
    lines: Iterator[dict[str, Any]] = (
        line for table in tables for line in table.select(list(columns)).to_pylist()
    )
    first = next(lines, None)
    number, count = 1, 0
    lines = iter(()) if first is None else chain([first], lines)
    while True:
        count += _write_one(file_name(number), lines, columns, dest, most_lines)
        first = next(lines, None)
        if first is None:
            return count, number
        lines = chain([first], lines)
        number += 1


def file_name(number: int) -> str:
    """Of the sheet with this number, from 1."""
    return "results.csv" if number == 1 else f"results-{number}.csv"


def _write_one(
    name: str,
    lines: Iterator[dict[str, Any]],
    columns: Iterable[str],
    dest: Destination,
    most_lines: int,
) -> int:
    written = 0
    with dest.new_file(name) as file:
        text = io.TextIOWrapper(file, "utf-8-sig", newline="", write_through=True)
        table = csv.writer(text, lineterminator="\r\n")
        table.writerow([safe_header(column) for column in columns])
        for line in lines:
            table.writerow([safe_cell(value) for value in line.values()])
            written += 1
            if written == most_lines:
                break
        text.flush()
        text.detach()
    return written
