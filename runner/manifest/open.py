"""Opens a manifest: a file, a folder, a pattern, a URL or a DataFrame becomes one stream of records."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.addresses import is_glob, is_url
from runner.config.out_folder import manifest_stem
from runner.manifest.columns import known_names
from runner.manifest.formats.dataframe import LABEL, dataframe_table
from runner.manifest.formats.detect import Opener, open_table
from runner.manifest.formats.text import folder_table, local_folder
from runner.manifest.held_files import HeldFiles
from runner.manifest.object_store import remote_folder, remote_sources, shown_url
from runner.manifest.records import Manifest, ManifestError
from runner.manifest.sources import SourceFile, local_source, printable, reading
from runner.manifest.tables import Table
from runner.manifest.union import concatenated
from runner.text.nearest import nearest
from schemas.output_folder import LEDGER_NAME

if TYPE_CHECKING:
    import pandas as pd

_LISTED_FILES = 1_000


def open_manifest(
    spec: str | Path | pd.DataFrame,
    *,
    prompt_col: str | None = None,
    id_col: str | None = None,
    held: HeldFiles | None = None,
) -> Manifest:
    """A path of a file or of a folder of `.txt` files, a pattern over files, an object-store URL, or a DataFrame.

    Only the head of each file is read. prompt_col, id_col: the columns that are the prompt and the id, instead of
    those with the usual names. held: keeps the files as they are now.

    Raises ManifestError (exit 2) where the manifest cannot be read or has no prompts.
    """
    pandas = sys.modules.get("pandas")  # who passes a DataFrame has imported it
    if pandas is not None and isinstance(spec, pandas.DataFrame):
        tables = [dataframe_table(spec)]
        label, stem = LABEL, manifest_stem(None)
    else:
        text = str(spec)
        label = shown_url(text) if is_url(text) else printable(text)
        with reading(label):
            tables = _tables(
                text, label, known_names(prompt_col), _as_they_are if held is None else held.hold
            )
            stem = manifest_stem(text)
    manifest = concatenated(tables, label=label, stem=stem, prompt_col=prompt_col, id_col=id_col)
    return manifest if held is None else manifest._replace(changed=held.changed)


def _as_they_are(source: SourceFile) -> SourceFile:
    return source


def open_tables(spec: str, known: Collection[str], otherwise: Opener) -> list[Table]:
    """The files that a manifest may be, as tables. otherwise: as `open_table` has it. Raises ManifestError."""
    label = shown_url(spec) if is_url(spec) else printable(spec)
    with reading(label):
        return _tables(spec, label, known, _as_they_are, otherwise)


def _tables(
    spec: str,
    label: str,
    known: Collection[str],
    hold: Callable[[SourceFile], SourceFile],
    otherwise: Opener | None = None,
) -> list[Table]:
    path = Path(spec).expanduser() if spec.startswith("~/") else Path(spec)
    files = None
    if is_url(spec):
        files = remote_folder(spec) if label.endswith("/") else None
    elif path.is_dir():
        _refuse_output(path, label)
        files = local_folder(path)
    if files is not None:
        return [folder_table([(name, hold(source)) for name, source in files], label)]
    sources = remote_sources(spec) if is_url(spec) else _local_sources(path, label)
    held = map(hold, sources)
    return [open_table(source, known, otherwise=otherwise)._replace(check=source.check) for source in held]


def _refuse_output(path: Path, label: str) -> None:
    if (path / LEDGER_NAME).is_file():
        raise ManifestError(
            f"{label} is an output folder of imagemill, not a manifest",
            fix=f"imagemill run {label.rstrip('/')}/job.toml goes on with it",
        )


def _local_sources(path: Path, label: str) -> list[SourceFile]:
    if path.is_file():
        return [local_source(path, printable(path.name))]
    if path.exists():
        raise ManifestError(
            f"{label} is no file that can be read twice",
            fix="give it on stdin: … | imagemill run - --out DIR",
        )
    if is_glob(str(path)):
        return _matching_sources(path, label)
    near = _near_file(path)
    raise ManifestError(
        f"there is no file {label}", fix=f"did you mean {printable(near)}?" if near else "check the path"
    )


def _near_file(path: Path) -> str | None:
    if not path.parent.is_dir():
        return None
    others = [
        other for other in islice(path.parent.iterdir(), _LISTED_FILES) if not (other / LEDGER_NAME).exists()
    ]
    near = nearest(path.name, [other.name for other in others])
    return str(path.parent / near) if near else None


def _matching_sources(pattern: Path, label: str) -> list[SourceFile]:
    """The files that match, sorted, without hidden ones and those of an output folder; no two have the same name."""
    parts = pattern.parts
    fixed = next(at for at, part in enumerate(parts) if is_glob(part))
    folder = Path(*parts[:fixed])
    try:
        paths = sorted(path for path in folder.glob(str(Path(*parts[fixed:]))) if path.is_file())
    except ValueError as error:  # `a**`
        raise ManifestError(f"{label}: {error}", fix="put ** between slashes") from error
    own = {path for path in paths if (path.parent / LEDGER_NAME).exists()}
    within = [path.relative_to(folder) for path in paths if path not in own]
    shown = [path for path in within if not any(part.startswith(".") for part in path.parts)]
    if not shown and own:
        raise ManifestError(
            f"{label} finds nothing but imagemill's own files, such as {printable(str(min(own)))}",
            fix="name that file itself where its rows are meant",
        )
    if not shown:
        raise ManifestError(f"no file matches {label}", fix="check the pattern, and quote it in the shell")
    unique = len({path.name for path in shown}) == len(shown)
    return [local_source(folder / path, printable(path.name if unique else str(path))) for path in shown]
