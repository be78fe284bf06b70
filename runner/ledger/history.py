"""The ledger's history of runs, rows and attempts, as `history` prints it."""

from __future__ import annotations

import json
import sqlite3
from typing import Any, NamedTuple


class RunHistory(NamedTuple):
    """One run with its figures; times are Unix milliseconds. finished_ms, exit_code, reason: None for a run without an end.

    command: what was called; None in ledgers from before version 3.
    """

    run: int
    run_id: str
    started_ms: int
    version: str
    endpoint: str
    command: dict[str, Any] | None
    finished_ms: int | None
    exit_code: int | None
    reason: str | None
    attempts: int
    images: int
    maybe_billed: int
    cost_usd: float | None


class RowHistory(NamedTuple):
    """A row of the ledger."""

    item: int
    row_id: str
    prompt: str


class ImageHistory(NamedTuple):
    """An image that an attempt brought. sha256: hex. pruned: whether its file was removed by `prune`."""

    idx: int
    file_name: str
    format: str
    width: int | None
    height: int | None
    bytes: int
    sha256: str
    revised_prompt: str | None
    flags: list[str]
    pruned: bool


class MissingHistory(NamedTuple):
    """An image that a paid answer lacked."""

    idx: int
    kind: str
    message: str | None


class AttemptHistory(NamedTuple):
    """One request for a row. status, finished_ms and what comes with an outcome: None while there is none.

    prompt: as sent, where it was not the row's. indexes: which images it asked for; None: all. to_fetch: how many of its
    images are still behind URLs.
    """

    attempt: int
    run: int
    run_id: str
    endpoint: str
    sent_ms: int
    prompt: str | None
    params: dict[str, Any]
    indexes: list[int] | None
    finished_ms: int | None
    status: str | None
    kind: str | None
    code: str | None
    message: str | None
    http_status: int | None
    maybe_billed: int | None
    cost_usd: float | None
    cost_estimated: bool
    request_id: str | None
    task_id: str | None
    input_tokens: int | None
    output_tokens: int | None
    latency_s: float | None
    flags: list[str]
    quarantined: str | None
    to_fetch: int
    images: list[ImageHistory]
    missing: list[MissingHistory]


_RUNS = (
    "SELECT run, run_id, started_ms, version, endpoint, command, finished_ms, exit_code, reason, "
    "(SELECT count(*) FROM attempts a WHERE a.run = r.run), "
    "(SELECT count(*) FROM images JOIN attempts a USING (attempt) WHERE a.run = r.run), "
    "(SELECT coalesce(sum(maybe_billed), 0) FROM outcomes JOIN attempts a USING (attempt) WHERE a.run = r.run), "
    "(SELECT sum(cost_usd) FROM outcomes JOIN attempts a USING (attempt) WHERE a.run = r.run) "
    "FROM runs r LEFT JOIN run_ends USING (run) ORDER BY run"
)
_ATTEMPTS = (
    "SELECT a.attempt, a.run, r.run_id, r.endpoint, a.sent_ms, a.prompt, p.body, a.indexes, o.finished_ms, o.status, "
    "o.kind, o.code, o.message, o.http_status, o.maybe_billed, o.cost_usd, o.cost_estimated, o.request_id, "
    "coalesce(o.task_id, t.task_id), o.input_tokens, o.output_tokens, o.latency_s, o.flags, o.quarantined, "
    "coalesce(json_array_length(u.links), 0) "
    "FROM attempts a JOIN runs r USING (run) JOIN params p USING (params) LEFT JOIN outcomes o USING (attempt) "
    "LEFT JOIN tasks t USING (attempt) LEFT JOIN unfetched u USING (attempt) WHERE a.item = ? ORDER BY a.attempt"
)
_IMAGES = (
    "SELECT idx, file_name, format, width, height, bytes, sha256, revised_prompt, flags, pruned_ms "
    "FROM images LEFT JOIN pruned USING (attempt, idx) WHERE attempt = ? ORDER BY idx"
)
_MISSING = "SELECT idx, kind, message FROM missing WHERE attempt = ? ORDER BY idx"
_OFTEN = "FROM items JOIN (SELECT item, count(*) AS tries FROM attempts GROUP BY item) USING (item) WHERE tries > 1"


def runs(connection: sqlite3.Connection) -> list[RunHistory]:
    """All runs, oldest first."""
    found = (RunHistory(*row) for row in connection.execute(_RUNS))
    return [run._replace(command=_loaded(run.command)) for run in found]


def rows_with_id(connection: sqlite3.Connection, row_id: str) -> list[RowHistory]:
    """The rows with this id; each version of an edited row is one of them."""
    query = "SELECT item, row_id, prompt FROM items WHERE row_id = ? ORDER BY item"
    return [RowHistory(*row) for row in connection.execute(query, (row_id,))]


def rows_sent_often(connection: sqlite3.Connection, limit: int) -> tuple[list[RowHistory], int]:
    """Rows that were sent more than once, at most so many, and how many there are in all."""
    query = f"SELECT item, row_id, prompt {_OFTEN} ORDER BY item LIMIT ?"
    found = [RowHistory(*row) for row in connection.execute(query, (limit,))]
    return found, int(connection.execute(f"SELECT count(*) {_OFTEN}").fetchone()[0])


def attempts_of(connection: sqlite3.Connection, item: int) -> list[AttemptHistory]:
    """Every request for the row, oldest first."""
    found = connection.execute(_ATTEMPTS, (item,)).fetchall()
    return [_attempt(connection, row) for row in found]


def _attempt(connection: sqlite3.Connection, row: tuple[Any, ...]) -> AttemptHistory:
    images = [_image(image) for image in connection.execute(_IMAGES, (row[0],))]
    missing = [MissingHistory(*each) for each in connection.execute(_MISSING, (row[0],))]
    made = AttemptHistory._make((*row, images, missing))
    return made._replace(
        params=_loaded(made.params),
        indexes=_loaded(made.indexes),
        flags=_loaded(made.flags) or [],
        cost_estimated=bool(made.cost_estimated),
    )


def _image(row: tuple[Any, ...]) -> ImageHistory:
    image = ImageHistory(*row)
    return image._replace(
        sha256=row[6].hex(), flags=_loaded(image.flags) or [], pruned=image.pruned is not None
    )


def _loaded(text: Any) -> Any:
    return json.loads(text) if text else None
