"""The ledger as the engine's log of attempts, and the records that it and others add, as SQL statements."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple

from runner.ledger.schema import text_digest
from runner.ledger.writer import Statement, Writer
from runner.process.clock import wall_ms
from schemas.attempt import Intent, Measured
from schemas.failures import RowStatus
from schemas.outcome import Failed, KeptBody, OpenWork, Outcome, Success, Unfetched
from schemas.request import recorded_params


class LedgerLog:
    """An `AttemptLog` over the ledger's writing thread. wall_ms: Unix milliseconds."""

    def __init__(self, writer: Writer, wall_ms: Callable[[], int] = wall_ms) -> None:
        self._writer = writer
        self._wall_ms = wall_ms

    async def intend(self, intent: Intent) -> None:
        """See `AttemptLog`."""
        await self._writer.record(intent_records(intent))

    async def accepted(self, attempt: int, task: OpenWork) -> None:
        """See `AttemptLog`."""
        await self._writer.record(accepted_task(attempt, task, self._wall_ms()))

    async def still_open(self, attempt: int, why: str) -> None:
        """See `AttemptLog`."""
        await self._writer.record(waited(attempt, why, self._wall_ms()))

    async def spooled(self, attempt: int, file_name: str) -> None:
        """See `AttemptLog`."""
        await self._writer.record([("INSERT OR REPLACE INTO spooled VALUES (?,?)", (attempt, file_name))])

    async def conclude(self, outcome: Outcome, status: RowStatus, measured: Measured) -> None:
        """See `AttemptLog`."""
        if isinstance(outcome, Success):
            await self._writer.record(success(outcome, measured))
        else:
            await self._writer.record(failure(outcome, status, measured))


_ERASE_QUERY = (
    "UPDATE tasks SET poll_url = substr(poll_url, 1, instr(poll_url, '?') - 1) "
    "WHERE attempt = ? AND instr(poll_url, '?') > 0"
)
_UNFETCHED = "INSERT OR REPLACE INTO unfetched VALUES (?,?,?,?,?,?,?,?)"
_NOTHING_LEFT = "DELETE FROM unfetched WHERE attempt = ?"
_OUTCOME = (
    f"INSERT OR REPLACE INTO outcomes VALUES ({','.join('?' * 17)}, "
    "coalesce(?, (SELECT quarantined FROM outcomes WHERE attempt = ?1)))"
)
"""A body that is kept stays so when the rest of its answer is fetched later."""


def intent_records(record: Intent) -> list[Statement]:
    """The records that must be durable before the request leaves."""
    body = recorded_params(record.row.request.params)
    statements: list[Statement] = []
    if record.fresh:
        texts = (record.row.row_id, record.row.own_prompt)
        statements.append(
            (
                "INSERT INTO items VALUES (?,?,?,?,?)",
                (record.item, record.row.fingerprint, *texts, text_digest(*texts)),
            )
        )
    statements.append(("INSERT OR IGNORE INTO params (body, digest) VALUES (?,?)", (body, text_digest(body))))
    statements.append(
        (
            "INSERT INTO attempts SELECT ?,?,?,params,?,?,?,?,? FROM params WHERE body=?",
            (
                record.attempt,
                record.item,
                record.run,
                record.row.request.n,
                record.sent_ms,
                record.reserved_usd,
                None if record.indexes is None else json.dumps(record.indexes),
                None if record.row.manifest_prompt is None else record.row.request.prompt,
                body,
            ),
        )
    )
    return statements


def success(outcome: Success, measured: Measured) -> list[Statement]:
    """Records of a whole answer: its images, whose files must be durable already, and the missing indexes."""
    statements = [_outcome_row(RowStatus.SUCCEEDED, outcome, measured)]
    statements += _images(outcome, measured.attempt)
    return statements + _body(outcome.quarantined) + _left(outcome, measured)


def reread(
    attempt: int, body: str, outcome: Success, cost_usd: float | None, *, estimated: bool
) -> list[Statement]:
    """Images that were found in a kept body take the place of what the attempt had come to.

    cost_usd: where none is recorded. outcome: without `quarantined` the body is needed no more.
    """
    kept = None if outcome.quarantined is None else body
    found = json.dumps([image.index for image in outcome.images])
    statements: list[Statement] = [
        (_REREAD, (int(estimated), cost_usd, json.dumps(outcome.flags), kept, attempt)),
        (
            "DELETE FROM missing WHERE attempt = ? AND idx IN (SELECT value FROM json_each(?))",
            (attempt, found),
        ),
        *_images(outcome, attempt),
    ]
    if kept is None:  # so that it is removed later, should a kill come before
        statements.append(("INSERT OR IGNORE INTO bodies VALUES (?, 0, x'')", (body,)))
    return statements


