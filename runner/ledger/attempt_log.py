"""The ledger as the engine's log of attempts, and the records that it and others add, as SQL statements."""

from __future__ import annotations

import json
from collections.abc import Callable

from runner.ledger.writer import Statement, Writer
from runner.process.clock import wall_ms
from schemas.attempt import Intent, Measured
from schemas.failures import RowStatus
from schemas.outcome import Failed, Outcome, Success, Task
from schemas.request import canonical_params


class LedgerLog:
    """An `AttemptLog` over the ledger's writing thread. wall_ms: Unix milliseconds."""

    def __init__(self, writer: Writer, wall_ms: Callable[[], int] = wall_ms) -> None:
        self._writer = writer
        self._wall_ms = wall_ms

    async def intend(self, intent: Intent) -> None:
        """See `AttemptLog`."""
        await self._writer.record(intent_records(intent))

    async def accepted(self, attempt: int, task: Task) -> None:
        """See `AttemptLog`."""
        await self._writer.record(accepted_task(attempt, task, self._wall_ms()))

    async def still_open(self, attempt: int, why: str) -> None:
        """See `AttemptLog`."""
        await self._writer.record(waited(attempt, why, self._wall_ms()))

    async def conclude(self, outcome: Outcome, status: RowStatus, measured: Measured) -> None:
        """See `AttemptLog`."""
        if isinstance(outcome, Success):
            await self._writer.record(success(outcome, measured))
        else:
            await self._writer.record(failure(outcome, status, measured))


_OUTCOME = f"INSERT INTO outcomes VALUES ({','.join('?' * 18)})"


def intent_records(record: Intent) -> list[Statement]:
    """The records that must be durable before the request leaves."""
    body = canonical_params(record.row.request.params)
    statements: list[Statement] = []
    if record.fresh:
        statements.append(
            (
                "INSERT INTO items VALUES (?,?,?,?)",
                (record.item, record.row.fingerprint, record.row.row_id, record.row.own_prompt),
            )
        )
    statements.append(("INSERT OR IGNORE INTO params (body) VALUES (?)", (body,)))
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
    """A whole answer: its images, which must be durable already, and the indexes that it lacked."""
    statements = [_outcome_row(RowStatus.SUCCEEDED, outcome, measured)]
    statements += [
        (
            "INSERT INTO images VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                measured.attempt,
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
            "INSERT INTO missing VALUES (?,?,?,?,?)",
            (
                measured.attempt,
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
    return [_outcome_row(status, outcome, measured)]


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
        outcome.quarantined if isinstance(outcome, Failed) else None,
    )
    return _OUTCOME, values


def _joined(flags: tuple[str, ...]) -> str | None:
    return json.dumps(flags) if flags else None


def storable(text: str | None) -> str | None:
    """Text that UTF-8 can hold: lone surrogates, which JSON and headers may bring, appear as their escapes."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def accepted_task(attempt: int, task: Task, now_ms: int) -> list[Statement]:
    """A task that the service has accepted; durable before it is polled."""
    values = (attempt, storable(task.task_id), storable(task.poll_url), now_ms)
    return [("INSERT OR REPLACE INTO tasks VALUES (?,?,?,?)", values)]


def waited(attempt: int, message: str, now_ms: int) -> list[Statement]:
    """Polling ended before the task did."""
    return [("INSERT INTO task_waits VALUES (?,?,?)", (attempt, now_ms, storable(message)))]
