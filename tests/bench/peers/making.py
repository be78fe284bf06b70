"""Long manifests, and folders in which all but their last rows are done, made without sending a request."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.naming import image_name
from runner.artifacts.atomic_files import Folder
from runner.config.loader import load_job
from runner.ledger import writer as ledger
from runner.ledger.completion_cache import CompletionBuilder
from runner.planning.prepare import PreparedJob, prepare
from runner.planning.row_stream import RowStream
from schemas.output_folder import LEDGER_NAME
from schemas.request import canonical_params
from schemas.row import Row

DONE_SHARE = 0.99
ENDPOINT = "http://127.0.0.1:9/v1"
"""Where nobody listens; planning and writing tables never ask."""
_STEP = 100_000
_WORDS, _WORD, _IN_PROMPT = 4000, 8, 23
_PICTURE_BYTES = 1_512_883
_COLUMNS = {
    "items": ("item", "fingerprint", "row_id", "prompt"),
    "attempts": ("attempt", "item", "run", "params", "n", "sent_ms"),
    "outcomes": ("attempt", "finished_ms", "status", "http_status", "maybe_billed", "created", "latency_s"),
    "images": ("attempt", "idx", "file_name", "format", "width", "height", "bytes", "sha256"),
}


@dataclass(frozen=True, slots=True)
class Long:
    """A manifest of so many rows, and the folder in which 99 % of them are done."""

    rows: int
    manifest: Path
    out: Path

    @property
    def done(self) -> int:
        """Rows that are done: the first ones, as after a run that was interrupted."""
        return int(self.rows * DONE_SHARE)


def long(folder: Path, rows: int) -> Long:
    """The manifest and the folder, made where they are not there from an earlier bench."""
    made = Long(rows, folder / f"{rows}.parquet", folder / f"{rows}-done")
    if not made.manifest.exists():
        write_manifest(made.manifest, rows)
    if not (made.out / "ready").exists():
        fill(made)
        (made.out / "ready").touch()
    return made


def write_manifest(path: Path, rows: int) -> None:
    """Parquet with an id and a distinct prompt of 192 characters a row, like `manifest.py` of the shared measurements."""
    schema = pa.schema([("id", pa.int64()), ("prompt", pa.string())])
    chance = np.random.default_rng(6)
    words = np.array([f"{number:07x} ".encode() for number in range(_WORDS)], dtype=f"S{_WORD}")
    part = path.with_suffix(".part")
    with pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for first in range(0, rows, _STEP):
            numbers = np.arange(first, min(first + _STEP, rows))
            chosen = words[chance.integers(0, _WORDS, (len(numbers), _IN_PROMPT))]
            ends = np.char.zfill(numbers.astype(f"S{_WORD}"), _WORD)[:, None]
            text = np.ascontiguousarray(np.hstack([chosen, ends.astype(f"S{_WORD}")]))
            width = _WORD * (_IN_PROMPT + 1)
            starts = np.arange(0, (len(numbers) + 1) * width, width, dtype=np.int32)
            buffers = (pa.py_buffer(starts), pa.py_buffer(text))
            prompts = pa.StringArray.from_buffers(len(numbers), *buffers)
            writer.write_table(pa.table([pa.array(numbers), prompts], schema=schema))
    part.replace(path)


def prepared(manifest: Path, out: Path) -> PreparedJob:
    """The job that the command would run with these and the bench's endpoint."""
    overrides = {"endpoint.base_url": ENDPOINT, "out": str(out)}
    return prepare(load_job(str(manifest), overrides, environ={}, cwd=manifest.parent), sends=False)


def fill(made: Long) -> None:
    """Write the ledger of a run in which the first rows succeeded, with the columns that `runner.store` writes, and the
    map of what is done that its end would have left."""
    made.out.mkdir(exist_ok=True)
    (made.out / LEDGER_NAME).unlink(missing_ok=True)
    connection = ledger.create_or_open(made.out, simulated=False)
    now_ms = int(time.time() * 1000)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("INSERT INTO runs VALUES (0, 'bench', ?, 'bench', ?, NULL)", (now_ms, ENDPOINT))
    connection.execute("INSERT INTO run_ends VALUES (0, ?, 130, 'interrupted')", (now_ms,))
    row_stream = prepared(made.manifest, made.out).row_stream
    builder = CompletionBuilder(row_stream.job)
    for chunk in _chunks(made, row_stream, builder, connection, now_ms):
        connection.execute("BEGIN")
        for table, names in _COLUMNS.items():
            marks = ",".join("?" * len(names))
            statement = f"INSERT INTO {table} ({','.join(names)}) VALUES ({marks})"
            connection.executemany(statement, chunk[table])
        connection.execute("COMMIT")
    builder.save(Folder(made.out), connection, set())
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _chunks(
    made: Long, row_stream: RowStream, builder: CompletionBuilder, connection: sqlite3.Connection, now_ms: int
) -> Iterator[dict[str, list[Any]]]:
    """The records of the rows that are done, batch by batch of the manifest."""
    attempt = 0
    known: dict[str, int] = {}
    for batch in row_stream.batches():
        first = attempt
        chunk: dict[str, list[Any]] = {table: [] for table in _COLUMNS}
        digests = os.urandom(32 * len(batch.rows))
        for place, row in enumerate(batch.rows):
            if attempt >= made.done or not isinstance(row, Row):
                break
            params = _params(row, known, connection)
            chunk["items"].append((attempt, row.fingerprint, row.row_id, row.request.prompt))
            chunk["attempts"].append((attempt, attempt, 0, params, row.request.n, now_ms))
            chunk["outcomes"].append((attempt, now_ms + 4000, "succeeded", 200, 0, 1_760_000_000, 4.0))
            name = image_name(attempt, 0, row.row_id, "png")
            digest = digests[32 * place : 32 * place + 32]
            chunk["images"].append((attempt, 0, name, "png", 720, 700, _PICTURE_BYTES, digest))
            attempt += 1
        builder.add(range(first, attempt), range(first, attempt), batch.keys[: attempt - first])
        yield chunk
        if attempt >= made.done:
            return


def _params(row: Row, known: dict[str, int], connection: sqlite3.Connection) -> int:
    body = canonical_params(row.request.params)
    if body not in known:
        connection.execute("INSERT INTO params (body) VALUES (?)", (body,))
        known[body] = connection.execute("SELECT max(params) FROM params").fetchone()[0]
    return known[body]
