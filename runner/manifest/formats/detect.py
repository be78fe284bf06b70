"""Detects a file's format: by its name, else by its content."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import PurePath

from jobs.quoting import quoted
from runner.manifest.columns import DELIMITERS, looks_like_names
from runner.manifest.formats.csv import SEP_LINE, open_csv, open_tsv, split_line
from runner.manifest.formats.json import open_json, open_json_lines
from runner.manifest.formats.parquet import open_parquet
from runner.manifest.formats.text import open_lines
from runner.manifest.lines import FIRST_CHUNK_BYTES, MARKS, line_blocks
from runner.manifest.records import ManifestError
from runner.manifest.sources import SourceFile
from runner.manifest.sources import open_text as open_packed
from runner.manifest.tables import Table

Opener = Callable[[SourceFile, Collection[str]], Table]


def open_text(source: SourceFile, known: Collection[str]) -> Table:
    """One prompt a line, unless the first line shows a table or JSON: what a spreadsheet or a script saved as `.txt`.

    Raises ManifestError where that cannot be told, for the lines would be paid for.
    """
    line = _first_line(source)
    if line == "[" or _is_json(line):
        return open_json_lines(source, known) if line.startswith("{") else open_json(source, known)
    marks = [mark for mark in ("\t", *DELIMITERS) if _is_header(split_line(line, mark), known)]
    if not marks and not SEP_LINE.fullmatch(line):
        return open_lines(source)
    table = (open_tsv if marks[:1] == ["\t"] else open_csv)(source, known)
    if (marks[:1] == [","] and ", " in line) or _mostly_malformed(table):
        raise ManifestError(
            f"{source.name}: line 1 looks like the header of a table ({quoted(line)}), but the file is named as plain text",
            fix="name it .csv or .tsv where it is a table; where each line is a prompt, put another line first",
        )
    return table


def _first_line(source: SourceFile) -> str:
    """The first line that is not blank."""
    with open_packed(source) as file:
        lines = (line for block in line_blocks(file) for line in block.lines)
        return next((line.strip("\r\n") for line in lines if not line.isspace()), "")


def _is_json(line: str) -> bool:
    """Whether this is one JSON object or list."""
    if not line.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _is_header(cells: list[str], known: Collection[str]) -> bool:
    """Whether these are the names of columns: several, all different and short, one of them known."""
    return looks_like_names(cells) and not set(known).isdisjoint(cells)


def _mostly_malformed(table: Table) -> bool:
    """Whether more of the first records are malformed than not."""
    first = next(table.blocks({"prompt": table.names[0]}), None)
    return first is not None and 2 * len(first.texts().malformed) > len(first.locations)


OPENERS: dict[str, Opener] = {
    ".csv": open_csv,
    ".tsv": open_tsv,
    ".tab": open_tsv,
    ".jsonl": open_json_lines,
    ".ndjson": open_json_lines,
    ".json": open_json,
    ".txt": open_text,
    ".parquet": lambda source, _: open_parquet(source),
    ".pq": lambda source, _: open_parquet(source),
}

COMPRESSED = (".gz", ".gzip", ".zst", ".zstd")

FOREIGN: dict[str, str] = {
    ".xlsx": "save the sheet as CSV (UTF-8)",
    ".xls": "save the sheet as CSV (UTF-8)",
    ".ods": "save the sheet as CSV (UTF-8)",
    ".feather": "write it as Parquet",
    ".arrow": "write it as Parquet",
    ".zip": "unpack it and name a file or a folder of .txt files",
    ".tar": "unpack it and name a file or a folder of .txt files",
    ".tgz": "unpack it and name a file or a folder of .txt files",
    ".bz2": "unpack it, or pack it with gzip or zstd",
    ".xz": "unpack it, or pack it with gzip or zstd",
}
"""Forms that are not read, and what to do instead."""

_READABLE = "name it .csv, .tsv, .jsonl, .json, .txt or .parquet (text forms also with .gz or .zst)"


def open_table(source: SourceFile, known: Collection[str], *, otherwise: Opener | None = None) -> Table:
    """The file as a table. known: names of columns that a header is known by.

    otherwise: opens a file of which neither name nor content tells the form.
    Raises ManifestError where the form is unknown or the file cannot be read.
    """
    suffixes = [suffix.lower() for suffix in PurePath(source.name).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if suffix in FOREIGN:
        raise ManifestError(f"{source.name}: {suffix} files are not read", fix=FOREIGN[suffix])
    opener = OPENERS.get(suffix) or _opener_by_content(source, known) or otherwise
    if opener is None:
        raise ManifestError(
            f"{source.name}: neither its name nor its content tells what it is", fix=_READABLE
        )
    return opener(source, known)


def form_of(source: SourceFile, known: Collection[str]) -> str:
    """The ending that a file of this content should have: parquet, json, jsonl, csv, tsv, or else txt.

    A line with commas is a prompt, unless it names a known column as a header does.
    """
    with open_packed(source) as file:
        if file.read(4) == b"PAR1":
            return "parquet"
    line = _first_line(source)
    if line.lstrip("\ufeff ").startswith("{"):
        return "jsonl" if _is_json(line) else "json"
    if line.strip() == "[" or _is_json(line):
        return "json"
    if line.strip().strip('"') in known or SEP_LINE.fullmatch(line):
        return "csv"
    marks = [mark for mark in ("\t", *DELIMITERS) if _is_header(split_line(line, mark), known)]
    return ("tsv" if marks[0] == "\t" else "csv") if marks else "txt"


def _opener_by_content(source: SourceFile, known: Collection[str]) -> Opener | None:
    with open_packed(source) as file:
        head = file.read(FIRST_CHUNK_BYTES)
    if head.startswith(b"PAR1"):
        return OPENERS[".parquet"]
    mark, encoding = next((pair for pair in MARKS if head.startswith(pair[0])), (b"", "utf-8"))
    text = head[len(mark) :].decode(encoding, "replace").lstrip()
    if text.startswith(("{", "[")):
        return open_json
    line = text.splitlines()[0] if text else ""
    if "\t" in line:
        return open_tsv
    if any(mark in line for mark in DELIMITERS) or line.strip().strip('"') in known:
        return open_csv
    return None
