"""Keyword arguments of `runner.retry` as the request that the command makes of its options."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jobs.selection import RetrySelection
from runner.api.options import RetryOptions, SelectionOptions
from runner.api.tables import kinds_of
from runner.config.keywords import refuse_unknown
from runner.results.picks import read_picks
from runner.retry.request import RetryRequest, parse_overrides, since
from runner.retry.row_ids import ID_COLUMNS, row_ids
from schemas.errors import JobError
from schemas.job_options import JOB_OPTIONS

_SELECTION = tuple(SelectionOptions.__annotations__)
_KEYS = {option.flag[2:].replace("-", "_"): option.key for option in JOB_OPTIONS}


def retry_request(options: Mapping[str, Any]) -> RetryRequest:
    """Raises JobError for what is no option of `retry`, or has no such value."""
    refuse_unknown(options, RetryOptions.__annotations__, "retry")
    given = {_KEYS[name]: value for name, value in options.items() if name in _KEYS}
    changes, settings = parse_overrides(
        [(key, _written(value)) for key, value in options.get("set", {}).items()],
        [(name, _written(value)) for name, value in options.get("param", {}).items()],
        {key: value for key, value in given.items() if value not in (None, (), [])},
    )
    typed = {
        name: _recorded(options[name])
        for name in _SELECTION
        if name != "yes" and options.get(name) is not None
    }
    picks = options.get("picks")
    return RetryRequest(
        _selection(options),
        changes,
        settings,
        bool(options.get("yes")),
        typed,
        None if picks is None else read_picks(Path(picks)),
    )


def _selection(options: Mapping[str, Any]) -> RetrySelection:
    moment, rows = options.get("since"), options.get("rows")
    return RetrySelection(
        kinds=kinds_of(options.get("error") or ()),
        flags=frozenset(_texts(options.get("flag") or ())),
        since_ms=None if moment is None else _since(moment),
        where=options.get("where"),
        row_ids=None if rows is None else _ids(rows),
        picked=options.get("picks") is not None,
        **{name: bool(options.get(name)) for name in ("parked", "pending", "succeeded", "missing")},
    )


def _since(moment: str | datetime | timedelta) -> int:
    now = datetime.now().astimezone()
    if isinstance(moment, timedelta):
        moment = now - moment
    return since(moment.isoformat() if isinstance(moment, datetime) else str(moment), now)


def _ids(rows: Any) -> frozenset[str]:
    if isinstance(rows, str | os.PathLike):
        return row_ids(os.fspath(rows))
    named = next((name for name in ID_COLUMNS if name in getattr(rows, "columns", ())), None)
    if named is None and hasattr(rows, "columns"):
        raise JobError("rows: the table has no column row_id or id", fix="pass the ids: rows=table['…']")
    ids = frozenset(map(str, rows if named is None else rows[named]))
    if not ids:
        raise JobError("rows: no row id in it", fix="pass row ids, or a file that has one a line")
    return ids


def _texts(values: str | Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(map(str, values))


def _written(value: Any) -> str:
    """The value as TOML, as `--set` would have it; JSON is TOML for texts, numbers, booleans and lists."""
    return json.dumps(value)


def _recorded(value: Any) -> Any:
    """What the ledger keeps of how rows were chosen."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, os.PathLike | datetime | timedelta):
        return str(value)
    listed = list(map(str, value))
    return listed if len(listed) <= 100 else f"{len(listed):,} ids"
