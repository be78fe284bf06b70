"""Checks before the first request: compares the manifest with what the folder has sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.manifest_diff import warnings
from runner.ledger.attempt_log import alias
from runner.ledger.item_index import ItemIndex
from runner.ledger.ledger_file import LedgerFile
from runner.ledger.reader import LedgerReader
from runner.planning.manifest_diff import ManifestDiff, diff_manifest
from runner.planning.renamed_rows import RenamedRows, renamed_rows
from runner.planning.row_stream import RowStream
from runner.planning.settings_drift import settings_warnings
from runner.planning.version_pins import VersionPins
from runner.text.wording import count_text
from schemas.errors import JobError
from schemas.manifest_diff import ManifestChanges


@dataclass(frozen=True, slots=True)
class Preflight:
    """pins: edited rows that keep their earlier version. warnings: what the user should know."""

    pins: VersionPins = field(default_factory=VersionPins)
    warnings: tuple[str, ...] = ()


def run_preflight(row_stream: RowStream, ledger: LedgerFile, index: ItemIndex) -> Preflight:
    """Look for edited and renamed rows; the whole manifest is read, but for one that is known to be unchanged.

    That is one of which there is a map, made when no row was edited and since when nothing was sent of another. With
    `run.on_change = keep` the ledger remembers renamed rows as others that their items stand for.
    Raises JobError (exit 2) where `run.on_change` is `stop` and there are rows that it is about.
    """
    if not ledger.next_item():
        return Preflight()
    completed = index.completed
    if completed.rows and ledger.nothing_else_sent(completed):
        return Preflight(warnings=tuple(settings_warnings(row_stream, ledger, completed.items)))
    found, renamed = compared(row_stream, ledger, index)
    notes: tuple[str, ...] = tuple(warnings(found.changes(), whole=found.whole))
    if renamed.rows and row_stream.job.run.on_change == "keep":
        ledger.record([alias(each.row.fingerprint, each.item, each.row.row_id) for each in renamed.rows])
        index.alias([(each.row.fingerprint, each.item) for each in renamed.rows])
        notes = (f"{_renamed(len(renamed.rows))}: they are taken for the same rows",)
    return Preflight(found.pins, (*notes, *settings_warnings(row_stream, ledger, found.present)))


def compared(
    row_stream: RowStream, ledger: LedgerReader, index: ItemIndex
) -> tuple[ManifestDiff, RenamedRows]:
    """A whole pass over the manifest. Raises JobError (exit 2) where the user must say what is to become of rows."""
    found = diff_manifest(row_stream, ledger, index)
    renamed = RenamedRows() if found.empty else renamed_rows(found)
    stops = row_stream.job.run.on_change == "stop"
    if not found.refused and not (stops and renamed.rows):
        return found, renamed
    parts = []
    if found.refused:
        parts.append((_edited(found.refused), found.refused_lines()))
    if stops and renamed.rows:
        parts.append((_renamed(len(renamed.rows)), renamed.lines()))
    notes = "\n".join(
        f"{text} (in {ledger.out}):" + "".join(f"\n  {line}" for line in lines) for text, lines in parts
    )
    raise JobError(notes, fix=f"{_FIX}; nothing was sent")


_FIX = (
    "run with --on-change keep to keep the images that they have, or --on-change regenerate to make and pay for them again "
    "(in a job file: run.on_change)"
)


def _edited(count: int) -> str:
    was = count_text(count, "row was", "rows were")
    return f"{was} edited since an image was made or may have been paid for"


def _renamed(count: int) -> str:
    asks = count_text(
        count,
        "row has another id than the same request had",
        "rows have other ids than the same requests had",
    )
    return f"{asks} when an image was made or may have been paid for"


def change_warnings(
    changes: ManifestChanges, renamed: RenamedRows, *, refused: int, whole: bool
) -> Iterator[str]:
    """What `plan` says of the changes. renamed, refused: rows over which a run would stop."""
    texts = [_edited(refused)] if refused else []
    texts += [f"{_renamed(len(renamed.rows))} ({renamed.lines()[0]})"] if renamed.rows else []
    for text in texts:
        yield f"{text}: run sends nothing until you choose --on-change regenerate (as counted here) or --on-change keep"
    yield from warnings(changes, whole=whole)
