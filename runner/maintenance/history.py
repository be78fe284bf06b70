"""What happened to a folder's rows, attempt by attempt, from its ledger alone: without the manifest, and while it runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.ledger import item_index
from runner.ledger.reader import reading
from runner.text.wording import count_text
from runner.workspace import lock
from schemas.errors import JobError
from schemas.output_folder import RESULTS_NAME

MOST_ROWS = 1000
"""Rows told without naming one."""

Document = dict[str, Any]

_RUNS = (
    "SELECT run, run_id, started_ms, version, endpoint, command, finished_ms, exit_code, reason, "
    "(SELECT count(*) FROM attempts a WHERE a.run = r.run) AS attempts, "
    "(SELECT count(*) FROM images JOIN attempts a USING (attempt) WHERE a.run = r.run) AS images, "
    "(SELECT coalesce(sum(maybe_billed), 0) FROM outcomes JOIN attempts a USING (attempt) WHERE a.run = r.run) "
    "AS maybe_billed, "
    "(SELECT sum(cost_usd) FROM outcomes JOIN attempts a USING (attempt) WHERE a.run = r.run) AS cost_usd "
    "FROM runs r LEFT JOIN run_ends USING (run) ORDER BY run"
)
_ATTEMPTS = (
    "SELECT a.attempt, a.run, r.run_id, r.endpoint, a.sent_ms, a.prompt, p.body, a.indexes, o.finished_ms, o.status, "
    "o.kind, o.code, o.message, o.http_status, o.maybe_billed, o.cost_usd, o.cost_estimated, o.request_id, "
    "coalesce(o.task_id, t.task_id) AS task_id, o.input_tokens, o.output_tokens, o.latency_s, o.flags, o.quarantined "
    "FROM attempts a JOIN runs r USING (run) JOIN params p USING (params) LEFT JOIN outcomes o USING (attempt) "
    "LEFT JOIN tasks t USING (attempt) WHERE a.item = ? ORDER BY a.attempt"
)
_IMAGES = (
    "SELECT idx, file_name, format, width, height, bytes, sha256, revised_prompt, flags, pruned_ms "
    "FROM images LEFT JOIN pruned USING (attempt, idx) WHERE attempt = ? ORDER BY idx"
)
_MISSING = "SELECT idx, kind, message FROM missing WHERE attempt = ? ORDER BY idx"
_OFTEN = "FROM items JOIN (SELECT item, count(*) AS tries FROM attempts GROUP BY item) USING (item) WHERE tries > 1"


def history(out: Path, row: str | None) -> Document:
    """`runs` and `rows`: all runs; the rows of this id, or those sent more than once (`more_rows`: how many are left out).

    row: a row id, or `#12`: the line of results.parquet, from 0. Raises JobError when there is no such folder or row.
    """
    with reading(out) as connection, item_index.one_view(connection):
        connection.row_factory = sqlite3.Row
        live = connection.execute("SELECT max(run) FROM runs").fetchone()[0] if lock.is_held(out) else None
        runs = [_run(found, live) for found in connection.execute(_RUNS)]
        if row is None:
            items = connection.execute(
                f"SELECT item, row_id, prompt {_OFTEN} ORDER BY item LIMIT ?", (MOST_ROWS,)
            ).fetchall()
            more = connection.execute(f"SELECT count(*) {_OFTEN}").fetchone()[0] - len(items)
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


def _named(out: Path, connection: sqlite3.Connection, row: str) -> list[sqlite3.Row]:
    query = "SELECT item, row_id, prompt FROM items WHERE row_id = ? ORDER BY item"
    found = connection.execute(query, (row,)).fetchall()
    if not found and row.startswith("#") and row[1:].isdecimal():
        found = connection.execute(query, (_row_id(out, int(row[1:])),)).fetchall()
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


def _run(found: sqlite3.Row, live: int | None) -> Document:
    told = dict(found)
    told["started"], told["finished"] = _time(told.pop("started_ms")), _time(told.pop("finished_ms"))
    told["command"] = json.loads(told["command"]) if told["command"] else None
    if told["exit_code"] is None:
        told["reason"] = "running" if found["run"] == live else "killed"
    return told


def _attempts(out: Path, connection: sqlite3.Connection, item: int, live: int | None) -> Iterator[Document]:
    for number, found in enumerate(connection.execute(_ATTEMPTS, (item,)).fetchall(), 1):
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
        images = connection.execute(_IMAGES, (found["attempt"],))
        told["images"] = [_image(out, dict(image)) for image in images]
        told["missing"] = [dict(missing) for missing in connection.execute(_MISSING, (found["attempt"],))]
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
