"""The past runs of a job with their figures, read from the ledgers of its folders."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runner.config.loader import load_job, raw_manifest
from runner.ledger.reader import reading
from runner.ledger.totals import NEVER_SENT
from runner.workspace import lock
from runner.workspace.dated_folders import folders
from schemas.errors import JobError

_LOG = logging.getLogger(__name__)
_RUNS = (
    "SELECT run, run_id, started_ms, finished_ms, exit_code, reason FROM runs LEFT JOIN run_ends USING (run) "
    "ORDER BY run DESC LIMIT ?"
)
_SENT = (
    f"SELECT a.run, sum(kind IS NULL OR kind NOT IN ({NEVER_SENT})), coalesce(sum(maybe_billed), 0), sum(cost_usd), "
    "count(DISTINCT a.item), count(DISTINCT CASE WHEN EXISTS (SELECT 1 FROM attempts b WHERE b.item = a.item "
    "AND b.run < a.run) THEN a.item END) "
    "FROM attempts a LEFT JOIN outcomes o ON o.attempt = a.attempt WHERE a.run >= ? GROUP BY a.run"
)
_IMAGES = "SELECT run, count(*) FROM images JOIN attempts USING (attempt) WHERE run >= ? GROUP BY run"


@dataclass(frozen=True, slots=True)
class PastRun:
    """One start of imagemill on a folder; all counts are of this run alone.

    started: ISO 8601, UTC. duration_s, exit_code: None for a run that was killed or is still going on. rows: sent.
    rows_again: of them those that an earlier run had sent too. requests_sent: those whose first byte left.
    """

    out: str
    run_id: str
    started: str
    duration_s: float | None
    exit_code: int | None
    exit_reason: str
    rows: int
    rows_again: int
    requests_sent: int
    images_saved: int
    maybe_billed: int
    cost_usd: float | None


def past_runs(source: str, limit: int) -> list[PastRun]:
    """The newest runs first. source: an output folder, or a job file: then the runs of all its folders.

    Of several folders one whose ledger cannot be read is a warning. Raises JobError (exit 2) when there is no folder,
    and when its only one cannot be read (2, 7 or 9).
    """
    outs = _folders(source)
    if not outs:
        raise JobError(f"{source} has no output folder yet", fix="imagemill run makes it")
    found: list[PastRun] = []
    for out in outs:
        try:
            found += _of(out, limit)
        except JobError as error:
            if len(outs) == 1:
                raise
            _LOG.warning("%s is left out: %s", out, error.message)
    return sorted(found, key=lambda run: (run.started, run.run_id), reverse=True)[:limit]


def _folders(source: str) -> list[Path]:
    if not source.lower().endswith(".toml"):
        return [Path(source)]
    job = load_job(source, {}, environ=os.environ, cwd=Path.cwd())
    return folders(job, raw_manifest(Path(source)))


def _of(out: Path, limit: int) -> Iterator[PastRun]:
    live = lock.is_held(out)
    with reading(out) as connection:
        connection.execute("BEGIN")
        runs = connection.execute(_RUNS, (limit,)).fetchall()
        if not runs:
            return
        first = runs[-1][0]
        sent = {row[0]: row[1:] for row in connection.execute(_SENT, (first,))}
        images = dict(_pairs(connection, first))
    for at, (run, run_id, started_ms, finished_ms, code, reason) in enumerate(runs):
        requests, maybe, cost, rows, again = sent.get(run, (0, 0, None, 0, 0))
        ended = reason if code is not None else "running" if live and at == 0 else "killed"
        yield PastRun(
            str(out),
            run_id,
            datetime.fromtimestamp(started_ms / 1000, UTC).isoformat(timespec="milliseconds"),
            None if code is None else round((finished_ms - started_ms) / 1000, 3),
            code,
            ended,
            rows,
            again,
            requests,
            images.get(run, 0),
            maybe,
            None if cost is None else round(cost, 6),
        )


def _pairs(connection: sqlite3.Connection, first: int) -> Iterator[tuple[int, int]]:
    yield from connection.execute(_IMAGES, (first,))
