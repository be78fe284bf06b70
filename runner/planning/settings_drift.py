"""Finished rows that were made with other request defaults than the job has now. They are kept and not bought again."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.rows import resolve_params
from runner.planning.row_stream import Intake
from schemas.request import FIELDS

_UNSEEN = frozenset({"response_format", "moderation"})
"""Fields that leave no trace in the image."""
_TOLD = 3
_FINISHED = (
    "SELECT a.item, a.params FROM attempts a JOIN outcomes o USING (attempt) "
    "WHERE a.params IN (SELECT value FROM json_each(?)) AND o.status = 'succeeded' AND a.indexes IS NULL "
    "AND NOT EXISTS (SELECT 1 FROM attempts b JOIN outcomes p ON p.attempt = b.attempt WHERE b.item = a.item "
    "AND b.attempt > a.attempt AND p.status = 'succeeded' AND b.indexes IS NULL)"
)


def settings_warnings(
    intake: Intake, connection: sqlite3.Connection, out: Path, present: npt.NDArray[np.bool_]
) -> Iterator[str]:
    """A warning for each way in which the defaults differ from what finished rows were made with, the most rows first.

    present: which items are rows of the manifest, by number.

    Only fields that the manifest has no column for are compared: a row's own value is no default. The rows are looked
    at only where a set of parameters differs, and there are few of these sets.
    """
    differing = {
        params: tuple(_differences(json.loads(body), intake))
        for params, body in connection.execute("SELECT params, body FROM params")
    }
    wanted = json.dumps([params for params, changes in differing.items() if changes])
    counts: Counter[tuple[tuple[str, Any, Any], ...]] = Counter()
    if wanted != "[]":
        for item, params in connection.execute(_FINISHED, (wanted,)):
            counts[differing[params]] += item < len(present) and bool(present[item])
    for changes, rows in (+counts).most_common(_TOLD):
        told = ", ".join(f"{name}: {_text(old)} -> {_text(new)}" for name, old, new in changes)
        anew = " ".join(f"--set {name}={new}" for name, _, new in changes if new is not None)
        which = "1 finished row was made with other settings ({}) and is kept"
        if rows > 1:
            which = f"{rows:,} finished rows were made with other settings ({{}}) and are kept"
        yield f"{which.format(told)}; to make anew: imagemill retry {out} --succeeded --yes {anew}".rstrip()


def _differences(body: Mapping[str, Any], intake: Intake) -> Iterator[tuple[str, str | None, str | None]]:
    now = resolve_params((), intake.defaults, intake.manifest.columns)
    if now.problem is not None:
        return
    defaults = dict(now.params)
    own = {*intake.manifest.columns, *intake.defaults.untaken, *_UNSEEN}
    for name in (*FIELDS, *sorted(({*body} | {*defaults}) - {*FIELDS})):
        if name not in own and body.get(name) != defaults.get(name):
            yield name, _shown(body.get(name)), _shown(defaults.get(name))


def _shown(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value)


def _text(value: str | None) -> str:
    return "(default)" if value is None else value
