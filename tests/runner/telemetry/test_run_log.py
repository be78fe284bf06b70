"""The log of a run: what it holds, how long it gets, and that it never harms anything."""

from __future__ import annotations

import errno
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from runner.telemetry.run_log import MOST_LINES, RunLog
from schemas.failures import FailureKind, RowStatus
from schemas.run_events import PaceChanged, RowFailed


def log_to(path: Path) -> RunLog:
    return RunLog(
        lambda: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), lambda: 1_800_000_000.0
    )


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def failed(row: int, kind: FailureKind = FailureKind.MODERATION, message: str = "no") -> RowFailed:
    return RowFailed(f"r{row}", row, row, RowStatus.FAILED, kind, message)


def test_a_line_each_for_start_failures_pace_and_end(tmp_path: Path) -> None:
    log = log_to(path := tmp_path / "a.jsonl")
    log.start({"model": "m"})
    log.note(failed(3))
    log.note(PaceChanged("rate_limited: slow down", 2.5, 4))
    log.end({"exit_code": 3})
    log.close()
    start, failure, pace, end = written(path)
    assert start == {"time": "2027-01-15T08:00:00.000+00:00", "event": "start", "model": "m"}
    told = [failure[name] for name in ("event", "row_id", "row", "status", "kind", "message")]
    assert told == ["failure", "r3", 3, "failed", "moderation", "no"]
    assert (pace["event"], pace["wait_s"], pace["concurrency"]) == ("pace", 2.5, 4)
    assert (end["exit_code"], end["failures"], end["left_out"]) == (3, {"moderation": 1}, {})


def test_a_bad_night_is_capped_by_kind_and_says_so(tmp_path: Path) -> None:
    log = log_to(path := tmp_path / "a.jsonl")
    log.start({})
    for row in range(MOST_LINES + 50):
        log.note(failed(row))
    log.note(failed(7, FailureKind.GATEWAY))
    log.end({})
    log.close()
    lines = written(path)
    assert len(lines) == MOST_LINES + 4
    assert [line["kind"] for line in lines if line["event"] == "left_out"] == ["moderation"]
    assert lines[-1]["failures"] == {"moderation": MOST_LINES + 50, "gateway": 1}
    assert lines[-1]["left_out"] == {"moderation": 50}


def test_no_key_and_no_second_line_comes_in_by_a_message(tmp_path: Path) -> None:
    log = log_to(path := tmp_path / "a.jsonl")
    log.start({"nested": {"url": "https://a.example/x?sig=abc"}})
    log.note(failed(1, message="Bearer sk-abcdefghijkl\nand \x1b[31m more"))
    log.close()
    text = path.read_text()
    assert "sk-abc" not in text and "sig=abc" not in text and "\\u001b" not in text
    assert len(written(path)) == 2


def test_a_disk_that_refuses_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    def full() -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with caplog.at_level(logging.WARNING):
        log = RunLog(full, lambda: 0.0)
        log.start({})
        log.note(failed(1))
        log.end({})
        log.close()
    assert caplog.messages == ["the run goes on without its log in logs/: No space left on device"]


def test_a_disk_that_fills_up_leaves_whole_lines(caplog: pytest.LogCaptureFixture) -> None:
    """`/dev/full` takes nothing."""
    with caplog.at_level(logging.WARNING):
        log = RunLog(lambda: os.open("/dev/full", os.O_WRONLY), lambda: 0.0)
        log.start({})
        log.close()
    assert len(caplog.messages) == 1


def test_each_failing_row_is_a_line_of_v(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = log_to(tmp_path / "a.jsonl")
    log.start({})
    with caplog.at_level(logging.DEBUG, "runner"):
        log.note(failed(3))
    log.close()
    assert caplog.messages == ["row r3 failed: moderation: no"]
