"""A run's figures in a file for Prometheus."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.telemetry.prometheus import MetricsFile, samples_of
from schemas.reports import RunEnd
from tests.support.audience import PLAN, figures, look
from tests.support.waiting import until


def test_a_run_that_could_not_start_has_few_figures() -> None:
    told = samples_of(RunEnd(2, "no manifest"), 5.0)
    assert told == {
        ("imagemill_last_run_timestamp_seconds", ""): 5.0,
        ("imagemill_last_run_exit_code", ""): 2.0,
    }


def test_the_end_is_written_when_earlier_folders_were_finished_and_the_last_one_is_locked(
    tmp_path: Path,
) -> None:
    """The file says that a run is going on since the first look, so it must not stay like that."""
    pytest.importorskip("prometheus_client")
    file = MetricsFile(tmp_path / "m.prom", "p")
    file.started(PLAN)
    file.progress(look(1))
    until(lambda: (tmp_path / "m.prom").exists())
    assert figures(tmp_path / "m.prom")["imagemill_run_started_timestamp_seconds"] == 5.0
    file.finished(RunEnd(6, "another run has it", locked_out=True))
    assert figures(tmp_path / "m.prom")["imagemill_running"] == 0
