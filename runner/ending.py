"""How a run ends: the first reason wins, and everybody who waits is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from schemas.exit_codes import ExitCode


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run stops before its work is done. text: one line for people."""

    exit_code: ExitCode
    text: str


_DRAINED = frozenset(
    {
        ExitCode.INTERNAL,
        ExitCode.LOCAL,
        ExitCode.MAX_DURATION,
        ExitCode.INTERRUPTED,
        ExitCode.TERMINATED,
    }
)
"""Ends that cannot wait for ever: answers in flight get `run.drain`. After the others each is awaited to its deadline."""


class Ending:
    """Nothing new is sent once `stopping` is set; `draining` starts the drain's clock; `hard` ends all waiting."""

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self.stopping = asyncio.Event()
        self.draining = asyncio.Event()
        self.hard = asyncio.Event()

    def stop(self, exit_code: ExitCode, text: str) -> None:
        """Send nothing more; answers in flight are still awaited. Later reasons do not replace the first."""
        if self.reason is None:
            self.reason = Reason(exit_code, text)
        self.stopping.set()
        if exit_code in _DRAINED:
            self.draining.set()

    def cut(self) -> None:
        """Stop waiting for answers in flight: their rows are parked."""
        self.stopping.set()
        self.hard.set()
