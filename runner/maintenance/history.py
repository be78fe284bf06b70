"""What happened to a folder's rows, attempt by attempt, from its ledger alone: without the manifest, and while it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.ledger.history import AttemptHistory, ImageHistory, RowHistory, RunHistory
from runner.ledger.reader import LedgerReader
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
    with LedgerReader.open(out) as ledger, ledger.one_view():
        last = ledger.last_run() if lock.is_held(out) else None
        live = None if last is None else last.run
        runs = [_run(run, live) for run in ledger.runs()]
        if row is None:
            items, count = ledger.rows_sent_often(MOST_ROWS)
        else:
            items = _named(ledger, row)
            count = len(items)
        rows = [
            {
                "row_id": item.row_id,
                "prompt": item.prompt,
                "attempts": [
                    _attempt(out, number, attempt, live)
                    for number, attempt in enumerate(ledger.attempt_history(item.item), 1)
                ],
            }
            for item in items
        ]
    return {"out": str(out), "runs": runs, "rows": rows, "more_rows": count - len(items)}


def _named(ledger: LedgerReader, row: str) -> list[RowHistory]:
    found = ledger.rows_with_id(row)
    if not found and row.startswith("#") and row[1:].isdecimal():
        found = ledger.rows_with_id(_row_id(ledger.out, int(row[1:])))
    if not found:
        raise JobError(
            f"{ledger.out} has sent no row {row!r}",
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


def _run(run: RunHistory, live: int | None) -> Document:
    told = run._asdict()
    told["started"], told["finished"] = _time(told.pop("started_ms")), _time(told.pop("finished_ms"))
    if run.exit_code is None:
        told["reason"] = "running" if run.run == live else "killed"
    return told


def _attempt(out: Path, number: int, attempt: AttemptHistory, live: int | None) -> Document:
    told = attempt._asdict() | {"try_number": number}
    told["sent"], told["finished"] = _time(told.pop("sent_ms")), _time(told.pop("finished_ms"))
    if attempt.status is None:
        waits = "in flight" if attempt.run == live else "task open" if attempt.task_id else "unknown"
        told["status"] = waits
    told["images"] = [_image(out, image) for image in attempt.images]
    told["missing"] = [missing._asdict() for missing in attempt.missing]
    return told


def _image(out: Path, image: ImageHistory) -> Document:
    told = image._asdict()
    is_there = (out / image.file_name).is_file()
    told["file"] = "pruned" if told.pop("pruned") else "present" if is_there else "missing"
    return told


def _time(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
