"""imagemill from Python.

    import runner            # or: import imagemill

    summary = runner.run("prompts.csv", out="runs/a", simulate=True)
    summary.failures         # what is not fine, as a pandas DataFrame
    table = runner.results("runs/a")

Importing this package imports nothing heavy; each call imports what it needs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

# Packages with the name of a function below are loaded first: a later import would put the package in its place.
from runner import results as _results  # noqa: F401
from runner import retry as _retry  # noqa: F401

if TYPE_CHECKING:
    from typing import Unpack

    import pandas as pd

    from runner.api.exports import ExportReport as ExportReport
    from runner.api.options import AnyPath, ExportOptions, ReportOptions, RetryOptions, RunOptions
    from runner.api.reports import Failures as Failures
    from runner.api.reports import FolderReport as FolderReport
    from runner.api.reports import PlanReport as PlanReport
    from runner.api.reports import VerifyReport as VerifyReport
    from runner.api.runs import OnProgress
    from runner.api.summary import RunSummary as RunSummary
    from runner.manifest.records import ManifestError as ManifestError
    from schemas.errors import JobError as JobError
    from schemas.errors import JobWarning as JobWarning
    from schemas.reports import Progress as Progress

    Rows: TypeAlias = str | PathLike[str] | pd.DataFrame | pd.Series | Iterable[Any] | Mapping[str, Any]
    __version__: str

IMAGEMILL_PACKAGE = "runner"

_LAZY = {
    "ExportReport": "runner.api.exports",
    "Failures": "runner.api.reports",
    "FolderReport": "runner.api.reports",
    "JobError": "schemas.errors",
    "JobWarning": "schemas.errors",
    "ManifestError": "runner.manifest.records",
    "PlanReport": "runner.api.reports",
    "Progress": "schemas.reports",
    "RunSummary": "runner.api.summary",
    "VerifyReport": "runner.api.reports",
}

__all__ = [
    "ExportReport",
    "Failures",
    "FolderReport",
    "JobError",
    "JobWarning",
    "ManifestError",
    "PlanReport",
    "Progress",
    "RunSummary",
    "VerifyReport",
    "__version__",
    "export",
    "failures",
    "plan",
    "report",
    "results",
    "retry",
    "run",
    "run_async",
    "status",
    "verify",
]


def _refuse_shadows() -> None:
    """Raises ImportError where `jobs` or `schemas` is somebody else's. The command says so itself, without a traceback."""
    if Path(sys.argv[0] if sys.argv else "").name in ("imagemill", "-m"):
        return
    home = Path(__file__).resolve().parents[1]
    for name in ("schemas", "jobs"):
        found = getattr(sys.modules.get(name), "__file__", None)
        if name not in sys.modules:
            spec = find_spec(name)
            found = None if spec is None else spec.origin
        if found is None or Path(found).resolve() != home / name / "__init__.py":
            raise ImportError(
                f"Python finds {found or 'no file'} where imagemill's own package `{name}` should be: rename yours, "
                "or start Python from another folder (or with -P, and without PYTHONPATH)"
            )


_refuse_shadows()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("runner.process.version").VERSION
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'runner' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def run(
    manifest: Rows, *, on_progress: OnProgress | None = None, **options: Unpack[RunOptions]
) -> RunSummary:
    """Run a job to its end; inside a running event loop (a notebook) too.

    manifest: what the command takes (a path, a glob, a URL, a job file), or rows: a DataFrame of pandas or polars with a
        column `prompt`, an Arrow table, a list of prompts or of dicts. Rows need `out`, the folder that they are kept in.
    on_progress: called a few times a second with a frozen `Progress`; what it returns is awaited if it can be. If it raises,
        it is not called again, the run goes on, and the summary has a warning.
    options: the command's options with `_` for `-` (`out=`, `simulate=`, `rpm=`, `max_cost=`, …); settings without an
        option of their own by dotted key: `set={"limits.window_s": 1}`.

    Progress shows by itself on a terminal and in a notebook, unless there is `on_progress`; `progress="plain"` prints lines
    on stderr, `"none"` nothing. Notes of the run, and that rows have failed, are told as a `JobWarning` too.

    Ctrl-C, or whatever else interrupts it, gives answers in flight ten seconds (or `drain`) to arrive, has the results table
    written, and is raised then; a second one ends the run within two seconds.

    Returns: the summary, also where rows have failed: see its `ok`, `failures`, `raise_for_status()`.

    Raises:
        JobError: the run could not start; a note of it says what to do. ManifestError: because of the manifest.
    """
    from runner.api import runs

    return runs.run(manifest, on_progress, options)


