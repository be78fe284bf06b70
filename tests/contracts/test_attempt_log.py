"""What every `AttemptLog` does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner.engine.ports import AttemptLog
from runner.ledger.attempt_log import LedgerLog
from runner.ledger.ledger_file import LedgerFile
from runner.ledger.reader import connection_of
from schemas.attempt import Intent, Measured
from schemas.failures import Failure, FailureKind, RowStatus
from schemas.outcome import Failed, Link, OpenWork, Reported, SavedImage, Success, Task, Unfetched
from tests.support.fakes import FakeLog, row

IMAGE = SavedImage(0, "images/0000/r0-0-0.png", "png", 1, 1, 5, "ab" * 32)
Recorded = dict[int, tuple[str, str | None, str | None]]
"""Attempt -> (row id, status, task id)."""
Use = Callable[[AttemptLog], Awaitable[None]]


def of_fake(use: Use, _folder: Path) -> Recorded:
    """What a fake recorded."""
    log = FakeLog([])
    asyncio.run(_awaited(use, log))
    return {
        intent.attempt: (
            intent.row.row_id,
            log.outcomes[intent.attempt][1].value if intent.attempt in log.outcomes else None,
            _task_id(log.tasks.get(intent.attempt)),
        )
        for intent in log.intents
    }


def _task_id(promised: OpenWork | None) -> str | None:
    return promised.task_id if isinstance(promised, Task) else None


def of_ledger(use: Use, folder: Path) -> Recorded:
    """What anybody reads in the ledger."""

    async def main(ledger: LedgerFile) -> None:
        async with ledger.writer() as writer:
            await use(LedgerLog(writer))

    with LedgerFile.create_or_open(folder, simulated=False) as ledger:
        connection_of(ledger).execute("INSERT INTO runs VALUES (0, 'r', 0, '0', 'http://x', NULL)")
        asyncio.run(main(ledger))
        found = connection_of(ledger).execute(
            "SELECT a.attempt, row_id, status, t.task_id FROM attempts a JOIN items USING (item) "
            "LEFT JOIN outcomes o ON o.attempt = a.attempt LEFT JOIN tasks t ON t.attempt = a.attempt"
        )
        return {attempt: tuple(values) for attempt, *values in found.fetchall()}


async def _awaited(use: Use, log: AttemptLog) -> None:
    await use(log)


@pytest.fixture(params=[of_fake, of_ledger])
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Use], Recorded]:
    """Uses a log and tells what it holds afterwards."""
    return lambda use: request.param(use, tmp_path)


def intent(number: int) -> Intent:
    """The first attempt of some row."""
    return Intent(number, number, 0, row(number), 1, None, True)


def test_an_intent_is_there_once_it_was_awaited(recorded: Callable[[Use], Recorded]) -> None:
    async def use(log: AttemptLog) -> None:
        await log.intend(intent(0))

    assert recorded(use) == {0: ("r0", None, None)}


def test_each_attempt_has_its_own_outcome(recorded: Callable[[Use], Recorded]) -> None:
    async def use(log: AttemptLog) -> None:
        await asyncio.gather(*(log.intend(intent(number)) for number in range(3)))
        await log.conclude(Success((IMAGE,)), RowStatus.SUCCEEDED, Measured(0, 2, 0.1, 0.2))
        failed = Failed(Failure(FailureKind.TIMEOUT, "late"))
        await log.conclude(failed, RowStatus.PARKED, Measured(2, 2, 0.1))

    expected = {0: ("r0", "succeeded", None), 1: ("r1", None, None), 2: ("r2", "parked", None)}
    assert recorded(use) == expected


def test_a_spooled_answer_is_no_outcome(recorded: Callable[[Use], Recorded]) -> None:
    async def use(log: AttemptLog) -> None:
        await log.intend(intent(0))
        await log.spooled(0, "quarantine/spool-0.tar")

    assert recorded(use) == {0: ("r0", None, None)}


def test_a_task_is_there_before_its_outcome(recorded: Callable[[Use], Recorded]) -> None:
    async def use(log: AttemptLog) -> None:
        await log.intend(intent(0))
        await log.accepted(0, Task("t-1", "https://x/tasks/t-1"))
        await log.still_open(0, "it takes too long")

    assert recorded(use) == {0: ("r0", None, "t-1")}


def test_an_outcome_takes_the_place_of_one_whose_images_were_to_be_fetched(
    recorded: Callable[[Use], Recorded],
) -> None:
    waits = Unfetched((Link(0, "https://x/1.png?sig=s"),), 1, 0, 200, Reported(), 5)

    async def use(log: AttemptLog) -> None:
        await log.intend(intent(0))
        await log.accepted(0, waits)
        failed = Failed(Failure(FailureKind.DOWNLOAD, "HTTP 503"), unfetched=replace(waits, saved=0))
        await log.conclude(failed, RowStatus.PENDING, Measured(0, 2, 0.1))
        await log.conclude(Success((IMAGE,)), RowStatus.SUCCEEDED, Measured(0, 3, 0.1, 0.2))

    assert recorded(use) == {0: ("r0", "succeeded", None)}
