"""When a command must end: `run.deadline` by the wall clock, `run.max_duration` by a clock that never jumps.

The deadline is a moment in the life of people, so it follows the machine's time of day wherever that goes: set by NTP or
by hand, moved by summer time, or run on while a laptop slept. It is looked at every few seconds. The longest duration
counts seconds of this machine being awake (CLOCK_MONOTONIC). Both hold for the whole command: folders of earlier nights
and tonight's own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from jobs.dates import deadline_of
from schemas.errors import ExitCode, Reason
from schemas.job import RunTable

LOOK_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Until:
    """started: monotonic seconds. deadline_s: Unix seconds. stopped: why nothing more is to be sent at all."""

    started: float
    max_duration_s: float | None = None
    deadline_s: float | None = None
    deadline: str = ""
    stopped: Reason | None = None

    @property
    def reason(self) -> Reason | None:
        """Why to end now; None while there is time."""
        if self.stopped is not None:
            return self.stopped
        if self.max_duration_s is not None and time.monotonic() - self.started >= self.max_duration_s:
            return Reason(ExitCode.MAX_DURATION, f"--max-duration of {self.max_duration_s:g} s reached")
        if self.deadline_s is not None and time.time() >= self.deadline_s:
            return Reason(ExitCode.MAX_DURATION, f"--deadline of {self.deadline} reached")
        return None

    @property
    def pause_s(self) -> float | None:
        """Seconds after which to look again; None when nothing limits the command."""
        pauses = []
        if self.max_duration_s is not None:
            pauses.append(max(0.0, self.started + self.max_duration_s - time.monotonic()))
        if self.deadline_s is not None:
            pauses.append(min(LOOK_EVERY_S, max(0.0, self.deadline_s - time.time())))
        return min(pauses, default=None)


def until(run: RunTable) -> Until:
    """The end of a command that starts now."""
    started = time.monotonic()
    if run.deadline is None:
        return Until(started, run.max_duration)
    due = deadline_of(run.deadline, datetime.now())
    return Until(started, run.max_duration, due.timestamp(), f"{due:%Y-%m-%d %H:%M:%S}")
