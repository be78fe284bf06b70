"""Reading the ledger: the attempts of a few rows at a time, and tasks that have not ended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobs.state import AttemptRecord
from schemas.attempt import OpenTask
from schemas.failures import FailureKind, RowStatus
from schemas.outcome import ABSENT, PRUNED, Link, MissingImage, Reported, SavedImage, Task, Unfetched
from schemas.request import ImageRequest
from schemas.row import Row


@dataclass
class AttemptReader:
    """Attempts of chosen items. `live_run`: the run that is going on now, None when there is none."""

    connection: sqlite3.Connection
    live_run: int | None = None

    def __post_init__(self) -> None:
        self._params: dict[int, dict[str, Any]] = {}
        self._endpoints = dict(self.connection.execute("SELECT run, endpoint FROM runs").fetchall())

    def attempts_of(self, items: Sequence[int]) -> dict[int, list[AttemptRecord]]:
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
        created, request_id, task_id, tokens_in, tokens_out, latency_s, flags, open_task, waited, *sent = more
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
            reported=Reported(created, request_id, task_id or open_task, tokens_in, tokens_out),
            latency_s=latency_s,
            flags=tuple(json.loads(flags)) if flags else (),
            images=images,
            missing=missing,
            task=open_task is not None,
            waited=waited,
            prompt=sent[0],
            indexes=tuple(json.loads(sent[1])) if sent[1] else None,
            spooled=sent[2],
            links=_links(sent[3]),
        )

    def _body(self, params: int) -> dict[str, Any]:
        if params not in self._params:
            text = self.connection.execute("SELECT body FROM params WHERE params=?", (params,)).fetchone()[0]
            self._params[params] = json.loads(text)
        return self._params[params]


def _image(row: tuple[Any, ...]) -> SavedImage:
    _, index, file_name, kind, width, height, size, sha256, revised, flags, pruned = row
    return SavedImage(
        index,
        file_name,
        kind,
        width,
        height,
        size,
        sha256.hex(),
        revised,
        (*(json.loads(flags) if flags else ()), *((PRUNED,) if pruned else ())),
    )


def _missing(row: tuple[Any, ...]) -> MissingImage:
    return MissingImage(row[1], FailureKind(row[2]), row[3], row[4])


_OF_ITEMS = "attempt IN (SELECT attempt FROM attempts WHERE item IN (SELECT value FROM json_each(?)))"
_IMAGES = (
    "SELECT images.*, EXISTS (SELECT 1 FROM pruned p WHERE p.attempt = images.attempt AND p.idx = images.idx) "
    f"FROM images WHERE {_OF_ITEMS} ORDER BY attempt, idx"
)
_MISSING = f"SELECT * FROM missing WHERE {_OF_ITEMS} ORDER BY attempt, idx"
_ATTEMPTS = (
    "SELECT a.attempt, item, run, params, n, sent_ms, status, finished_ms, kind, code, message, http_status, "
    "maybe_billed, cost_usd, cost_estimated, created, request_id, o.task_id, input_tokens, output_tokens, latency_s, flags, "
    "t.task_id, (SELECT max(message) FROM task_waits w WHERE w.attempt = a.attempt), a.prompt, a.indexes, "
    "(SELECT file_name FROM spooled s WHERE s.attempt = a.attempt), "
    "(SELECT links FROM unfetched u WHERE u.attempt = a.attempt) "
    "FROM attempts a LEFT JOIN outcomes o USING (attempt) LEFT JOIN tasks t USING (attempt) "
    "WHERE item IN (SELECT value FROM json_each(?)) ORDER BY a.attempt"
)


_OPEN = (
    "FROM tasks CROSS JOIN attempts USING (attempt) WHERE attempt NOT IN (SELECT attempt FROM outcomes) "
    "AND attempt NOT IN (SELECT attempt FROM unfetched) "
    "AND attempt = (SELECT max(attempt) FROM attempts newer WHERE newer.item = attempts.item)"
)
_UNFETCHED = "FROM unfetched CROSS JOIN attempts USING (attempt)"
_RECORDS = "w.since_ms, w.links, w.reported, w.images, w.more, w.http_status, w.saved"


def waiting_items(connection: sqlite3.Connection) -> frozenset[int]:
    """Items that wait for a task that has not ended, as their newest request, or for images to be fetched."""
    query = f"SELECT item {_OPEN} UNION ALL SELECT item {_UNFETCHED}"
    return frozenset(row[0] for row in connection.execute(query))


def open_tasks(connection: sqlite3.Connection) -> list[OpenTask]:
    """All images to fetch and every task to go on polling, the images first, otherwise oldest first."""
    found = connection.execute(
        "SELECT attempt, item, fingerprint, row_id, items.prompt, open.prompt, body, indexes, "
        "CASE WHEN o.attempt IS NULL OR o.maybe_billed THEN max(coalesce(reserved_usd, 0), coalesce(o.cost_usd, 0)) "
        "ELSE coalesce(o.cost_usd, 0) END, open.task_id, poll_url, "
        "EXISTS (SELECT 1 FROM task_waits WHERE task_waits.attempt = open.attempt), endpoint, "
        f"coalesce(json_extract(command, '$.elsewhere'), 0), {_RECORDS} "
        f"FROM (SELECT attempts.*, task_id, poll_url {_OPEN} "
        f"UNION ALL SELECT attempts.*, NULL AS task_id, NULL AS poll_url {_UNFETCHED}) open "
        "CROSS JOIN items USING (item) JOIN params USING (params) JOIN runs USING (run) "
        "LEFT JOIN outcomes o USING (attempt) LEFT JOIN unfetched w USING (attempt) "
        "ORDER BY w.attempt IS NULL, attempt"
    )
    tasks = []
    for (
        attempt,
        item,
        fingerprint,
        row_id,
        prompt,
        sent_prompt,
        body,
        indexes,
        reserved,
        task_id,
        poll_url,
        waited,
        endpoint,
        other_endpoint,
        *record,
    ) in found:
        request = ImageRequest(sent_prompt or prompt, tuple(json.loads(body).items()))
        row = Row(-1, row_id, request, fingerprint, manifest_prompt=prompt if sent_prompt else None)
        which = None if indexes is None else tuple(json.loads(indexes))
        tasks.append(
            OpenTask(
                attempt,
                item,
                row,
                Task(task_id, poll_url) if task_id is not None else _unfetched(*record),
                which,
                reserved,
                bool(waited),
                endpoint,
                bool(other_endpoint),
            )
        )
    return tasks


def _unfetched(since_ms: int, links: str, reported: str, *counts: Any) -> Unfetched:
    images, more, http_status, saved = counts
    told = Reported(*json.loads(reported))
    return Unfetched(_links(links), images, more, http_status, told, since_ms, saved)


def _links(text: str | None) -> tuple[Link, ...]:
    return tuple(
        Link(position, url, revised, gone_ms, FailureKind(kind), message)
        for position, url, revised, gone_ms, kind, message in json.loads(text or "[]")
    )


def last_endpoint(connection: sqlite3.Connection) -> str | None:
    """The endpoint of the newest attempt that was, or may have been, paid for; None without one.

    Retries that were expressly sent elsewhere do not count, nor what a wrong address answered.
    """
    found = connection.execute(
        "SELECT endpoint FROM attempts a JOIN runs USING (run) LEFT JOIN outcomes o USING (attempt) "
        "WHERE NOT coalesce(json_extract(command, '$.elsewhere'), 0) "
        "AND (o.attempt IS NULL OR o.maybe_billed OR o.status = 'succeeded') ORDER BY a.attempt DESC LIMIT 1"
    ).fetchone()
    return None if found is None else str(found[0])


def reachable_tasks(
    tasks: list[OpenTask], base_url: str, *, other_endpoint: bool
) -> tuple[list[OpenTask], frozenset[int]]:
    """The tasks to poll at this endpoint, and the items whose tasks only another endpoint knows: polled here, they would
    seem lost. Images are fetched from wherever they are. other_endpoint: this endpoint is not the folder's own.
    """
    mine = [
        task
        for task in tasks
        if isinstance(task.task, Unfetched)
        or task.endpoint == base_url
        or not (other_endpoint or task.other_endpoint)
    ]
    polled = {task.item for task in mine}
    return mine, frozenset(task.item for task in tasks if task.item not in polled)
