"""The output folders below a place, each with where it stands; no manifest is read."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.ledger.queries import RunRecord
from runner.ledger.reader import LedgerReader
from runner.results.figures import charged_usd
from runner.results.summary import goes_on, state_of
from runner.text.wording import utc_text
from runner.workspace import lock
from schemas.errors import JobError
from schemas.listings import FolderState
from schemas.output_folder import LEDGER_NAME, SUMMARY_NAME

_LOG = logging.getLogger(__name__)
_PASSED_OVER = frozenset({"node_modules", "__pycache__", "site-packages"})
_DEEPEST = 8


def folders_below(place: Path) -> Iterator[FolderState]:
    """In order of names. One whose ledger cannot be read is a warning. Raises JobError (exit 2) where there is no place."""
    if not place.is_dir():
        raise JobError(f"{place} is no folder", fix="name a folder, or leave it out for the current one")
    for out in _found(place):
        try:
            yield _state(out)
        except JobError as error:
            _LOG.warning("%s is left out: %s", out, error.message)


def _found(place: Path) -> Iterator[Path]:
    depth = len(place.parts)
    for folder, names, files in os.walk(place):
        here = Path(folder)
        if LEDGER_NAME in files:
            names.clear()
            yield here
            continue
        deep = len(here.parts) - depth >= _DEEPEST
        names[:] = (
            [] if deep else sorted(name for name in names if name[0] != "." and name not in _PASSED_OVER)
        )


def _state(out: Path) -> FolderState:
    held = lock.is_held(out)
    with LedgerReader.open(out) as ledger, ledger.snapshot():
        last, sums, simulated = ledger.last_run(), ledger.totals(), ledger.is_simulated()
    state, reason = state_of(last, live=goes_on(last, held=held))
    told = {} if last is None else _told(out, last)
    touched = None if last is None else utc_text(last.finished_ms or last.started_ms)
    return FolderState(
        out=str(out),
        state=state,
        simulated=simulated,
        exit_code=None if last is None else last.exit_code,
        exit_reason=reason,
        rows=told.get("rows"),
        images=told.get("images"),
        by_status=told.get("by_status"),
        images_saved=sums.images,
        cost_usd=charged_usd(sums),
        touched=touched,
    )


def _told(out: Path, last: RunRecord) -> dict[str, Any]:
    """What the last run wrote of itself; nothing where that is of an earlier one."""
    try:
        found = json.loads((out / SUMMARY_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("run_id") == last.run_id else {}
