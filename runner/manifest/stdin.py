"""A manifest from stdin: it can be read only once, so it becomes a file, of the form that its content shows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from runner.manifest.formats.detect import form_of
from runner.manifest.records import ManifestError
from runner.manifest.sources import local_source, reading

STDIN = "-"
"""What stands for it on the command line."""
_NAME = "stdin"


@contextmanager
def manifest_file(stream: BinaryIO, *, form: str | None, known: Collection[str]) -> Iterator[Path]:
    """All of the stream in a file whose ending tells its form, for as long as the block lasts.

    form: csv, tsv, jsonl, json, txt or parquet; None: as the content shows. known: names of columns.
    Raises ManifestError where it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="imagemill-") as folder:
        raw = Path(folder) / _NAME
        with raw.open("wb") as file:
            shutil.copyfileobj(stream, file)
        if form is None:
            with reading(_NAME):
                form = form_of(local_source(raw, _NAME), known)
        made = raw.rename(raw.with_suffix(f".{form}"))
        try:
            yield made
        except ManifestError as error:
            told = error.message.replace(str(made), _NAME).replace(made.name, _NAME)
            raise ManifestError(told, fix=error.fix, exit_code=error.exit_code) from error
