"""Tasks in the ledger: answers that a service has promised, and which are polled until they come."""

from __future__ import annotations

import json
import sqlite3
from typing import NamedTuple

from runner.ledger.statements import storable
from runner.ledger.writer import Statement
from schemas.outcome import Task
from schemas.request import ImageRequest
from schemas.row import Row

_OPEN = (
    "FROM tasks CROSS JOIN attempts USING (attempt) WHERE attempt NOT IN (SELECT attempt FROM outcomes) "
    "AND attempt = (SELECT max(attempt) FROM attempts newer WHERE newer.item = attempts.item)"
)


class OpenTask(NamedTuple):
    """A task that had not ended when imagemill stopped polling it.

    row: as it was sent. indexes: which of the row's images it makes; None means all. reserved_usd: set aside for it.
    waited: polling it has taken too long once. endpoint: where it is being made; elsewhere: that was not the folder's
    own service, but one that a retry named.
    """

    attempt: int
    item: int
    row: Row
    task: Task
    indexes: tuple[int, ...] | None
    reserved_usd: float
    waited: bool
    endpoint: str
    elsewhere: bool


def waiting_items(connection: sqlite3.Connection) -> frozenset[int]:
    """Items whose newest request is a task that has not ended."""
    return frozenset(row[0] for row in connection.execute(f"SELECT item {_OPEN}"))


def open_tasks(connection: sqlite3.Connection) -> list[OpenTask]:
    """Every task to go on polling, oldest first."""
    found = connection.execute(
        "SELECT attempt, item, fingerprint, row_id, items.prompt, open.prompt, body, indexes, "
        "coalesce(reserved_usd, 0), task_id, poll_url, "
        "EXISTS (SELECT 1 FROM task_waits WHERE task_waits.attempt = open.attempt), endpoint, "
        "coalesce(json_extract(command, '$.elsewhere'), 0) "
        f"FROM (SELECT attempts.*, task_id, poll_url {_OPEN}) open CROSS JOIN items USING (item) JOIN params USING (params) "
        "JOIN runs USING (run) ORDER BY attempt"
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
        elsewhere,
    ) in found:
        request = ImageRequest(sent_prompt or prompt, tuple(json.loads(body).items()))
        row = Row(-1, row_id, request, fingerprint, manifest_prompt=prompt if sent_prompt else None)
        which = None if indexes is None else tuple(json.loads(indexes))
        tasks.append(
            OpenTask(
                attempt,
                item,
                row,
                Task(task_id, poll_url),
                which,
                reserved,
                bool(waited),
                endpoint,
                bool(elsewhere),
            )
        )
    return tasks


def within_reach(
    tasks: list[OpenTask], base_url: str, *, elsewhere: bool
) -> tuple[list[OpenTask], frozenset[int]]:
    """The tasks to poll at this endpoint, and the items of those that only another one knows: asked here, they would
    seem lost. elsewhere: it is not the folder's own service.
    """
    mine = [task for task in tasks if task.endpoint == base_url or not (elsewhere or task.elsewhere)]
    polled = {task.item for task in mine}
    return mine, frozenset(task.item for task in tasks if task.item not in polled)


def accepted(attempt: int, task: Task, now_ms: int) -> list[Statement]:
    """A task that the service has accepted; durable before it is polled."""
    values = (attempt, storable(task.task_id), storable(task.poll_url), now_ms)
    return [("INSERT OR REPLACE INTO tasks VALUES (?,?,?,?)", values)]


def waited(attempt: int, message: str, now_ms: int) -> list[Statement]:
    """Polling ended before the task did."""
    return [("INSERT INTO task_waits VALUES (?,?,?)", (attempt, now_ms, storable(message)))]
