"""When a command must end: `run.deadline` by the wall clock, `run.max_duration` by a clock that never jumps.

The deadline is a time of day, so it follows the machine's clock when NTP or a person sets it, when summer time begins, and
while a laptop sleeps. The maximum duration counts seconds that this machine is awake (CLOCK_MONOTONIC), also those in which
the process was stopped. Both are checked every few seconds, because the event loop's clock stands still with the process.
Both apply to the whole command: folders of earlier nights and tonight's own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from jobs.dates import deadline_of
from schemas.errors import ExitCode, Reason
from schemas.job import RunTable

CHECK_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time limits of one command.

    started: monotonic seconds. deadline_s: Unix seconds; deadline_text: the same for messages. stopped: set when the command
    was stopped for another reason, so that nothing more is sent.
    """

    started: float
    max_duration_s: float | None = None
    deadline_s: float | None = None
    deadline_text: str = ""
    stopped: Reason | None = None

    @property
    def reason(self) -> Reason | None:
        """Why to end now; None while there is time."""
        if self.stopped is not None:
            return self.stopped
        if self.max_duration_s is not None and time.monotonic() - self.started >= self.max_duration_s:
            return Reason(ExitCode.MAX_DURATION, f"--max-duration of {self.max_duration_s:g} s reached")
        if self.deadline_s is not None and time.time() >= self.deadline_s:
            return Reason(ExitCode.MAX_DURATION, f"--deadline of {self.deadline_text} reached")
        return None

    @property
    def pause_s(self) -> float | None:
        """Seconds until the next check; None when nothing limits the command."""
        left = []
        if self.max_duration_s is not None:
            left.append(self.started + self.max_duration_s - time.monotonic())
        if self.deadline_s is not None:
            left.append(self.deadline_s - time.time())
        return max(0.0, min(CHECK_EVERY_S, *left)) if left else None


def command_deadline(run: RunTable) -> Deadline:
    """The deadline of a command that starts now."""
    started = time.monotonic()
    if run.deadline is None:
        return Deadline(started, run.max_duration)
    due = deadline_of(run.deadline, datetime.now())
    return Deadline(started, run.max_duration, due.timestamp(), f"{due:%Y-%m-%d %H:%M:%S}")
