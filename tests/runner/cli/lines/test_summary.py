"""The lines of a summary: this run's figures apart from the folder's, units with every number, what was simulated marked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.cli.lines.summary import summary_facts
from runner.cli.watching import progress_line
from schemas.reports import Service
from schemas.summary import FolderFigures, State, Summary

FIRST = Summary(
    imagemill="0.1.0",
    command="run",
    out="runs/a",
    simulated=False,
    state=State.FINISHED,
    exit_code=3,
    exit_reason="finished: 6 failed, 4 parked",
    next="imagemill failures runs/a",
    rows=1500,
    images=3000,
    by_status={"succeeded": 2990, "failed": 6, "parked": 4},
    by_error={"timeout": 4, "moderation": 6},
    run_id="r",
    started="2026-11-30T00:00:00+00:00",
    finished="2026-11-30T02:05:00+00:00",
    duration_s=7500.0,
    rows_sent=1500,
    requests_sent=1510,
    images_saved=2991,
    maybe_billed=4,
    cost_usd=12.5,
    maybe_usd=0.8,
    folder=FolderFigures(1, 1510, 2991, 4, 12.5),
    service=Service(
        "openai", "https://api.openai.com/v1", "gpt-image-2", "environment variable OPENAI_API_KEY"
    ),
)
AGAIN = replace(
    FIRST,
    rows_sent=0,
    rows_skipped=1500,
    requests_sent=0,
    images_saved=0,
    maybe_billed=0,
    cost_usd=0.0,
    maybe_usd=0.0,
    duration_s=0.04,
    folder=replace(FIRST.folder, runs=2),
)


def test_a_first_run() -> None:
    assert dict(summary_facts(FIRST)) == {
        "service": "https://api.openai.com/v1, model gpt-image-2, key from environment variable OPENAI_API_KEY",
        "rows": "1,500 (3,000 images asked for)",
        "succeeded": "2,990 images",
        "failed": "6 images",
        "parked": "4 images",
        "errors": "moderation 6, timeout 4",
        "": "all of them, and what mends them: imagemill failures runs/a",
        "this run": "1,500 rows sent in 1,510 requests, 2,991 images saved; 2 h 05 min",
        "cost": "$12.50; 4 requests may have been charged without giving an image (up to $0.80)",
        "images": "runs/a/images",
        "ended": "finished: 6 failed, 4 parked (exit code 3)",
        "next": "imagemill failures runs/a",
    }


def test_a_resume_that_sends_nothing_repeats_no_figure_of_the_first() -> None:
    facts = dict(summary_facts(AGAIN))
    assert facts["this run"] == "nothing to send: no row was pending; 0.0 s"
    assert facts["folder"] == "2 runs so far: 1,510 requests, 2,991 images, $12.50"
    assert "cost" not in facts
    done = replace(AGAIN, by_status={"succeeded": 3000}, by_error={})
    assert dict(summary_facts(done))["this run"] == "nothing to send: all 1,500 rows were done; 0.0 s"
    early = replace(AGAIN, rows_skipped=3)
    assert dict(summary_facts(early))["this run"] == "nothing was sent; 0.0 s"


def test_invalid_rows_were_not_done_before() -> None:
    some = replace(FIRST, rows_skipped=13, by_status={"succeeded": 4, "invalid": 13})
    assert "done before" not in dict(summary_facts(some))["this run"]
    more = replace(some, rows_skipped=15)
    assert ", 2 were done before" in dict(summary_facts(more))["this run"]


@pytest.mark.parametrize(
    ("changed", "cost"),
    [
        (replace(FIRST, maybe_billed=0, simulated=True), "$12.50 simulated, nothing is charged"),
        (replace(FIRST, maybe_billed=0, cost_usd=0.0), "$0.00"),
        (replace(FIRST, maybe_billed=0, cost_usd=None), "unknown: no price (see --price)"),
    ],
)
def test_money_is_what_it_is(changed: Summary, cost: str) -> None:
    assert dict(summary_facts(changed))["cost"] == cost


def test_a_run_that_goes_on_has_a_state_and_no_end() -> None:
    going = replace(FIRST, command="status", state=State.RUNNING, exit_code=None, finished=None, eta_s=90.0)
    facts = dict(summary_facts(going))
    assert facts["state"] == "running for 2 h 05 min, about 2 min left"
    assert "this run" in facts and "ended" not in facts
    assert progress_line(going) == "3,000 of 3,000 images, 6 failed, 4 parked, about 2 min left"


def test_status_speaks_of_the_last_run() -> None:
    assert "last run" in dict(summary_facts(replace(FIRST, command="status")))


def test_a_table_is_named_where_it_is(tmp_path: Path) -> None:
    summary = replace(FIRST, out=str(tmp_path))
    assert "results" not in dict(summary_facts(summary))
    (tmp_path / "results.parquet").touch()
    assert dict(summary_facts(summary))["results"] == str(tmp_path / "results.parquet")


def test_a_folder_in_which_nothing_was_started_has_no_run() -> None:
    new = replace(AGAIN, run_id="", started=None, state=State.STOPPED, exit_code=None, folder=FolderFigures())
    facts = dict(summary_facts(replace(new, exit_reason="no run has started yet")))
    assert "this run" not in facts
    assert facts["ended"] == "no run has started yet"
