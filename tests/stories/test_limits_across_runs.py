"""A run that starts within the window of the one before it takes up where that one stopped: the real ledger tells."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from jobs.send_history import Weight
from runner.ledger.statistics import recent_sends
from runner.limits.rate_limiter import AdaptiveRateLimiter
from schemas.job import LimitsTable
from schemas.row import Row
from tests.support.clock import run_idle
from tests.support.ledgers import LedgerFolder
from tests.support.manifests import prompts, row_stream

WINDOW_S = 60.0


def rows(count: int) -> list[Row]:
    made = [row for batch in row_stream(prompts(*map(str, range(count)))).batches() for row in batch.rows]
    return [row for row in made if isinstance(row, Row)]


def first_permit_after_s(earlier: list[tuple[float, int]], limit: float) -> float:
    """Seconds that the first request of a new run waits."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        limiter = AdaptiveRateLimiter(LimitsTable(rpm=limit, window_s=WINDOW_S), earlier)
        limiter.start()
        started = loop.time()
        await limiter.permit(Weight(1, 0.0))
        return loop.time() - started

    return run_idle(main())


def test_what_the_ledger_knows_counts_against_the_limit(tmp_path: Path) -> None:
    with LedgerFolder(tmp_path) as ledger:
        for row in rows(4):
            ledger.intent(row)
        now = time.time()
        ages = [70.0, 50.0, 20.0, 10.0]
        for number, age in enumerate(ages):
            ledger.connection.execute(
                "UPDATE attempts SET sent_ms = ? WHERE attempt = ?", (int((now - age) * 1000), number)
            )
        earlier = recent_sends(ledger.connection, WINDOW_S, now)
    assert [round(age) for age, _ in earlier] == [50, 20, 10]
    assert first_permit_after_s(earlier, 4) < 0.1
    assert 10 <= first_permit_after_s(earlier, 3) <= 11
    assert 50 <= first_permit_after_s(earlier, 1) <= 51
