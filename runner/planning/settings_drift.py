"""Warns of finished rows that were made with other request defaults than the job has now. They are kept as they are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.rows import resolve_params
from runner.ledger.reader import LedgerReader
from runner.planning.row_stream import RowStream
from schemas.request import FIELDS
from schemas.secret_names import without_secrets

_UNSEEN = frozenset({"response_format", "moderation", "n"})
"""Fields that leave no trace in the image; of a larger `n` the run sends what is not there yet."""
_MOST_WARNINGS = 3


def settings_warnings(
    row_stream: RowStream, ledger: LedgerReader, present: npt.NDArray[np.bool_]
) -> Iterator[str]:
    """A warning for each way in which the defaults differ from what finished rows were made with, the most rows first.

    present: which items are rows of the manifest, by number.

    Only fields that the manifest has no column for are compared: a row's own value is no default. The rows are looked
    at only where a set of parameters differs, and there are few of these sets.
    """
    differing = {number: tuple(_differences(body, row_stream)) for number, body in ledger.params().items()}
    wanted = [number for number, changes in differing.items() if changes]
    counts: Counter[tuple[tuple[str, Any, Any], ...]] = Counter()
    if wanted:
        for item, params in ledger.finished_with(wanted):
            counts[differing[params]] += item < len(present) and bool(present[item])
    for changes, rows in (+counts).most_common(_MOST_WARNINGS):
        differences = ", ".join(f"{name}: {_text(old)} -> {_text(new)}" for name, old, new in changes)
        anew = " ".join(f"--set {name}={new}" for name, _, new in changes if new is not None)
        which = "1 finished row was made with other settings ({}) and is kept"
        if rows > 1:
            which = f"{rows:,} finished rows were made with other settings ({{}}) and are kept"
        yield f"{which.format(differences)}; to make anew: imagemill retry {ledger.out} --succeeded --yes {anew}".rstrip()


def _differences(
    body: Mapping[str, Any], row_stream: RowStream
) -> Iterator[tuple[str, str | None, str | None]]:
    now = resolve_params((), row_stream.defaults, row_stream.manifest.columns)
    if now.problem is not None:
        return
    defaults = without_secrets(dict(now.params))  # as the ledger has them
    own = {*row_stream.manifest.columns, *row_stream.defaults.untaken, *_UNSEEN}
    for name in (*FIELDS, *sorted(({*body} | {*defaults}) - {*FIELDS})):
        if name not in own and body.get(name) != defaults.get(name):
            yield name, _shown(body.get(name)), _shown(defaults.get(name))


def _shown(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value)


def _text(value: str | None) -> str:
    return "(default)" if value is None else value
