"""Rows that come from a Python program or from stdin: kept in the job's folder, so that every command finds them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pyarrow.parquet as pq

from runner.artifacts.atomic_files import replace_file
from runner.manifest.formats.dataframe import LABEL
from runner.manifest.formats.python_values import values_table
from runner.planning.preflight import compared
from runner.planning.prepare import new_run, no_rows, prepare, refuse_empty
from runner.workspace.folder import open_workspace
from schemas.job import Job
from schemas.output_folder import TEMPORARY

MANIFEST_COPY = "manifest.parquet"


def keep_rows(job: Job, rows: object) -> Job:
    """Store the rows in the job's folder and make the job read them from there. Raises JobError.

    Rows that were edited where the job says to stop do not take the place of those before.
    """
    table = values_table(rows, prompt_col=job.columns.prompt, id_col=job.columns.id)
    if not (table.num_rows or job.input.allow_empty):
        raise no_rows(LABEL)
    return _kept(job, MANIFEST_COPY, lambda stream: pq.write_table(table, stream))


def keep_file(job: Job, file: Path) -> Job:
    """The same with a manifest that is read only once: its bytes are kept as they are, under its ending. Raises JobError."""

    def write(stream: IO[bytes]) -> None:
        with file.open("rb") as source:
            shutil.copyfileobj(source, stream)

    refuse_empty(prepare(job.model_copy(update={"manifest": str(file)}), sends=False).row_stream)
    return _kept(job, f"{Path(MANIFEST_COPY).stem}{file.suffix}", write)


def _kept(job: Job, copy: str, write: Callable[[IO[bytes]], None]) -> Job:
    """Write a manifest into the job's folder, and make the job read it from there."""
    _, out = new_run(job)

    def keep(name: str) -> Job:
        replace_file(workspace.folder, name, write)
        return job.model_copy(update={"manifest": str(out / name), "out": str(out)})

    with open_workspace(out, job, keeps_job=False) as workspace:
        index = workspace.ledger.item_index()
        if len(index):
            candidate = f"{TEMPORARY}/{copy}"
            try:
                compared(prepare(keep(candidate), sends=False).row_stream, workspace.ledger, index)
            finally:
                (out / candidate).unlink(missing_ok=True)
        return keep(copy)
