"""What is read of an output folder: its path, the results table, the rows that are not fine. Nothing sends a request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from runner.api.options import AnyPath
from runner.app.failures import FolderFailures
from runner.cli.error_kinds import error_kinds
from runner.cli.lines.failures import cells
from runner.results.failures import FailureReport, FailureRow
from runner.text.nearest import nearest
from schemas.errors import JobError
from schemas.failures import FailureKind
from schemas.output_folder import LEDGER_NAME, RESULTS_NAME

if TYPE_CHECKING:
    import pandas as pd

_WHOLE = frozenset(("row", "image_index", "http_status", "attempts", "attempt", "maybe_billed"))
"""Columns of failures that hold whole numbers; the others hold texts."""


class NoFolder(JobError, FileNotFoundError):
    """There is no such output folder, or no results table in it."""


def folder_of(out: AnyPath) -> Path:
    """The path of an output folder. Raises NoFolder with the nearest name where it is none."""
    path = Path(os.fspath(out))
    if any((path / name).exists() for name in (LEDGER_NAME, "job.toml", RESULTS_NAME)):
        return path
    there = [str(folder.relative_to(path.parent)) for folder in _folders(path.parent)]
    near = nearest(path.name, there)
    if near is not None:
        fix = f"did you mean {str(path.parent / near)!r}?"
    elif there:
        fix = f"there are: {', '.join(str(path.parent / name) for name in sorted(there)[:5])}"
    else:
        fix = "name the folder that runner.run(…, out=…) wrote, as seen from the current folder"
    raise NoFolder(f"{str(path)!r} is not an output folder of imagemill", fix=fix)


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        yield from (folder for folder in parent.iterdir() if (folder / LEDGER_NAME).exists())


def results(out: AnyPath) -> pd.DataFrame:
    """See `runner.results`."""
    import pandas as pd

    folder = folder_of(out).absolute()
    file = folder / RESULTS_NAME
    if not file.exists():
        raise NoFolder(
            f"{str(out)!r} has no results table yet",
            fix="it is written within a minute of the start of a run; runner.failures reads the ledger",
        )
    frame = pd.read_parquet(file, dtype_backend="numpy_nullable")
    if "path" not in frame.columns:
        frame["path"] = pd.array([_absolute(folder, name) for name in frame["file_name"]], dtype="string")
    return frame


def _absolute(folder: Path, name: Any) -> str | None:
    if not isinstance(name, str):
        return None
    return name if "://" in name else str(folder / name)


def first_images(folder: Path, most: int) -> list[tuple[str, Path]]:
    """Id and file of the first images of the results table; none where there is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: list[tuple[str, Path]] = []
    try:
        with pq.ParquetFile(folder / RESULTS_NAME) as table:
            for batch in table.iter_batches(1000, columns=["row_id", "file_name"]):
                for row_id, name in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    if name is not None and "://" not in name:
                        found.append((row_id, folder / name))
                    if len(found) == most:
                        return found
    except (OSError, pa.ArrowException):  # the summary is shown without pictures
        return found
    return found


@dataclass(frozen=True)
class FailureTable:
    """The rows of a folder that are not fine, as of one moment, and how many there are of each group."""

    folder: FolderFailures
    report: FailureReport
    rows: tuple[FailureRow, ...]

    @classmethod
    def read(cls, out: AnyPath, error: str | Iterable[str] = (), where: str | None = None) -> Self:
        """Read it from the ledger. Raises JobError as `runner.failures` does."""
        folder = FolderFailures(folder_of(out), kinds_of(error), where)
        report = FailureReport()
        return cls(folder, report, tuple(folder.read(report)))

    def cells(self) -> list[dict[str, Any]]:
        """Each row by column, with keys replaced in its texts."""
        return list(map(cells, self.rows))

    def frame(self) -> pd.DataFrame:
        """The same as a DataFrame of nullable types."""
        import pandas as pd

        lines = self.cells()
        columns = {
            name: pd.array([line[name] for line in lines], dtype="Int64" if name in _WHOLE else "string")
            for name in FailureRow._fields
        }
        return pd.DataFrame(columns)


def kinds_of(error: str | Iterable[str]) -> frozenset[FailureKind]:
    """Kinds of failures by name. Raises JobError for one that is none, with the nearest."""
    names = (error,) if isinstance(error, str) else tuple(map(str, error))
    with usage_told():
        return error_kinds(names)


@contextmanager
def usage_told() -> Iterator[None]:
    """What a command would refuse as wrong usage is a JobError."""
    try:
        yield
    except click.UsageError as error:
        raise JobError(error.format_message(), fix="the names are those of the command's --help") from None
