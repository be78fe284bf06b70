"""The table of relays, made from their rows and their recorded answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

from runner.simulator.dialects.model import names
from runner.simulator.dialects.recordings import recorded
from schemas.task_dialects import AUTO, DIALECTS, GENERATIONS, SYNC, TaskDialect

_HEAD = ("`--dialect`", "a task is asked for by", "and polled at")
_GENERAL = (
    (f"`{AUTO.name}` (default)", "nothing", "the URL that the answer tells, else the places below in turn"),
    (f"`{SYNC}`", "nothing, whatever the profile says", "the same, should one come"),
)


def relay_table() -> str:
    """Every value of `--dialect` as a Markdown table; relays that are asked and polled alike share a line."""
    alike: dict[tuple[str, str], list[str]] = {}
    for row in DIALECTS.values():
        if row is not AUTO:
            alike.setdefault((_asked_by(row), _polled_at(row)), []).append(f"`{row.name}`")
    rows = [_HEAD, ("---",) * len(_HEAD), *_GENERAL]
    rows += [(", ".join(found), *cells) for cells, found in alike.items()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _asked_by(row: TaskDialect) -> str:
    return ", ".join(_switches(row)) or "nothing"


def _switches(row: TaskDialect) -> Iterator[str]:
    if row.submit_path != GENERATIONS:
        yield f"the path `{row.submit_path}`"
    if row.submit_query:
        yield f"`?{'&'.join(f'{name}={value}' for name, value in row.submit_query)}`"
    for name, value in row.submit_body:
        yield f"`{json.dumps(name)}: {json.dumps(value)}` in the body"
    if row.key_header:
        yield f"key in `{row.key_header}`"


def _polled_at(row: TaskDialect) -> str:
    tells = names(recorded(row.name, "submitted")) & {"poll_url", "poll_path"}
    places = ", ".join(f"`{path.replace('{id}', 'ID')}`" for path in row.poll_paths)
    return f"the URL that it tells, else {places}" if tells else places