_REREAD = (
    "UPDATE outcomes SET status = 'succeeded', kind = NULL, code = NULL, message = NULL, maybe_billed = 0, "
    "cost_estimated = CASE WHEN cost_usd IS NULL THEN ? ELSE cost_estimated END, cost_usd = coalesce(cost_usd, ?), "
    "flags = (SELECT json_group_array(value) FROM (SELECT value FROM json_each(coalesce(flags, '[]')) "
    "UNION SELECT value FROM json_each(?))), quarantined = ? WHERE attempt = ?"
)


def _images(outcome: Success, attempt: int) -> list[Statement]:
    """The images of an answer, whose files must be durable already, and the missing indexes."""
    statements: list[Statement] = [
        (
            "INSERT INTO images VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                attempt,
                image.index,
                image.file_name,
                image.format,
                image.width,
                image.height,
                image.bytes,
                bytes.fromhex(image.sha256),
                storable(image.revised_prompt),
                _joined(image.flags),
            ),
        )
        for image in outcome.images
    ]
    statements += [
        (
            "INSERT OR REPLACE INTO missing VALUES (?,?,?,?,?)",
            (
                attempt,
                absent.index,
                absent.kind.value,
                storable(absent.message),
                storable(absent.revised_prompt),
            ),
        )
        for absent in outcome.missing
    ]
    return statements


def failure(outcome: Failed, status: RowStatus, measured: Measured) -> list[Statement]:
    """An attempt without an image, and what becomes of its row."""
    return [
        _outcome_row(status, outcome, measured),
        *_body(outcome.quarantined),
        *_left(outcome, measured),
    ]


def _unfetched(attempt: int, unfetched: Unfetched) -> Statement:
    """An attempt's images that are to be fetched; takes the place of an earlier record."""
    values = (
        attempt,
        unfetched.since_ms,
        json.dumps([astuple(link) for link in unfetched.links]),
        json.dumps(unfetched.reported),
        unfetched.count,
        unfetched.more,
        unfetched.http_status,
        unfetched.saved,
    )
    return _UNFETCHED, values


def _left(outcome: Outcome, measured: Measured) -> list[Statement]:
    """The images that are to be fetched. A task that has ended is polled no more, and its URL's query may be a signature."""
    attempt = measured.attempt
    waits = outcome.unfetched
    left: Statement = (_NOTHING_LEFT, (attempt,))
    if waits is not None:
        left = _unfetched(attempt, waits)
    return [left] if outcome.reported.task_id is None else [left, (_ERASE_QUERY, (attempt,))]


def _body(kept: KeptBody | None) -> list[Statement]:
    if kept is None:
        return []
    values = (kept.file_name, kept.bytes, bytes.fromhex(kept.sha256))
    return [("INSERT OR REPLACE INTO bodies VALUES (?,?,?)", values)]


def table(sha256: str, written_ms: int) -> list[Statement]:
    """The digest (hex) of a results table that is about to be published."""
    return [("INSERT INTO tables (written_ms, sha256) VALUES (?, ?)", (written_ms, bytes.fromhex(sha256)))]


def _outcome_row(status: RowStatus, outcome: Success | Failed, measured: Measured) -> Statement:
    reported = outcome.reported
    failed = outcome.failure if isinstance(outcome, Failed) else None
    values = (
        measured.attempt,
        measured.finished_ms,
        status.value,
        failed.kind.value if failed else None,
        storable(failed.code) if failed else None,
        storable(failed.message) if failed else None,
        failed.http_status if failed else outcome.http_status if isinstance(outcome, Success) else None,
        int(failed.maybe_billed) if failed else 0,
        measured.cost_usd,
        int(measured.cost_estimated),
        reported.created,
        storable(reported.request_id),
        storable(reported.task_id),
        reported.input_tokens,
        reported.output_tokens,
        measured.latency_s,
        _joined(outcome.flags) if isinstance(outcome, Success) else None,
        None if outcome.quarantined is None else outcome.quarantined.file_name,
    )
    return _OUTCOME, values


def _joined(flags: tuple[str, ...]) -> str | None:
    return json.dumps(flags) if flags else None


def alias(fingerprint: bytes, item: int, row_id: str) -> Statement:
    """A row of this fingerprint and id that the item stands for."""
    return ("INSERT OR REPLACE INTO aliases VALUES (?,?,?)", (fingerprint, item, row_id))


def storable(text: str | None) -> str | None:
    """Text that UTF-8 can hold: lone surrogates, which JSON and headers may bring, appear as their escapes."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def accepted_task(attempt: int, task: OpenWork, now_ms: int) -> list[Statement]:
    """A task that the service has accepted, or images behind URLs; durable before they are polled or fetched."""
    if isinstance(task, Unfetched):
        return [_unfetched(attempt, task)]
    values = (attempt, storable(task.task_id), storable(task.poll_url), now_ms)
    return [("INSERT OR REPLACE INTO tasks VALUES (?,?,?,?)", values)]


def waited(attempt: int, message: str, now_ms: int) -> list[Statement]:
    """Polling ended before the task did."""
    return [("INSERT INTO task_waits VALUES (?,?,?)", (attempt, now_ms, storable(message)))]
