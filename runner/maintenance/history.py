"""What happened to a folder's rows, attempt by attempt, from its ledger alone: without the manifest, and while it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.ledger import item_index, queries
from runner.ledger.queries import Connection, Record
from runner.ledger.reader import reading
from runner.text.wording import count_text
from runner.workspace import lock
from schemas.errors import JobError
from schemas.output_folder import RESULTS_NAME

MOST_ROWS = 1000
"""Rows told without naming one."""

Document = dict[str, Any]


def history(out: Path, row: str | None) -> Document:
    """`runs` and `rows`: all runs; the rows of this id, or those sent more than once (`more_rows`: how many are left out).

    row: a row id, or `#12`: the line of results.parquet, from 0. Raises JobError when there is no such folder or row.
    """
    with reading(out) as connection, item_index.one_view(connection):
        live = queries.newest_run(connection) if lock.is_held(out) else None
        runs = [_run(found, live) for found in queries.runs(connection)]
        if row is None:
            items, more = queries.rows_sent_often(connection, MOST_ROWS)
        else:
            items, more = _named(out, connection, row), 0
        rows = [
            {
                "row_id": item["row_id"],
                "prompt": item["prompt"],
                "attempts": list(_attempts(out, connection, item["item"], live)),
            }
            for item in items
        ]
    return {"out": str(out), "runs": runs, "rows": rows, "more_rows": more}


def _named(out: Path, connection: Connection, row: str) -> list[Record]:
    found = queries.rows_of(connection, row)
    if not found and row.startswith("#") and row[1:].isdecimal():
        found = queries.rows_of(connection, _row_id(out, int(row[1:])))
    if not found:
        raise JobError(
            f"{out} has sent no row {row!r}",
            fix="name a row_id of results.parquet, or #12 for its line 12 (from 0)",
        )
    return found


def _row_id(out: Path, line: int) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        ids = pq.read_table(out / RESULTS_NAME, columns=["row_id"]).column(0)
    except (OSError, pa.ArrowException) as error:
        raise JobError(
            f"{out / RESULTS_NAME} cannot be read: {error}", fix="name the row by its id"
        ) from None
    if line >= len(ids):
        lines = count_text(len(ids), "line")
        raise JobError(f"results.parquet has {lines}, from #0 to #{len(ids) - 1}")
    return str(ids[line].as_py())


def _run(found: Record, live: int | None) -> Document:
    told = dict(found)
    told["started"], told["finished"] = _time(told.pop("started_ms")), _time(told.pop("finished_ms"))
    told["command"] = json.loads(told["command"]) if told["command"] else None
    if told["exit_code"] is None:
        told["reason"] = "running" if found["run"] == live else "killed"
    return told


def _attempts(out: Path, connection: Connection, item: int, live: int | None) -> Iterator[Document]:
    for number, found in enumerate(queries.attempts_of(connection, item), 1):
        told = dict(found)
        told["try_number"] = number
        told["sent"], told["finished"] = _time(told.pop("sent_ms")), _time(told.pop("finished_ms"))
        told["params"] = json.loads(told.pop("body"))
        told["indexes"] = json.loads(told["indexes"]) if told["indexes"] else None
        told["flags"] = json.loads(told["flags"]) if told["flags"] else []
        told["cost_estimated"] = bool(told["cost_estimated"])
        if told["status"] is None:
            waits = "in flight" if found["run"] == live else "task open" if found["task_id"] else "unknown"
            told["status"] = waits
        told["images"] = [_image(out, image) for image in queries.images_of(connection, found["attempt"])]
        told["missing"] = queries.missing_of(connection, found["attempt"])
        yield told


def _image(out: Path, image: Document) -> Document:
    image["sha256"] = image["sha256"].hex()
    image["flags"] = json.loads(image["flags"]) if image["flags"] else []
    pruned = image.pop("pruned_ms") is not None
    is_there = (out / image["file_name"]).is_file()
    image["file"] = "pruned" if pruned else "present" if is_there else "missing"
    return image


def _time(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
