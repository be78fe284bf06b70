"""Child processes of the event loop, and their end."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress


async def end_child(process: asyncio.subprocess.Process, within_s: float, last_look_s: float) -> None:
    """Wait for it to end by itself for so long, then kill it and wait for as long as `last_look_s`.

    `Process.kill` looks first whether the process has ended. If it has, the look takes its exit code away from whoever
    waits for it on the loop's behalf, and asyncio prints "Unknown child process".
    """
    for seconds in (within_s, last_look_s):
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await process.wait()
                return
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
