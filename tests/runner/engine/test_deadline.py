"""When a command must end. Clocks are not waited for: the moments lie in the past or far ahead."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from runner.engine.deadline import CHECK_EVERY_S, Deadline, command_deadline
from schemas.errors import ExitCode, Reason
from schemas.job import RunTable


def test_without_limits_there_is_no_end() -> None:
    end = command_deadline(RunTable())
    assert (end.reason, end.pause_s) == (None, None)


def test_the_longest_duration_counts_from_the_start() -> None:
    end = Deadline(time.monotonic() - 100, max_duration_s=99)
    assert end.reason == Reason(ExitCode.MAX_DURATION, "--max-duration of 99 s reached")
    assert Deadline(time.monotonic(), max_duration_s=99).reason is None


def test_a_deadline_is_looked_at_often_because_the_clock_may_jump() -> None:
    ahead = datetime.now() + timedelta(hours=5)
    end = command_deadline(RunTable(deadline=ahead.isoformat()))
    assert (end.reason, end.pause_s) == (None, CHECK_EVERY_S)


def test_a_deadline_of_the_past_has_been_reached() -> None:
    end = command_deadline(RunTable(deadline="2020-01-01T06:00"))
    assert end.reason == Reason(ExitCode.MAX_DURATION, "--deadline of 2020-01-01 06:00:00 reached")


def test_a_time_of_day_is_within_the_next_day() -> None:
    due = command_deadline(RunTable(deadline="06:00")).deadline_s
    assert due is not None
    assert 0 < due - time.time() <= 25 * 3600
    assert datetime.fromtimestamp(due).strftime("%H:%M:%S") == "06:00:00"


def test_a_command_that_was_stopped_stays_so() -> None:
    stopped = Reason(ExitCode.TERMINATED, "terminated")
    assert Deadline(time.monotonic(), stopped=stopped).reason == stopped
