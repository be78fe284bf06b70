"""Names of the files in an output folder."""

from __future__ import annotations

LEDGER_NAME = "ledger.sqlite"
RESULTS_NAME = "results.parquet"


TEMPORARY = ".tmp"
"""Folder below OUT for files that are not finished; emptied by the next run that holds the lock."""
