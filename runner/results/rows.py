"""The values of a results row, from a manifest row and its attempts."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jobs.state import ImageState, RowState
from runner.ledger import statements
from schemas.failures import FailureKind, RowStatus
from schemas.outcome import PRUNED
from schemas.request import FIELDS
from schemas.row import Row, RowProblem

_INTEGER_FIELDS = {name for name, rule in FIELDS.items() if rule.kind is int}

_STEP = 16_384
Values = dict[str, Any]


class Facts(NamedTuple):
    """About the whole folder. live: a run is going on. stopped: why the last run ended before its work was done."""

    live: bool
    stopped: str
    duplicates: frozenset[str]


def stop_message(connection: sqlite3.Connection) -> str:
    """Why rows that were not sent were not."""
    row = connection.execute(
        "SELECT reason FROM run_ends WHERE run = (SELECT max(run) FROM runs) AND exit_code NOT IN (0, 3)"
    ).fetchone()
    return (
        f"the run ended before this row's turn ({row[0]})" if row else "the run ended before this row's turn"
    )


def _starts(connection: sqlite3.Connection) -> Iterator[tuple[int, npt.NDArray[np.uint64]]]:
    """The first eight bytes of every image's sha256, by steps of attempts, each with its first attempt; put together by
    SQLite, which is faster than row by row."""
    count = connection.execute("SELECT coalesce(max(attempt) + 1, 0) FROM images").fetchone()[0]
    for first in range(0, count, _STEP):
        found = connection.execute(
            "SELECT CAST(group_concat(substr(sha256, 1, 8), '') AS BLOB) FROM images WHERE attempt >= ? AND attempt < ?",
            (first, first + _STEP),
        ).fetchone()[0]
        yield first, np.frombuffer(found or b"", dtype="<u8")


def duplicates(connection: sqlite3.Connection) -> frozenset[str]:
    """sha256 (hex) of images that are there more than once, byte for byte."""
    steps = list(_starts(connection))
    starts = np.concatenate([np.empty(0, dtype="<u8"), *(part for _, part in steps)])
    starts.sort()
    likely = np.unique(starts[1:][starts[1:] == starts[:-1]])
    if not len(likely):
        return frozenset()
    wanted = json.dumps([start.tobytes().hex() for start in likely])
    seen: Counter[bytes] = Counter()
    for first, part in steps:
        if np.isin(part, likely).any():
            found = connection.execute(
                "SELECT sha256 FROM images WHERE attempt >= ? AND attempt < ? "
                "AND lower(hex(substr(sha256, 1, 8))) IN (SELECT value FROM json_each(?))",
                (first, first + _STEP, wanted),
            )
            seen.update(digest for (digest,) in found)
    return frozenset(digest.hex() for digest, times in seen.items() if times > 1)


def invalid_values(row: RowProblem) -> Values:
    """The results row of a row that cannot be sent."""
    values: Values = {
        "row_id": statements.storable(row.row_id),
        "row": row.position,
        "image_index": 0,
        "status": RowStatus.INVALID.value,
        "prompt": statements.storable(row.prompt),
        "error_kind": FailureKind.INVALID_ROW.value,
        "error_message": statements.storable(row.message),
        "attempts": 0,
        "maybe_billed": 0,
        "flags": [],
    }
    for name, text in row.fields:
        values[name] = _small_integer(text) if name in _INTEGER_FIELDS else statements.storable(text)
    return values


def _small_integer(text: str) -> int | None:
    try:
        value = int(text)
    except ValueError:
        return None
    return value if -32768 <= value <= 32767 else None


def row_values(row: Row, state: RowState, facts: Facts) -> list[Values]:
    """The results rows of one manifest row, an image each."""
    shared: Values = {
        "row_id": row.row_id,
        "row": row.position,
        "prompt": row.request.prompt,
        "attempts": state.attempts,
        "maybe_billed": state.maybe_billed,
        "cost_usd": None if state.cost_usd is None else state.cost_usd / row.request.n,
    }
    return [shared | _image_values(row, index, image, facts) for index, image in enumerate(state.images)]


def _image_values(row: Row, index: int, state: ImageState, facts: Facts) -> Values:
    values: Values = {"image_index": index, "status": state.status.value, "flags": []}
    attempt = state.attempt
    params = attempt.params if attempt is not None else dict(row.request.params)
    values |= {name: params.get(name) for name in FIELDS}
    if state.status is not RowStatus.SUCCEEDED:
        _explain(values, state, facts)
    if attempt is None:
        return values
    values |= {
        "sent_prompt": attempt.prompt,
        "attempt": attempt.attempt,
        "try_number": state.try_number,
        "revised_prompt": state.revised_prompt,
        "http_status": attempt.http_status,
        "endpoint": attempt.endpoint,
        "input_tokens": attempt.reported.input_tokens,
        "output_tokens": attempt.reported.output_tokens,
        "request_id": attempt.reported.request_id,
        "task_id": attempt.reported.task_id,
        "created": None if attempt.reported.created is None else attempt.reported.created * 1000,
        "started_at": attempt.sent_ms,
        "finished_at": attempt.finished_ms,
        "latency_s": attempt.latency_s,
    }
    flags = [*attempt.flags, *(("estimated_cost",) if attempt.cost_estimated else ())]
    image = state.image
    if image is not None:
        flags += [*image.flags, *(("duplicate_image",) if image.sha256 in facts.duplicates else ())]
        values |= {
            name: getattr(image, name)
            for name in ("file_name", "format", "width", "height", "bytes", "sha256")
        }
        if PRUNED in image.flags:
            values["file_name"] = None
    values["flags"] = flags
    return values


def _explain(values: Values, state: ImageState, facts: Facts) -> None:
    """Why there is no image: the attempt's failure, or that the row's turn has not come."""
    if state.kind is not None:
        values["error_kind"] = state.kind.value
    if state.message is not None:
        values["error_message"] = state.message
    if state.attempt is not None:
        values["error_code"] = state.attempt.code
    elif facts.live:
        values["error_kind"] = None
    else:
        values["error_message"] = facts.stopped
