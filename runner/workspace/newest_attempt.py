"""The newest attempt that a folder's files tell of: a ledger that does not know it has forgotten what was paid for.

Attempts are numbered without gaps, and files bear the numbers. Looked at are the names in the two folders of `images/` with
the highest numbers, in `quarantine/` and of spool files, the figures that `results.parquet` keeps of its column `attempt`,
and the head of `.done`: a few thousand names at most where bodies are few, and no file's content.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from jobs.naming import EXTENSIONS
from runner.artifacts.spool import spool_files
from runner.ledger.completion_cache import MAP_NAME
from runner.ledger.reader import LedgerReader
from schemas.errors import ExitCode, JobError
from schemas.output_folder import IMAGES, LEDGER_NAME, QUARANTINE, RESULTS_NAME

_FOLDERS = 2
_NUMBER = re.compile(r"\d{4,15}")
_IMAGE = re.compile(rf"(?:^|-)(\d{{1,15}})-\d{{1,9}}\.(?:{'|'.join(EXTENSIONS.values())})$")
_BODY = re.compile(r"(?:^|-)(\d{1,15})(?:-[0-9a-f]{6})?\.body$")
_SPOOL = re.compile(r"^spool-(\d{1,15})\.tar$")


class Trace(NamedTuple):
    """A file that an attempt has left. path: relative to OUT."""

    attempt: int
    path: str


def newest_trace(out: Path) -> Trace | None:
    """The newest attempt that any file tells of; None where none does."""
    return max(_traces(out), default=None)


def check_ledger(ledger: LedgerReader, trace: Trace | None) -> None:
    """Raises JobError (exit 7) where the ledger does not know of the newest attempt that was found before it was opened."""
    if trace is None or trace.attempt < (known := ledger.next_attempt()):
        return
    knows = f"knows of {known:,} only" if known else "knows of none"
    raise JobError(
        f"{trace.path} is of request {trace.attempt + 1:,}, and {ledger.out / LEDGER_NAME} {knows}: "
        "it is older than the files beside it (a copy that was put back, or one without its -wal file)",
        fix="put the newer ledger back, with its -wal file; or take in what is there: "
        f"imagemill verify {ledger.out} --repair",
        exit_code=ExitCode.DAMAGED,
    )


def _traces(out: Path) -> Iterator[Trace]:
    folders = sorted((name for name in _names(out / IMAGES) if _NUMBER.fullmatch(name)), key=int)
    for folder in folders[-_FOLDERS:]:
        yield from _named(out, f"{IMAGES}/{folder}", _IMAGE)
    yield from _named(out, QUARANTINE, _BODY)
    for path in spool_files(out):
        yield from _named(path.parent, "", _SPOOL)
    yield from _of_table(out)
    with suppress(OSError, ValueError, KeyError, TypeError), (out / MAP_NAME).open("rb") as file:
        settled = int(json.loads(file.readline(2**16))["attempts"])
        if settled:
            yield Trace(settled - 1, MAP_NAME)


def _named(out: Path, folder: str, form: re.Pattern[str]) -> Iterator[Trace]:
    for name in _names(out / folder):
        match = form.search(name)
        if match is not None:
            yield Trace(int(match[1]), f"{folder}/{name}".lstrip("/"))


def _names(folder: Path) -> list[str]:
    with suppress(OSError):
        return os.listdir(folder)
    return []


def _of_table(out: Path) -> Iterator[Trace]:
    """What the table's own statistics say; a table that cannot be read, or has none, says nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with suppress(OSError, ValueError, pa.ArrowException):  # ValueError: text of it is no UTF-8
        metadata = pq.read_metadata(out / RESULTS_NAME)
        column = metadata.schema.names.index("attempt") if "attempt" in metadata.schema.names else None
        for group in range(metadata.num_row_groups if column is not None else 0):
            figures = metadata.row_group(group).column(column).statistics
            if figures is not None and figures.has_min_max:
                yield Trace(int(figures.max), RESULTS_NAME)
