"""What happened to a folder's rows, attempt by attempt, from its ledger alone: without the manifest, and while it runs."""

from __future__ import annotations

import shlex
from itertools import chain, islice
from pathlib import Path
from typing import Any

from runner.ledger.history import AttemptHistory, ImageHistory, RowHistory, RunHistory
from runner.ledger.reader import LedgerReader
from runner.text.nearest import nearest
from runner.text.wording import count_text, utc_text
from runner.workspace import lock
from schemas.errors import JobError
from schemas.output_folder import RESULTS_NAME

_LOOKED_AT = 20_000
"""Rows among whose ids a mistyped one is looked for."""
MOST_ROWS = 1000
"""Rows listed at most when none is named."""

Document = dict[str, Any]


def history(out: Path, row: str | None) -> Document:
    """`runs` and `rows`: all runs; the rows of this id, or those sent more than once (`more_rows`: how many are left out).

    row: a row id, or `#12`: the line of results.parquet, from 0. Raises JobError when there is no such folder or row.
    """
    with LedgerReader.open(out) as ledger, ledger.snapshot():
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
        some = chain.from_iterable(ids for _, ids in ledger.row_ids())
        near = nearest(row, islice(some, _LOOKED_AT))
        fix = "name a row_id of results.parquet, or #12 for its line 12 (from 0)"
        raise JobError(
            f"no row {row!r} was sent in {ledger.out}" + (f"; did you mean {near!r}?" if near else ""),
            fix=f"imagemill history {ledger.out} {shlex.quote(near)}" if near else fix,
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
    document = run._asdict()
    document["started"], document["finished"] = (
        _time(document.pop("started_ms")),
        _time(document.pop("finished_ms")),
    )
    if run.exit_code is None:
        document["reason"] = "running" if run.run == live else "killed"
    return document


def _attempt(out: Path, number: int, attempt: AttemptHistory, live: int | None) -> Document:
    document = attempt._asdict() | {"try_number": number}
    document["sent"], document["finished"] = (
        _time(document.pop("sent_ms")),
        _time(document.pop("finished_ms")),
    )
    if attempt.status is None:
        kept = "to be fetched" if attempt.to_fetch else "task open" if attempt.task_id else "unknown"
        document["status"] = "in flight" if attempt.run == live else kept
    document["images"] = [_image(out, image) for image in attempt.images]
    document["missing"] = [missing._asdict() for missing in attempt.missing]
    return document


def _image(out: Path, image: ImageHistory) -> Document:
    document = image._asdict()
    is_there = (out / image.file_name).is_file()
    document["file"] = "pruned" if document.pop("pruned") else "present" if is_there else "missing"
    return document


def _time(ms: int | None) -> str | None:
    return None if ms is None else utc_text(ms)
