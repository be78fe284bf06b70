"""The ledger as the engine's log of attempts."""

from __future__ import annotations

import time
from collections.abc import Callable

from runner.ledger import open_tasks, statements
from runner.ledger.writer import Writer
from schemas.attempt import Intent, Measured
from schemas.failures import RowStatus
from schemas.outcome import Outcome, Success, Task


def _wall_ms() -> int:
    return int(time.time() * 1000)


class LedgerLog:
    """An `AttemptLog` over the ledger's writing thread. wall_ms: Unix milliseconds."""

    def __init__(self, writer: Writer, wall_ms: Callable[[], int] = _wall_ms) -> None:
        self._writer = writer
        self._wall_ms = wall_ms

    async def intend(self, intent: Intent) -> None:
        """See `AttemptLog`."""
        await self._writer.record(statements.intent(intent))

    async def accepted(self, attempt: int, task: Task) -> None:
        """See `AttemptLog`."""
        await self._writer.record(open_tasks.accepted(attempt, task, self._wall_ms()))

    async def still_open(self, attempt: int, why: str) -> None:
        """See `AttemptLog`."""
        await self._writer.record(open_tasks.waited(attempt, why, self._wall_ms()))

    async def conclude(self, outcome: Outcome, status: RowStatus, measured: Measured) -> None:
        """See `AttemptLog`."""
        if isinstance(outcome, Success):
            await self._writer.record(statements.success(outcome, measured))
        else:
            await self._writer.record(statements.failure(outcome, status, measured))
