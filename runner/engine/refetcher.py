"""Fetches again what could not be fetched: it is paid for, and needs no slot, no permit and no money."""

from __future__ import annotations

import asyncio

from runner.engine.dispatcher import Launcher
from runner.engine.run_state import RunState

MOST = 16
"""Rows whose images are fetched again at a time."""


class Refetcher:
    """One task walks the rows whose images wait, each when its time has come."""

    def __init__(self, state: RunState, launcher: Launcher) -> None:
        self._state = state
        self._launcher = launcher
        self._going: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Start each fetch in time, until it is cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            work = self._state.fetches.due(clock()) if len(self._going) < MOST else None
            if work is not None and work.task is not None:
                going = self._launcher.rejoin(work, work.task)
                self._going.add(going)
                going.add_done_callback(self._going.discard)
                continue
            due = self._state.fetches.next_due()
            full = due is None or len(self._going) >= MOST
            await self._state.change(None if full or due is None else max(0.0, due - clock()))
