"""Opens a manifest: a file, a folder, a pattern, a URL or a DataFrame becomes one stream of records."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.addresses import is_glob, is_url
from runner.config.out_folder import manifest_stem
from runner.manifest.formats.dataframe import LABEL, dataframe_table
from runner.manifest.formats.detect import open_table
from runner.manifest.formats.text import folder_table, local_folder
from runner.manifest.object_store import remote_folder, remote_sources, shown_url
from runner.manifest.records import Manifest, ManifestError
from runner.manifest.sources import Source, local_source, printable, reading
from runner.manifest.tables import Table
from runner.manifest.union import concatenated
from runner.text.nearest import nearest

if TYPE_CHECKING:
    import pandas as pd

_LISTED_FILES = 1_000


def open_manifest(
    spec: str | Path | pd.DataFrame, *, prompt_col: str | None = None, id_col: str | None = None
) -> Manifest:
    """A path of a file or of a folder of `.txt` files, a pattern over files, an object-store URL, or a DataFrame.

    Only the head of each file is read. prompt_col, id_col: the columns that are the prompt and the id, instead of
    those with the usual names. Raises ManifestError (exit 2) where the manifest cannot be read or has no prompts.
    """
    pandas = sys.modules.get("pandas")  # who passes a DataFrame has imported it
    if pandas is not None and isinstance(spec, pandas.DataFrame):
        tables = [dataframe_table(spec)]
        label, stem = LABEL, manifest_stem(None)
    else:
        text = str(spec)
        label = shown_url(text) if is_url(text) else printable(text)
        with reading(label):
            tables = _tables(text, label, prompt_col)
            stem = manifest_stem(text)
    return concatenated(tables, label=label, stem=stem, prompt_col=prompt_col, id_col=id_col)


def _tables(spec: str, label: str, prompt_col: str | None) -> list[Table]:
    if is_url(spec) and label.endswith("/"):
        return [folder_table(remote_folder(spec), label)]
    path = Path(spec).expanduser() if spec.startswith("~/") else Path(spec)
    if not is_url(spec) and path.is_dir():
        return [folder_table(local_folder(path), label)]
    sources = remote_sources(spec) if is_url(spec) else _local_sources(path, label)
    return [open_table(source, prompt_col=prompt_col) for source in sources]


def _local_sources(path: Path, label: str) -> list[Source]:
    if path.is_file():
        return [local_source(path, printable(path.name))]
    if path.exists():
        raise ManifestError(f"{label} is no file that can be read twice", fix="save it to a file first")
    if is_glob(str(path)):
        return _matching_sources(path, label)
    near = _near_file(path)
    raise ManifestError(
        f"there is no file {label}", fix=f"did you mean {printable(near)}?" if near else "check the path"
    )


def _near_file(path: Path) -> str | None:
    if not path.parent.is_dir():
        return None
    near = nearest(path.name, [other.name for other in islice(path.parent.iterdir(), _LISTED_FILES)])
    return str(path.parent / near) if near else None


def _matching_sources(pattern: Path, label: str) -> list[Source]:
    """The files that match, sorted, without hidden ones; named so that no two have the same name."""
    parts = pattern.parts
    fixed = next(at for at, part in enumerate(parts) if is_glob(part))
    folder = Path(*parts[:fixed])
    try:
        paths = sorted(path for path in folder.glob(str(Path(*parts[fixed:]))) if path.is_file())
    except ValueError as error:  # `a**`
        raise ManifestError(f"{label}: {error}", fix="put ** between slashes") from error
    within = [path.relative_to(folder) for path in paths]
    shown = [path for path in within if not any(part.startswith(".") for part in path.parts)]
    if not shown:
        raise ManifestError(f"no file matches {label}", fix="check the pattern, and quote it in the shell")
    unique = len({path.name for path in shown}) == len(shown)
    return [local_source(folder / path, printable(path.name if unique else str(path))) for path in shown]