async def run_async(
    manifest: Rows, *, on_progress: OnProgress | None = None, **options: Unpack[RunOptions]
) -> RunSummary:
    """The same for a program that has an event loop, which goes on meanwhile. Cancelling is as interrupting."""
    from runner.api import runs

    return await runs.run_async(manifest, on_progress, options)


def plan(manifest: Rows, *, all: bool = False, **options: Unpack[RunOptions]) -> PlanReport:
    """What `run` with the same arguments would do: rows, requests, cost (USD) and time (seconds). Sends and writes nothing.

    all: list every invalid row, not the first ones. Raises JobError for what the run would refuse.
    """
    from runner.api import runs

    return runs.plan(manifest, options, every=all)


@overload
def retry(
    out: AnyPath,
    *,
    dry_run: Literal[False] = False,
    on_progress: OnProgress | None = None,
    **options: Unpack[RetryOptions],
) -> RunSummary: ...
@overload
def retry(out: AnyPath, *, dry_run: Literal[True], **options: Unpack[RetryOptions]) -> PlanReport: ...
def retry(
    out: AnyPath,
    *,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
    **options: Unpack[RetryOptions],
) -> RunSummary | PlanReport:
    """Send rows of an output folder again: the failed and pending ones that all selections name; see `imagemill retry`.

    options: `error=`, `where=`, `rows=` and so on say which; the others are those of `run`, for this call. Old attempts are
        kept. `set={"prompt": "{prompt}, watercolour"}` changes what is sent.
    dry_run: tell what would be sent, and send nothing.

    Raises JobError where nothing could be sent, and for a success that would be paid for again without `yes=True`.
    """
    from runner.api import runs

    return runs.retry(out, on_progress, options, dry_run=dry_run)


def status(out: AnyPath) -> RunSummary:
    """Where a folder stands, also while a run goes on: then `state` is `running`, and `exit_code` None.

    Raises JobError (a FileNotFoundError too) when it is not an imagemill folder.
    """
    from runner.api import folders

    return folders.status(out)


def failures(out: AnyPath, *, error: str | Iterable[str] = (), where: str | None = None) -> Failures:
    """The rows of a folder that are not fine, with why and what mends them; also while a run goes on.

    error: only these kinds. where: an SQL expression over the columns of results.parquet.

    Returns: a value whose `table` is a DataFrame with one row an image. Raises JobError as `status` does.
    """
    from runner.api import folders

    return folders.failures(out, error, where)


def report(out: AnyPath, *others: AnyPath, **options: Unpack[ReportOptions]) -> FolderReport:
    """Build pages over a folder's results, or over those of several: figures, contact sheet, comparison, picks.

    They open from the disk without a server; see `imagemill report`. options: `where=`, `sample=`, `seed=`, `dest=`,
        `single_file=`, `png=`, as the command has them.

    Returns: a value whose `page` is the file to open. Raises JobError as `status` does, and where it cannot be written.
    """
    from runner.api import folders

    return folders.report(out, others, options)


def verify(out: AnyPath, *, repair: bool = False, decode: bool = False) -> VerifyReport:
    """Re-read every image and table of a folder against its ledger. Sends nothing.

    repair: restore what can be restored without paying. decode: the pixels of every image too. Raises JobError as `status`
    does; for what is damaged see the report's `ok`, `problems`, `raise_for_status()`.
    """
    from runner.api import folders

    return folders.verify(out, repair=repair, decode=decode)


def export(out: AnyPath, dest: AnyPath, *, to: str, **options: Unpack[ExportOptions]) -> ExportReport:
    """Make a dataset of a folder's images in `dest`; the same call again goes on where one was interrupted.

    to: `imagefolder`, `parquet`, `webdataset`, `csv`, `geneval`, `t2i-compbench`, `dpg-bench`, `unigenbench` or `genarena`.
    options: those of `imagemill export`, with `_` for `-`.

    Raises JobError where nothing was exported. Images that are damaged are left out: see the report's `ok`, `damaged`,
    `raise_for_status()`.
    """
    from runner.api import exports

    return exports.export(out, dest, to, options)


def results(out: AnyPath) -> pd.DataFrame:
    """`results.parquet` of an output folder, one row an image asked for, in manifest order.

    Types are pandas' nullable ones: missing texts and numbers are `pd.NA`, and a width stays a whole number. The column
    `path` is added: each image's absolute path (unless the manifest has a column of that name). Pixels, bytes, USD, seconds.

    Raises JobError (a FileNotFoundError too) when there is no such folder, or no table in it yet.
    """
    from runner.api import tables

    return tables.results(out)
