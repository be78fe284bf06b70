"""When the results table is written while a run goes on."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from runner.app.monitor import TABLE_EVERY_S, TABLE_LOOK_S, Monitor
from runner.engine.run_state import Counters
from runner.engine.shutdown import Shutdown
from runner.planning.source import Tally
from tests.support.clock import clock, run


def test_a_table_within_a_minute_then_for_each_tenth_and_not_within_five_minutes() -> None:
    """Failed rows count too: who looks at the table wants to see them."""
    counters, writes = Counters(), list[tuple[int, float]]()

    async def main() -> None:
        loop = clock()
        engine = SimpleNamespace(counters=counters)
        looks = SimpleNamespace(engine=engine, shutdown=Shutdown(), tally=Tally(images=100))
        monitor = Monitor(cast(Any, looks), 1.0)
        started = loop.time()

        def write() -> None:
            writes.append((counters.failed, loop.time() - started))

        async def pass_by(seconds: float) -> None:
            for _ in range(int(seconds / TABLE_LOOK_S)):
                loop.put_forward(TABLE_LOOK_S)
                await asyncio.sleep(0)

        async def written(times: int) -> None:
            while len(writes) < times:
                await pass_by(TABLE_LOOK_S)

        refreshing = asyncio.create_task(monitor.refresh_table(write))
        await pass_by(60)
        await written(1)
        counters.failed = 9
        await pass_by(3 * TABLE_EVERY_S)
        counters.failed = 10
        await written(2)
        refreshing.cancel()

    run(main())
    (nothing, first_s), (tenth, second_s) = writes
    assert (nothing, tenth) == (0, 10)
    assert second_s - first_s >= TABLE_EVERY_S
