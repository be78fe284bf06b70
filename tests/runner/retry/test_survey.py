"""Which rows a retry sends: every choice over a folder in which each state of a row is there, and some rows in part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.overrides import Overrides, template
from jobs.selection import RetrySelection
from runner.ledger.completion_cache import CompletedRows
from runner.ledger.statistics import Totals
from runner.planning.plan import Forecast
from runner.planning.row_stream import RowStream
from runner.results.table import ResultsTable
from runner.retry.override_rows import RowOverrides
from runner.retry.survey import Survey, Surveyor
from schemas.errors import ExitCode, JobError
from schemas.failures import FailureKind, RowStatus
from schemas.outcome import ABSENT, MissingImage
from schemas.row import Row
from tests.support.ledgers import LedgerFolder, rows_of, saved
from tests.support.manifests import MALFORMED, Record, prepared, row_stream

KIND = FailureKind
RECORDS: list[Record] = [
    {"id": "won", "prompt": "a fox"},
    {"id": "half", "prompt": "an owl", "n": "3"},
    {"id": "failed", "prompt": "a hare"},
    {"id": "rude", "prompt": "a stoat"},
    {"id": "parked", "prompt": "a crow"},
    {"id": "new", "prompt": "a mole"},
    {"id": "task", "prompt": "a wren"},
    {"id": "slow", "prompt": "a toad"},
    {"id": "bad", MALFORMED: "line 10: no prompt"},
]
"""Of `half` the first image is there; of the tasks one has been waited for too long."""


@pytest.fixture
def source() -> RowStream:
    return row_stream(RECORDS, budget={"price": 1.0})


@pytest.fixture
def workspace(tmp_path: Path, source: RowStream) -> Iterator[LedgerFolder]:
    """A folder that has sent all of them but `new`."""
    with LedgerFolder(tmp_path) as folder:
        won, half, failed, rude, parked, _, task, slow = rows_of(source)
        folder.success(won, saved(name="won", flags=("size_mismatch",)))
        lacks = [MissingImage(index, KIND.DOWNLOAD, "gone") for index in (1, 2)]
        folder.success(half, saved(name="half"), missing=lacks)
        folder.failure(failed, KIND.INVALID_REQUEST, RowStatus.FAILED)
        folder.failure(rude, KIND.MODERATION, RowStatus.FAILED)
        folder.failure(parked, KIND.TIMEOUT, RowStatus.PARKED)
        for each in (task, slow):
            number = folder.intent(each)
            folder.connection.execute("INSERT INTO tasks VALUES (?, 't', NULL, 2)", (number,))
        folder.connection.execute("INSERT INTO task_waits VALUES (?, 3, 'too long')", (number,))
        yield folder


def surveyor(
    workspace: LedgerFolder, source: RowStream, changes: Overrides | None = None, **selection: Any
) -> Surveyor:
    """Looks for what is wanted."""
    remaker = RowOverrides(changes or Overrides(), source.defaults, source.defaults, source.manifest.columns)
    forecast = Forecast(prepared(workspace.root, source), None)
    table = ResultsTable(source, workspace.ledger)
    return Surveyor(table, workspace.ledger, RetrySelection(**selection), remaker, forecast)


def survey(
    workspace: LedgerFolder, source: RowStream, changes: Overrides | None = None, **selection: Any
) -> Survey:
    """What is found when this is wanted."""
    return surveyor(workspace, source, changes, **selection).survey()


def sent(found: Survey, source: RowStream) -> dict[str, tuple[int, ...] | None]:
    """Row id -> which of its images the engine is given; None: all."""
    told = {}
    for batch in source.batches():
        for workspace, row in enumerate(batch.rows):
            if isinstance(row, Row) and (work := found.picks.work(batch, workspace, row, ABSENT)) is not None:
                told[row.row_id] = work.indexes
    assert len(told) == len(found.picks)
    return told


KINDS = frozenset[FailureKind]
NAMED = frozenset[str]


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        ({}, "half failed rude new"),
        ({"parked": True}, "parked"),
        ({"pending": True}, "new"),
        ({"parked": True, "pending": True}, "parked new"),
        ({"kinds": KINDS({KIND.MODERATION})}, "rude"),
        ({"kinds": KINDS({KIND.MODERATION, KIND.DOWNLOAD})}, "half rude"),
        ({"kinds": KINDS({KIND.TIMEOUT})}, "parked"),
        ({"kinds": KINDS({KIND.TIMEOUT}), "pending": True}, ""),
        ({"kinds": KINDS({KIND.STOPPED})}, "new"),
        ({"where": "row_id = 'failed' or row_id = 'parked'"}, "failed"),
        ({"where": "status = 'parked'"}, "parked"),
        ({"where": "error_kind = 'timeout'"}, "parked"),
        ({"where": "error_kind = 'timeout' or row_id = 'parked'"}, ""),
        ({"where": "prompt = 'a crow'", "parked": True}, "parked"),
        ({"row_ids": NAMED({"failed", "parked", "won"})}, "failed"),
        ({"row_ids": NAMED({"failed", "parked", "won"}), "parked": True}, "parked"),
        ({"row_ids": NAMED({"failed", "won"}), "succeeded": True}, "won"),
        ({"row_ids": NAMED({"failed", "rude"}), "kinds": KINDS({KIND.MODERATION})}, "rude"),
        ({"flags": NAMED({"size_mismatch"})}, "won"),
        ({"flags": NAMED({"size_mismatch", "fewer_images"})}, "won"),
        ({"flags": NAMED({"else"})}, ""),
        ({"since_ms": 2_003}, "rude"),
        ({"since_ms": 2_004}, ""),
        ({"since_ms": 2_001, "where": "status = 'failed'"}, "half failed rude"),
    ],
)
def test_what_is_asked_for_is_sent_and_nothing_else(
    workspace: LedgerFolder, source: RowStream, selection: dict[str, Any], ids: str
) -> None:
    assert [*sent(survey(workspace, source, **selection), source)] == ids.split()


# Rows in part


def test_of_a_row_in_part_what_it_lacks_is_asked_for(workspace: LedgerFolder, source: RowStream) -> None:
    found = survey(workspace, source)
    assert sent(found, source) == {"half": (1, 2), "failed": None, "rude": None, "new": None}
    assert (found.already_made, found.picks.successes) == (0, False)


def test_what_it_lacks_is_asked_for_together(workspace: LedgerFolder, source: RowStream) -> None:
    assert sent(survey(workspace, source, where="image_index = 2"), source) == {"half": (1, 2)}


def test_what_is_there_is_asked_for_only_where_it_was_chosen(
    workspace: LedgerFolder, source: RowStream
) -> None:
    half = NAMED({"half"})
    there = survey(workspace, source, row_ids=half, succeeded=True)
    assert sent(there, source) == {"half": (0,)}
    assert (there.already_made, there.picks.successes) == (1, True)
    workspace.success(rows_of(source)[1], *(saved(index, "all") for index in range(3)))
    whole = survey(workspace, source, row_ids=half, succeeded=True)
    assert (sent(whole, source), whole.already_made) == ({"half": None}, 3)
    last = survey(workspace, source, where="row_id = 'half' and image_index = 2", succeeded=True)
    assert (sent(last, source), last.already_made) == ({"half": (2,)}, 1)


def editions(found: Survey, source: RowStream) -> list[int]:
    """Of the rows that are sent."""
    works = (
        found.picks.work(batch, workspace, row, ABSENT)
        for batch in source.batches()
        for workspace, row in enumerate(batch.rows)
        if isinstance(row, Row)
    )
    return [work.row.edition for work in works if work is not None]


def test_a_picture_that_is_there_is_asked_for_in_another_edition_each_time(
    workspace: LedgerFolder, source: RowStream
) -> None:
    won = NAMED({"won"})
    assert editions(survey(workspace, source, row_ids=won, succeeded=True), source) == [1]
    number = workspace.success(rows_of(source)[0], saved(name="again"))
    assert editions(survey(workspace, source, row_ids=won, succeeded=True), source) == [1 + number]
    assert editions(survey(workspace, source, row_ids=NAMED({"failed"})), source) == [0]


# Tasks


def test_a_task_is_not_paid_for_again_unless_its_own_failure_is_named(
    workspace: LedgerFolder, source: RowStream
) -> None:
    assert survey(workspace, source).left["polled"] == 1
    assert survey(workspace, source, parked=True).left["polled"] == 1
    for selection in (
        {"kinds": KINDS({KIND.TASK_TIMEOUT})},
        {"where": "error_kind = 'task_timeout'"},
    ):
        found = survey(workspace, source, **selection)
        assert sent(found, source) == {"slow": None}
        (item,) = found.picks.abandoned
        assert workspace.ledger.versions([item])[item].row_id == "slow"
        assert found.left["polled"] == 0


def test_a_task_is_not_given_up_by_an_expression_that_would_hold_without_its_failure(
    workspace: LedgerFolder, source: RowStream
) -> None:
    found = survey(workspace, source, where="error_kind = 'task_timeout' or row_id = 'slow'", parked=True)
    assert (sent(found, source), found.picks.abandoned, found.left["polled"]) == ({}, set(), 1)


# What is told beside


def test_rows_are_counted_by_state(workspace: LedgerFolder, source: RowStream) -> None:
    counted = {"rows": 9, "succeeded": 1, "parked": 2, "invalid": 1}
    assert survey(workspace, source).rows == counted
    assert survey(workspace, source, row_ids=NAMED({"won"})).rows == counted


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        ({}, {"polled": 1, "parked": 1}),
        ({"parked": True}, {"polled": 1}),
        (
            {"where": "row_id in ('won', 'half', 'bad', 'parked')"},
            {"succeeded": 2, "invalid": 1, "parked": 1},
        ),
        ({"row_ids": NAMED({"won", "failed"})}, {"succeeded": 1}),
        ({"kinds": KINDS({KIND.INVALID_ROW})}, {"invalid": 1}),
        ({"pending": True}, {"polled": 1}),
    ],
)
def test_what_matches_and_is_left_is_counted_by_state(
    workspace: LedgerFolder, source: RowStream, selection: dict[str, Any], left: dict[str, int]
) -> None:
    assert +survey(workspace, source, **selection).left == +Counter(left)


def test_an_edited_row_that_keeps_its_image_is_left(workspace: LedgerFolder) -> None:
    edited: list[Record] = [{**RECORDS[0], "prompt": "a red fox"}, *RECORDS[1:]]
    kept = row_stream(edited, run={"on_change": "keep"})
    found = survey(workspace, kept, row_ids=NAMED({"won"}), succeeded=True)
    assert (sent(found, kept), found.left["edited"]) == ({}, 1)
    anew = row_stream(edited, run={"on_change": "regenerate"})
    assert sent(survey(workspace, anew, row_ids=NAMED({"won"})), anew) == {"won": None}


def test_completed_rows_are_passed_over_where_nobody_names_them(
    workspace: LedgerFolder, source: RowStream
) -> None:
    first = np.array([True])
    known = CompletedRows(1, 1, first, first, 1, Totals())
    found = surveyor(workspace, source).survey(known)
    assert found.rows == {"rows": 8, "succeeded": 1, "parked": 2, "invalid": 1}
    assert [*sent(found, source)] == ["half", "failed", "rude", "new"]
    named = surveyor(workspace, source, row_ids=NAMED({"won"}), succeeded=True).survey(known)
    assert (named.rows["rows"], [*sent(named, source)]) == (9, ["won"])


def test_what_is_sent_is_counted_and_priced(workspace: LedgerFolder, source: RowStream) -> None:
    plan = survey(workspace, source).forecast.plan(rows=9, done=1, parked=1, invalid=1)
    assert (plan.requests, plan.images, plan.cost_usd.high) == (4, 5, 5.0)


# What cannot be sent


def changed(**texts: str) -> Overrides:
    return Overrides(tuple((name, template(text)) for name, text in texts.items()))


def test_an_override_is_filled_from_the_rows_own_results(workspace: LedgerFolder, source: RowStream) -> None:
    changes = changed(prompt="{prompt} again: {error_kind}")
    found = survey(workspace, source, changes, row_ids=NAMED({"failed", "half"}))
    assert found.example == ("half", "an owl again: download")
    assert len(found.picks) == 2
    rude = survey(workspace, source, changes, row_ids=NAMED({"rude"}))
    assert rude.example == ("rude", "a stoat again: moderation")


def test_an_override_that_leaves_the_prompt_alone_has_no_example(
    workspace: LedgerFolder, source: RowStream
) -> None:
    assert survey(workspace, source, changed(size="auto")).example is None


def test_rows_that_cannot_be_sent_like_this_are_told_the_first_few(tmp_path: Path) -> None:
    many: list[Record] = [
        {"id": f"r{i}", "prompt": "a fox", **({} if i else {"size": "auto"})} for i in range(13)
    ]
    source = row_stream(many, batch=4)
    with LedgerFolder(tmp_path) as workspace:
        found = survey(workspace, source, changed(size="{size}"))
    assert (found.wrong, len(found.problems), len(found.picks)) == (12, 10, 1)
    assert found.problems[0] == "row 'r1' (line 3): column 'size' is null in this row"
    assert found.example is None


def test_columns_that_are_not_there_are_refused(workspace: LedgerFolder, source: RowStream) -> None:
    with pytest.raises(JobError) as refused:
        survey(workspace, source, changed(prompt="{mood}"))
    assert refused.value.message == "--set: {mood} is no column"
    assert "row_id" in refused.value.fix
    with pytest.raises(JobError, match="mood"):
        survey(workspace, source, where="mood = 1")


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ("won x", "--rows: 1 of 2 ids are no rows here: 'x'"),
        ("x", "--rows: 1 of 1 id is no row here: 'x'"),
        ("e d c b a won", "--rows: 5 of 6 ids are no rows here: 'a', 'b', 'c', 'd', 'e'"),
        ("f e d c b a", "--rows: 6 of 6 ids are no rows here: 'a', 'b', 'c', 'd', 'e' and 1 more"),
    ],
)
def test_ids_of_no_row_are_refused(workspace: LedgerFolder, source: RowStream, ids: str, told: str) -> None:
    with pytest.raises(JobError) as refused:
        survey(workspace, source, row_ids=NAMED(ids.split()))
    assert refused.value.message == told
    assert refused.value.exit_code is ExitCode.USAGE
    assert refused.value.fix == "the ids are those of the column row_id in results.parquet"
