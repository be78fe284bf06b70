"""Reading the ledger: which rows it knows, in what state, and the attempts of a few rows at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.state import AttemptRecord
from schemas.failures import FailureKind, RowStatus
from schemas.outcome import MissingImage, Reported, SavedImage
from schemas.row import Row, RowProblem

ABSENT = -1
_CODES = {RowStatus.PENDING: 0, RowStatus.SUCCEEDED: 1, RowStatus.FAILED: 2, RowStatus.PARKED: 3}
_STATUSES = {code: status for status, code in _CODES.items()}
_KINDS = tuple(FailureKind)
_FETCH = 20_000


class ItemIndex:
    """Every row that the ledger knows: fingerprint -> item number, the row's status, and its last failure.

    16 bytes of fingerprint, 8 of number, 1 of status and 1 of failure a row, however long prompts and ids are.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        count = connection.execute("SELECT coalesce(max(item) + 1, 0) FROM items").fetchone()[0]
        self._status, self._kind = _states(connection, count)
        prints = b"".join(row[0] for row in connection.execute("SELECT fingerprint FROM items ORDER BY item"))
        unsorted = np.frombuffer(prints, dtype="S16")
        self._items: npt.NDArray[np.int64] = np.argsort(unsorted, kind="stable").astype(np.int64)
        self._prints = unsorted[self._items]

    def __len__(self) -> int:
        return len(self._items)

    def items(self, rows: Sequence[Row | RowProblem]) -> list[int]:
        """Item numbers of the rows, `ABSENT` for those the ledger does not know (and for rows with a problem)."""
        if not len(self):
            return [ABSENT] * len(rows)
        wanted = np.frombuffer(
            b"".join(row.fingerprint if isinstance(row, Row) else bytes(16) for row in rows), dtype="S16"
        )
        at = np.minimum(np.searchsorted(self._prints, wanted), len(self) - 1)
        found = self._prints[at] == wanted
        return [int(item) for item in np.where(found, self._items[at], ABSENT)]

    def statuses(self, items: Iterable[int]) -> list[RowStatus]:
        """The rows' statuses; `PENDING` for a row that the ledger does not know."""
        return [_STATUSES[int(self._status[item])] if item != ABSENT else RowStatus.PENDING for item in items]

    def kind(self, item: int) -> FailureKind | None:
        """The kind of a row's last failure; None for one that the ledger does not know or that succeeded."""
        code = int(self._kind[item]) if item != ABSENT else 0
        return _KINDS[code - 1] if code else None


