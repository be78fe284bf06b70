"""What the ledger keeps of a task, and for how long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from runner.ledger.attempt_log import LedgerLog
from runner.ledger.ledger_file import LedgerFile
from runner.ledger.reader import connection_of
from schemas.attempt import Intent, Measured
from schemas.failures import Failure, FailureKind, RowStatus
from schemas.outcome import Failed, Outcome, Reported, Success, Task
from schemas.output_folder import LEDGER_NAME
from tests.support.fakes import row

SIGNED = "https://relay/get?id=t1&sig=SECRET-SIGNATURE"
DONE = Success((), reported=Reported(task_id="t1"))
LOST = Failed(Failure(FailureKind.TASK_LOST, "gone"), Reported(task_id="t1"))


def kept(folder: Path, *outcomes: Outcome) -> str:
    """The URL in the ledger of a task that ends so, or goes on."""

    async def record(ledger: LedgerFile) -> None:
        async with ledger.writer() as writer:
            log = LedgerLog(writer, lambda: 1)
            await log.intend(Intent(0, 0, 0, row(), 1, 0.5, True, None))
            await log.accepted(0, Task("t1", SIGNED))
            await log.still_open(0, "the next run goes on")
            for outcome in outcomes:
                await log.conclude(outcome, RowStatus.SUCCEEDED, Measured(0, 1, 0.1, None, False))

    with LedgerFile.create_or_open(folder, simulated=False) as ledger:
        connection_of(ledger).execute("INSERT INTO runs VALUES (0, 'r', 0, '0', 'http://x', NULL)")
        asyncio.run(record(ledger))
        ((url,),) = connection_of(ledger).execute("SELECT poll_url FROM tasks").fetchall()
    return str(url)


def test_a_task_that_goes_on_keeps_its_url_whole(tmp_path: Path) -> None:
    assert kept(tmp_path) == SIGNED


@pytest.mark.parametrize("outcome", [DONE, LOST])
def test_a_task_that_has_ended_keeps_no_signature_anywhere(tmp_path: Path, outcome: Outcome) -> None:
    """G14."""
    assert kept(tmp_path, outcome) == "https://relay/get"
    assert b"SECRET-SIGNATURE" not in (tmp_path / LEDGER_NAME).read_bytes()
