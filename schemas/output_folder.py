"""Names of the files in an output folder."""

from __future__ import annotations

LEDGER_NAME = "ledger.sqlite"
RESULTS_NAME = "results.parquet"
JOB_NAME = "job.toml"
JOB_HEADER = "# The resolved job of this folder, written by imagemill. It holds no secrets.\n"
SUMMARY_NAME = "summary.json"
IMAGES = "images"
QUARANTINE = "quarantine"
LOGS = "logs"
"""Folder of one JSON-lines file a run, `<run id>.jsonl`."""
REPORT = "report"
"""Folder that `report` writes unless told another."""

TEMPORARY = ".tmp"
"""Folder below OUT for files that are not finished; emptied by the next run that holds the lock."""
BALLAST = "ballast"
"""File in `TEMPORARY` that sets disk space aside while a run goes on."""
TRIAL = ".trial"
"""File that is made and removed in a folder below OUT, to see whether it can be written; a kill may leave it."""
