"""Figures for a `Summary`: of the newest run alone, and of the folder's whole life."""

from __future__ import annotations

import time
from typing import Any

from runner.ledger.completion_cache import CompletedRows
from runner.ledger.queries import RunRecord
from runner.ledger.reader import LedgerReader
from runner.ledger.statistics import Totals
from runner.text.wording import utc_text
from schemas.counts import Counts
from schemas.summary import FolderFigures


def charged_usd(sums: Totals) -> float | None:
    """What is known to have been charged; None where images have no known price. Without any image it is nothing."""
    if sums.cost_usd is not None:
        return round(sums.cost_usd, 6)
    return None if sums.images else 0.0


def folder_figures(
    ledger: LedgerReader, completed: CompletedRows, last: RunRecord | None, *, live: bool
) -> FolderFigures:
    """Of the whole life. last: the newest run. live: it goes on, so that its open requests are no loss yet."""
    sums = ledger.totals(completed)
    undecided = 0 if live else ledger.undecided_attempts(completed)
    runs = 0 if last is None else last.run + 1
    return FolderFigures(runs, sums.sent, sums.images, sums.maybe_billed + undecided, charged_usd(sums))


def run_figures(ledger: LedgerReader, run: RunRecord, counts: Counts, *, live: bool) -> dict[str, Any]:
    """The fields of a `Summary` that are of the newest run. live: it goes on."""
    figures = ledger.run_figures(run.run)
    sums = figures.totals
    charged = charged_usd(sums)
    end_ms = time.time() * 1000 if run.finished_ms is None and live else run.finished_ms
    duration_s = 0.0 if end_ms is None else round((end_ms - run.started_ms) / 1000, 3)
    done = figures.rows - figures.rows_waiting
    return {
        "run_id": run.run_id,
        "started": utc_text(run.started_ms),
        "finished": None if run.finished_ms is None else utc_text(run.finished_ms),
        "duration_s": duration_s,
        "rows_sent": figures.rows,
        "rows_skipped": max(0, counts.rows - counts.pending_rows - done),
        "requests_sent": sums.sent,
        "images_saved": sums.images,
        "maybe_billed": sums.maybe_billed + (0 if live else figures.undecided),
        "cost_usd": charged,
        "maybe_usd": round(max(0.0, sums.spent_usd - (sums.cost_usd or 0.0)), 6),
        "eta_s": round(counts.pending_rows * duration_s / done, 1) if live and done else None,
    }
