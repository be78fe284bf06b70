"""imagemill from Python: `run`, `run_async` and `results`.

    import runner

    summary = runner.run("prompts.csv", out="runs/a", simulate=True)
    table = runner.results("runs/a")

Importing this package imports nothing heavy; each call imports what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The package `results` is loaded first: a later import of it would put the module where the function of its name stands.
from runner import results as _results  # noqa: F401

if TYPE_CHECKING:
    import pandas as pd

    from schemas.job import Job
    from schemas.reports import Progress, Summary

IMAGEMILL_PACKAGE = "runner"

__all__ = ["results", "run", "run_async"]


def run(
    manifest: str | Path | pd.DataFrame,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Summary:
    """Run a job to its end and return its summary. Not for use inside a running event loop: see `run_async`.

    manifest: what the command takes (a path, a glob, a URL, a job file) or a DataFrame with a column `prompt`.
    on_progress: called a few times a second with a frozen `schemas.reports.Progress`.
    options: the command's options with `_` for `-` (`out=`, `simulate=`, `rpm=`, `max_cost=`, …); settings without an
        option of their own by dotted key: `set={"limits.window_s": 1}`.

    Raises `schemas.errors.JobError` when nothing could be sent; otherwise the summary's `exit_code` tells.
    """
    import asyncio

    return asyncio.run(run_async(manifest, on_progress=on_progress, **options))


async def run_async(
    manifest: str | Path | pd.DataFrame,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Summary:
    """The same inside a running event loop."""
    import os
    from datetime import date

    from runner.config.keywords import overrides_of
    from runner.config.loader import load_job
    from runner.schedule.scheduled_run import run_nightly_async

    overrides = overrides_of(options)
    source = str(manifest) if isinstance(manifest, str | Path) else None
    if source is None:
        overrides.setdefault("out", "runs/dataframe")

    def on(day: date | None) -> Job:
        dated = overrides if day is None else overrides | {"date": day.isoformat()}
        return load_job(source, dated, environ=os.environ, cwd=Path.cwd())

    frame = None if isinstance(manifest, str | Path) else manifest
    return await run_nightly_async(on(None), source, on, manifest=frame, observer=on_progress)


def results(out: str | Path) -> pd.DataFrame:
    """`results.parquet` of an output folder, one row an image asked for. Raises FileNotFoundError without one."""
    import pandas as pd

    return pd.read_parquet(Path(out) / "results.parquet")
