"""Child processes end, and asyncio is not confused about them."""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE, Process

import pytest

from runner.process.children import end_child

ENDS = "import sys; sys.stdin.read()"
STAYS = "import time; print(flush=True); time.sleep(60)"


async def started(code: str) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=PIPE, stdout=PIPE)


def test_one_that_ends_by_itself_is_no_unknown_child(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def main() -> list[int | None]:
        codes = []
        for _ in range(20):
            process = await started(ENDS)
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            await process.stdout.read()
            await end_child(process, 0.0, 5.0)
            codes.append(process.returncode)
        return codes

    codes = asyncio.run(main())
    assert set(codes) <= {0, -9}
    assert caplog.messages == []


def test_one_that_stays_is_killed() -> None:
    async def main() -> int | None:
        process = await started(STAYS)
        assert process.stdout is not None
        await process.stdout.readline()
        await end_child(process, 0.05, 5.0)
        return process.returncode

    assert asyncio.run(main()) == -9