def _states(
    connection: sqlite3.Connection, count: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Status and failure codes by item: a success stays, otherwise the newest outcome counts; none at all means parked."""
    status = np.full(count, _CODES[RowStatus.PENDING], dtype=np.uint8)
    kinds = np.zeros(count, dtype=np.uint8)
    succeeded = _CODES[RowStatus.SUCCEEDED]
    cursor = connection.execute(
        "SELECT item, status, kind FROM attempts LEFT JOIN outcomes USING (attempt) ORDER BY attempt"
    )
    while chunk := cursor.fetchmany(_FETCH):
        for item, name, kind in chunk:
            if status[item] != succeeded:
                status[item] = _CODES[RowStatus(name)] if name else _CODES[RowStatus.PARKED]
                kinds[item] = _KINDS.index(FailureKind(kind)) + 1 if kind else 0
    return status, kinds


@dataclass
class AttemptReader:
    """Attempts of chosen items. `live_run`: the run that is going on now, None when there is none."""

    connection: sqlite3.Connection
    live_run: int | None = None

    def __post_init__(self) -> None:
        self._params: dict[int, dict[str, Any]] = {}
        self._endpoints = dict(self.connection.execute("SELECT run, endpoint FROM runs").fetchall())

    def of(self, items: Sequence[int]) -> dict[int, list[AttemptRecord]]:
        """Item number -> its attempts, oldest first. Items without attempts are absent."""
        wanted = json.dumps([item for item in items if item != ABSENT])
        images = self._grouped(_IMAGES, wanted, _image)
        missing = self._grouped(_MISSING, wanted, _missing)
        found: dict[int, list[AttemptRecord]] = {}
        for row in self.connection.execute(_ATTEMPTS, (wanted,)):
            record = self._attempt(row, images.get(row[0], ()), missing.get(row[0], ()))
            found.setdefault(record.item, []).append(record)
        return found

    def _grouped(self, sql: str, wanted: str, make: Any) -> dict[int, tuple[Any, ...]]:
        grouped: dict[int, tuple[Any, ...]] = {}
        for row in self.connection.execute(sql, (wanted,)):
            grouped[row[0]] = (*grouped.get(row[0], ()), make(row))
        return grouped

    def _attempt(
        self, row: tuple[Any, ...], images: tuple[SavedImage, ...], missing: tuple[MissingImage, ...]
    ) -> AttemptRecord:
        attempt, item, run, params, n, sent_ms, status, *rest = row
        finished_ms, kind, code, message, http_status, maybe_billed, cost, estimated, *more = rest
        created, request_id, task_id, tokens_in, tokens_out, latency_s, flags = more
        return AttemptRecord(
            attempt=attempt,
            item=item,
            params=self._body(params),
            n=n,
            sent_ms=sent_ms,
            endpoint=self._endpoints[run],
            live=run == self.live_run,
            status=RowStatus(status) if status else None,
            finished_ms=finished_ms,
            kind=FailureKind(kind) if kind else None,
            code=code,
            message=message,
            http_status=http_status,
            maybe_billed=maybe_billed or 0,
            cost_usd=cost,
            cost_estimated=bool(estimated),
            reported=Reported(created, request_id, task_id, tokens_in, tokens_out),
            latency_s=latency_s,
            flags=tuple(json.loads(flags)) if flags else (),
            images=images,
            missing=missing,
        )

    def _body(self, params: int) -> dict[str, Any]:
        if params not in self._params:
            text = self.connection.execute("SELECT body FROM params WHERE params=?", (params,)).fetchone()[0]
            self._params[params] = json.loads(text)
        return self._params[params]


def _image(row: tuple[Any, ...]) -> SavedImage:
    _, index, file_name, kind, width, height, size, sha256, revised, flags = row
    return SavedImage(
        index,
        file_name,
        kind,
        width,
        height,
        size,
        sha256.hex(),
        revised,
        tuple(json.loads(flags)) if flags else (),
    )


def _missing(row: tuple[Any, ...]) -> MissingImage:
    return MissingImage(row[1], FailureKind(row[2]), row[3], row[4])


_OF_ITEMS = "attempt IN (SELECT attempt FROM attempts WHERE item IN (SELECT value FROM json_each(?)))"
_IMAGES = f"SELECT * FROM images WHERE {_OF_ITEMS} ORDER BY attempt, idx"
_MISSING = f"SELECT * FROM missing WHERE {_OF_ITEMS} ORDER BY attempt, idx"
_ATTEMPTS = (
    "SELECT a.attempt, item, run, params, n, sent_ms, status, finished_ms, kind, code, message, http_status, "
    "maybe_billed, cost_usd, cost_estimated, created, request_id, task_id, input_tokens, output_tokens, latency_s, flags "
    "FROM attempts a LEFT JOIN outcomes o USING (attempt) "
    "WHERE item IN (SELECT value FROM json_each(?)) ORDER BY a.attempt"
)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the folder's whole life. spent_usd: cost of paid answers plus what maybe-billed attempts reserved."""

    requests: int
    images: int
    maybe_billed: int
    cost_usd: float | None
    spent_usd: float


def totals(connection: sqlite3.Connection) -> Totals:
    """Requests sent, images saved, money. Attempts without an outcome count as maybe billed only once settled."""
    requests, maybe, cost, spent = connection.execute(
        "SELECT count(*), coalesce(sum(maybe_billed), 0), sum(cost_usd), "
        "coalesce(sum(CASE WHEN maybe_billed OR status IS NULL THEN max(coalesce(cost_usd, 0), coalesce(reserved_usd, 0)) "
        "ELSE cost_usd END), 0) FROM attempts LEFT JOIN outcomes USING (attempt)"
    ).fetchone()
    images = connection.execute("SELECT count(*) FROM images").fetchone()[0]
    return Totals(requests, images, maybe, cost, spent)


def ambiguous_resends(connection: sqlite3.Connection) -> int:
    """How many ambiguous requests the folder was allowed to send again so far."""
    row = connection.execute(
        "SELECT count(*) FROM outcomes WHERE maybe_billed AND status = 'pending'"
    ).fetchone()
    return int(row[0])


def recent_sends(connection: sqlite3.Connection, window_s: float, now: float) -> list[tuple[float, int]]:
    """(age in seconds, images) of the requests sent within the last window, oldest first. now: Unix seconds.

    A clock that was set back makes them look newer than they are, never older than the window.
    """
    sent = connection.execute(
        "SELECT sent_ms, n FROM attempts WHERE sent_ms > ? ORDER BY attempt", ((now - window_s) * 1000,)
    )
    return [(max(0.0, now - sent_ms / 1000), n) for sent_ms, n in sent]


@dataclass(frozen=True, slots=True)
class Past:
    """What the folder's successes were like. latency_s: mean seconds. image_usd, spread_usd: mean and deviation."""

    count: int
    latency_s: float
    image_usd: float | None
    spread_usd: float


def past(connection: sqlite3.Connection) -> Past | None:
    """Measured on the newest thousand successes; None without any."""
    rows = connection.execute(
        "SELECT latency_s, cost_usd / n FROM outcomes JOIN attempts USING (attempt) "
        "WHERE status = 'succeeded' AND latency_s IS NOT NULL ORDER BY attempt DESC LIMIT 1000"
    ).fetchall()
    if not rows:
        return None
    costs = np.array([cost for _, cost in rows if cost is not None])
    latency = float(np.mean([latency for latency, _ in rows]))
    if not len(costs):
        return Past(len(rows), latency, None, 0.0)
    return Past(len(rows), latency, float(costs.mean()), float(costs.std()))
