"""The past runs of a job with their figures, read from the ledgers of its folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from runner.config.loader import load_job, raw_manifest
from runner.ledger.queries import RunSums
from runner.ledger.reader import LedgerReader
from runner.text.wording import utc_text
from runner.workspace import lock
from runner.workspace.dated_folders import folders
from schemas.errors import JobError
from schemas.listings import PastRun

_LOG = logging.getLogger(__name__)


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
    with LedgerReader.open(out) as ledger, ledger.snapshot():
        runs = ledger.newest_runs(limit)
        sums = ledger.run_sums(runs[-1].run) if runs else {}
    for at, run in enumerate(runs):
        own = sums.get(run.run, RunSums())
        yield PastRun(
            out=str(out),
            run_id=run.run_id,
            started=utc_text(run.started_ms),
            duration_s=None
            if run.finished_ms is None
            else round((run.finished_ms - run.started_ms) / 1000, 3),
            exit_code=run.exit_code,
            exit_reason=run.reason if run.reason is not None else "running" if live and at == 0 else "killed",
            rows=own.rows,
            rows_again=own.rows_again,
            requests_sent=own.sent,
            images_saved=own.images,
            maybe_billed=own.maybe_billed,
            cost_usd=None if own.cost_usd is None else round(own.cost_usd, 6),
        )
