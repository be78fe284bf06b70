"""The values of a results row, from a manifest row and its attempts."""

from __future__ import annotations

from typing import Any, NamedTuple

from jobs.state import ImageState, RowState
from runner.ledger import attempt_log
from schemas.failures import FailureKind, RowStatus
from schemas.outcome import DUPLICATE, PRUNED
from schemas.request import FIELDS
from schemas.row import Row, RowProblem

_INTEGER_FIELDS = {name for name, rule in FIELDS.items() if rule.kind is int}

Values = dict[str, Any]


class Facts(NamedTuple):
    """Facts about the whole folder. live: a run is going on. stopped: why the last run ended before its work was done."""

    live: bool
    stopped: str
    duplicates: frozenset[str]


def stop_message(reason: str | None) -> str:
    """The message of rows that were not sent. reason: why the newest run ended; None if that is not known."""
    message = "the run ended before this row's turn"
    return message if reason is None else f"{message} ({reason})"


def invalid_values(row: RowProblem) -> Values:
    """The results row of a row that cannot be sent."""
    values: Values = {
        "row_id": attempt_log.storable(row.row_id),
        "row": row.position,
        "image_index": 0,
        "status": RowStatus.INVALID.value,
        "prompt": attempt_log.storable(row.prompt),
        "error_kind": FailureKind.INVALID_ROW.value,
        "error_message": attempt_log.storable(row.message),
        "attempts": 0,
        "maybe_billed": 0,
        "flags": [],
    }
    for name, text in row.fields:
        values[name] = _small_integer(text) if name in _INTEGER_FIELDS else attempt_log.storable(text)
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
        flags += [*image.flags, *((DUPLICATE,) if image.sha256 in facts.duplicates else ())]
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
        values["error_kind"] = values["error_message"] = None
    elif state.message is None:
        values["error_message"] = facts.stopped
