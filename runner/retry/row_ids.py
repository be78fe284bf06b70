"""The row ids that `--rows` names."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path

from jobs.addresses import is_glob, is_url
from runner.manifest.formats.text import open_lines
from runner.manifest.open import open_tables
from runner.manifest.records import ManifestError
from runner.manifest.sources import SourceFile, reading
from runner.manifest.stdin import STDIN, manifest_file
from runner.manifest.tables import Table
from schemas.errors import JobError

ID_COLUMNS = ("row_id", "id")


def row_ids(spec: str | Path) -> frozenset[str]:
    """The row ids in whatever a manifest may be (- is stdin): its column `row_id` or `id`, or one a line.

    Raises JobError (exit 2) where it cannot be read, or has no id.
    """
    try:
        with ExitStack() as stack:
            ids = frozenset(_all_ids(_readable_twice(str(spec), stack)))
    except ManifestError as error:
        raise JobError(f"--rows {error.message}", fix=error.fix) from None
    if not ids:
        raise JobError(f"--rows {spec}: no row id in it", fix="one row id a line")
    return ids


def _readable_twice(spec: str, stack: ExitStack) -> str:
    """The same, or a copy of what can be read only once: stdin, a pipe."""
    path = Path(spec)
    if spec != STDIN and (is_url(spec) or is_glob(spec) or not path.is_fifo()):
        return spec
    stream = sys.stdin.buffer if spec == STDIN else stack.enter_context(path.open("rb"))
    return str(stack.enter_context(manifest_file(stream, form=None, known=ID_COLUMNS)))


def _all_ids(spec: str) -> Iterator[str]:
    for table in open_tables(spec, ID_COLUMNS, _one_a_line):
        with reading(table.source):
            yield from _ids(table)


def _one_a_line(source: SourceFile, _known: Collection[str]) -> Table:
    return open_lines(source)


def _ids(table: Table) -> Iterator[str]:
    column = next((name for name in ID_COLUMNS if name in table.names), None)
    if (
        column is None and len(table.names) == 1 and table.names[0] == "prompt"
    ):  # a line, or a string of JSON, each
        column = "prompt"
    if column is None:
        there = ", ".join(table.names)
        raise ManifestError(
            f"{table.source}: has no column row_id or id, but {there}", fix="one row id a line, in UTF-8"
        )
    for block in table.blocks({"id": column}):
        roles, malformed = block.texts()
        for offset, problem in malformed.items():
            if roles["id"][offset] is None:
                raise ManifestError(
                    f"{table.source}: {block.locations[offset]}: {problem}", fix="mend the file"
                )
        yield from (text.strip() for text in roles["id"] if text is not None and text.strip())
