"""The form of a file: by its name, by its content where the name does not tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

from runner.manifest.columns import ALIASES
from runner.manifest.formats.csv import open_csv, open_tsv
from runner.manifest.formats.json import open_json, open_json_lines
from runner.manifest.formats.parquet import open_parquet
from runner.manifest.formats.text import open_lines
from runner.manifest.lines import FIRST_CHUNK_BYTES, MARKS
from runner.manifest.records import ManifestError
from runner.manifest.sources import Source, open_text
from runner.manifest.tables import Table

Opener = Callable[[Source], Table]

OPENERS: dict[str, Opener] = {
    ".csv": open_csv,
    ".tsv": open_tsv,
    ".tab": open_tsv,
    ".jsonl": open_json_lines,
    ".ndjson": open_json_lines,
    ".json": open_json,
    ".txt": open_lines,
    ".parquet": open_parquet,
    ".pq": open_parquet,
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


def open_table(source: Source, *, prompt_col: str | None) -> Table:
    """The file as a table. prompt_col: a name that a file of one column without a known extension may begin with.

    Raises ManifestError where the form is unknown or the file cannot be read.
    """
    suffixes = [suffix.lower() for suffix in PurePath(source.name).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if suffix in FOREIGN:
        raise ManifestError(f"{source.name}: {suffix} files are not read", fix=FOREIGN[suffix])
    opener = OPENERS.get(suffix) or _opener_by_content(source, prompt_col)
    return opener(source)


def _opener_by_content(source: Source, prompt_col: str | None) -> Opener:
    with open_text(source) as file:
        head = file.read(FIRST_CHUNK_BYTES)
    if head.startswith(b"PAR1"):
        return open_parquet
    mark, encoding = next((pair for pair in MARKS if head.startswith(pair[0])), (b"", "utf-8"))
    text = head[len(mark) :].decode(encoding, "replace").lstrip()
    if text.startswith(("{", "[")):
        return open_json
    line = text.splitlines()[0] if text else ""
    if "\t" in line:
        return open_tsv
    if "," in line or ";" in line or line.strip().strip('"') in (*ALIASES["prompt"], prompt_col):
        return open_csv
    raise ManifestError(f"{source.name}: neither its name nor its content tells what it is", fix=_READABLE)
