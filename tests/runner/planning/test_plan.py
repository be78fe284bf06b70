"""What a run would send now: rows by state, money, time and the limit that binds, and what the user should know of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.sliding_window import margin_s
from runner.ledger.statistics import PastSuccesses
from runner.planning.duration import SendTimeline, plan_time
from runner.planning.plan import LISTED_PROBLEMS, Forecast, plan
from schemas.errors import ExitCode, JobError
from schemas.failures import FailureKind, RowStatus
from schemas.job import Job
from schemas.reports import CostRange, Plan, RunWarning
from tests.support.ledgers import LedgerFolder, rows_of, saved
from tests.support.manifests import MALFORMED, Record, prepared, prompts, row_stream

KIND = FailureKind
ABCDE = prompts("a", "b", "c", "d", "e")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[LedgerFolder]:
    """A folder with a run going on."""
    with LedgerFolder(tmp_path) as folder:
        yield folder


def planned(
    out: Path, records: list[Record], profile: str = "dieyuyun", *, every: bool = False, **job: Any
) -> Plan:
    return plan(prepared(out, row_stream(records, **job), profile=profile), every=every)


# What is counted


def test_every_row_of_a_new_folder_is_to_be_sent(tmp_path: Path) -> None:
    records = [*prompts("a", "b"), {"id": "x", "prompt": "c", "n": "3"}]
    found = planned(tmp_path, records, budget={"price": 0.5})
    assert (found.rows, found.requests, found.images) == (3, 3, 5)
    assert (found.done, found.parked, found.invalid) == (0, 0, 0)
    assert found.cost_usd == CostRange(2.5, 2.5, "your price of 0.5 USD an image")
    assert (found.changes, found.warnings) == (None, ())
    assert list(tmp_path.iterdir()) == []


def said(found: Plan) -> tuple[str, ...]:
    return tuple(warning.message for warning in found.warnings)


def sent(workspace: LedgerFolder) -> None:
    """Of `ABCDE` one row has succeeded, one has failed, one is parked, and one is a task."""
    a, b, c, d, _ = rows_of(row_stream(ABCDE))
    workspace.success(a, saved())
    workspace.failure(b, KIND.MODERATION, RowStatus.FAILED)
    workspace.failure(c, KIND.TIMEOUT, RowStatus.PARKED)
    task = workspace.intent(d)
    workspace.connection.execute("INSERT INTO tasks VALUES (?, 't', NULL, 2)", (task,))


def test_only_what_is_pending_is_to_be_sent(workspace: LedgerFolder) -> None:
    sent(workspace)
    found = planned(workspace.root, ABCDE, budget={"price": 0.5})
    assert (found.rows, found.requests, found.images) == (5, 1, 1)
    assert (found.done, found.parked, found.invalid) == (1, 1, 0)
    assert found.cost_usd.high == 0.5
    assert said(found) == (
        "1 row waits for a task or an image that the service has made: run asks for it and sends nothing again",
        "1 row failed for good earlier and is not sent again by run",
    )
    assert found.changes is not None
    assert (found.changes.unchanged, found.changes.new, found.changes.edited) == (4, 1, 0)


def test_several_rows_are_told_in_the_plural(workspace: LedgerFolder) -> None:
    for each in rows_of(row_stream(prompts("a", "b"))):
        workspace.failure(each, KIND.MODERATION, RowStatus.FAILED)
    for each in rows_of(row_stream(prompts("a", "b", "c", "d")))[2:]:
        task = workspace.intent(each)
        workspace.connection.execute("INSERT INTO tasks VALUES (?, 't', NULL, 2)", (task,))
    assert said(planned(workspace.root, prompts("a", "b", "c", "d"))) == (
        "2 rows wait for a task or an image that the service has made: run asks for it and sends nothing again",
        "2 rows failed for good earlier and are not sent again by run",
    )


def test_edited_rows_are_counted_as_new_and_refused(workspace: LedgerFolder) -> None:
    sent(workspace)
    records = [{**ABCDE[0], "prompt": "another"}, *ABCDE[1:]]
    found = planned(workspace.root, records)
    assert found.changes is not None
    assert (found.changes.edited, found.changes.held, found.requests) == (1, 1, 2)
    assert said(found)[0].startswith("1 row was edited since an image was made or may have been paid for: ")
    kept = planned(workspace.root, records, run={"on_change": "keep"})
    assert (kept.requests, kept.done) == (1, 1)


def test_an_empty_ledger_tells_no_changes(workspace: LedgerFolder) -> None:
    found = planned(workspace.root, ABCDE)
    assert (found.requests, found.changes) == (5, None)


def test_finished_rows_with_other_settings_are_told(workspace: LedgerFolder) -> None:
    workspace.success(rows_of(row_stream(prompts("a")))[0], saved())
    found = planned(workspace.root, prompts("a"), request={"model": "m", "size": "auto"})
    assert (found.requests, found.done) == (0, 1)
    (warning,) = said(found)
    assert warning.startswith("1 finished row was made with other settings (size: (default) -> auto)")


@pytest.mark.parametrize(("simulate", "made"), [(True, "real"), (False, "simulated")])
def test_a_folder_of_the_other_kind_is_refused(workspace: LedgerFolder, simulate: bool, made: str) -> None:
    workspace.connection.execute(
        "UPDATE meta SET value = ? WHERE key = 'simulated'", (str(int(not simulate)),)
    )
    with pytest.raises(JobError) as refused:
        planned(workspace.root, ABCDE, simulate=simulate)
    assert refused.value.message == f"{workspace.root} was made by a {made} run"
    assert (refused.value.fix, refused.value.exit_code) == ("choose another --out", ExitCode.USAGE)


# What is said of rows


def test_invalid_rows_are_listed_up_to_a_bound_unless_all_are_asked_for(tmp_path: Path) -> None:
    bad: list[Record] = [{"id": f"x{i}", MALFORMED: f"mistake {i}"} for i in range(LISTED_PROBLEMS + 1)]
    found = planned(tmp_path, [*prompts("a"), *bad])
    assert (found.rows, found.requests, found.invalid) == (LISTED_PROBLEMS + 2, 1, LISTED_PROBLEMS + 1)
    assert [row.message for row in found.invalid_rows] == [f"mistake {i}" for i in range(LISTED_PROBLEMS)]
    assert len(planned(tmp_path, bad, every=True).invalid_rows) == LISTED_PROBLEMS + 1


def test_an_invalid_row_is_told_with_line_column_and_value(tmp_path: Path) -> None:
    records: list[Record] = [
        {"id": "a", "prompt": "a", "n": "20"},
        {"id": "b", "prompt": " "},
        {"id": "b", "prompt": "c"},
    ]
    found = planned(tmp_path, records).invalid_rows
    assert [(row.row_id, row.column, row.value) for row in found] == [
        ("a", "n", "20"),
        ("b", "prompt", " "),
        ("b", "id", "b"),
    ]
    assert all(row.line is not None and str(row.line) in row.message for row in found)


# Where it goes, and how far the money does


def test_a_plan_says_where_requests_go(tmp_path: Path) -> None:
    service = planned(tmp_path, ABCDE).service
    assert service is not None
    assert (service.endpoint, service.model) == ("https://images.example/v1", "m")


@pytest.mark.parametrize(
    ("budget", "covered"),
    [
        ({"max_cost": 0.30}, 3),
        ({"max_cost": 0.29}, 2),
        ({"max_cost": 5.0}, 5),
        ({"max_cost": 0.0}, 0),
        ({"max_requests": 2}, 2),
        ({"max_cost": 0.2, "max_requests": 3}, 2),
    ],
)
def test_a_plan_says_how_many_images_the_budget_covers(
    tmp_path: Path, budget: dict[str, Any], covered: int
) -> None:
    found = planned(tmp_path, ABCDE, budget={"price": 0.1, **budget}).budget
    assert found is not None
    assert found.covers_images == covered


def test_what_was_spent_is_no_longer_there(workspace: LedgerFolder) -> None:
    sent(workspace)
    found = planned(workspace.root, ABCDE, budget={"price": 0.1, "max_requests": 4}).budget
    assert found is not None
    assert found.covers_images == 0
    assert planned(workspace.root, ABCDE).budget is None


def test_what_is_said_of_rows_is_said_once_with_how_many_it_is_about(tmp_path: Path) -> None:
    records: list[Record] = [{**row, "quality": text} for row, text in zip(ABCDE, "xxyxx", strict=True)]
    known = "is not one that imagemill knows; it is sent as it is"
    assert planned(tmp_path, records).warnings == (
        RunWarning("row", f"quality 'x' {known}", 4),
        RunWarning("row", f"quality 'y' {known}", 1),
    )


def test_nothing_is_said_of_a_row_that_is_not_sent(workspace: LedgerFolder) -> None:
    records: list[Record] = [{**ABCDE[0], "quality": "x"}]
    workspace.success(rows_of(row_stream(records))[0], saved())
    assert planned(workspace.root, records).warnings == ()


# Money


def test_a_price_nobody_knows_is_told_as_such(tmp_path: Path) -> None:
    found = planned(tmp_path, ABCDE, profile="together")
    assert found.cost_usd == CostRange(None, None, "no price known: set --price")


AUTO: dict[str, Any] = {"model": "gpt-image-2", "size": "1024x1024"}
LOW = AUTO | {"quality": "low"}


def test_a_table_of_prices_spans_from_the_cheapest_to_the_dearest(tmp_path: Path) -> None:
    found = planned(tmp_path, prompts("abcd", "abcd"), profile="openai", request=AUTO)
    assert found.cost_usd == CostRange(0.012, 0.4221, "OpenAI list prices, 2026-11-22")
    assert said(found) == (
        "quality is auto or not set: the service chooses, and high costs up to 35 times low",
    )
    certain = planned(tmp_path, prompts("abcd", "abcd"), profile="openai", request=LOW)
    assert certain.cost_usd.high == pytest.approx(0.012, abs=2e-4)
    assert certain.warnings == ()


def test_prices_that_are_another_services_are_told_as_such(tmp_path: Path) -> None:
    named = "OpenAI list prices, 2026-11-22 (dieyuyun publishes none: set --price for yours)"
    assert planned(tmp_path, ABCDE, request=LOW).cost_usd.source == named
    own = planned(tmp_path, ABCDE, request=LOW, endpoint={"prices": {"source": "mine", "date": "now"}})
    assert own.cost_usd.source == "mine, now"
    assert "publishes none" not in planned(tmp_path, ABCDE, budget={"price": 1}).cost_usd.source


def test_the_simulator_charges_nothing(tmp_path: Path) -> None:
    found = planned(tmp_path, ABCDE, request=AUTO, simulate=True)
    assert found.cost_usd.source == (
        "nothing is charged by the simulator; for the real service: OpenAI list prices, 2026-11-22"
    )
    assert found.warnings == ()


def bought(workspace: LedgerFolder, costs: list[float]) -> None:
    """Rows that succeeded at these prices."""
    for each, cost in zip(rows_of(row_stream(prompts(*map(str, range(len(costs)))))), costs, strict=True):
        workspace.success(each, saved(), cost_usd=cost, latency_s=2.0)


def test_what_this_job_has_paid_so_far_goes_before_any_table(workspace: LedgerFolder) -> None:
    bought(workspace, [0.1, 0.3] * 10)
    records = prompts(*map(str, range(24)))
    found = planned(workspace.root, records)
    error = 2 * 0.1 * 4 / 20**0.5
    cost = CostRange(round(0.8 - error, 4), round(0.8 + error, 4), "the last 20 images of this job")
    assert found.cost_usd == cost


def test_a_few_images_tell_no_price(workspace: LedgerFolder) -> None:
    bought(workspace, [0.1, 0.3] * 9 + [0.1])
    found = planned(workspace.root, prompts(*map(str, range(24))), budget={"price": 1})
    assert found.cost_usd == CostRange(5, 5, "your price of 1 USD an image")


def test_images_whose_price_the_service_did_not_tell_tell_none(workspace: LedgerFolder) -> None:
    for each in rows_of(row_stream(prompts(*map(str, range(20))))):
        workspace.success(each, saved())
    assert planned(workspace.root, prompts(*map(str, range(24))), budget={"price": 1}).cost_usd.high == 4


def test_no_price_is_below_nothing(workspace: LedgerFolder) -> None:
    bought(workspace, [0.0] * 19 + [9.0])
    found = planned(workspace.root, prompts(*map(str, range(24))))
    assert found.cost_usd.low == 0.0


# Time


def limits(**table: Any) -> Job:
    return Job.model_validate({"limits": table})


def timed(
    requests: int, images: int, job: Job, past: PastSuccesses | None = None
) -> tuple[float | None, str]:
    return plan_time(requests, images, SendTimeline({}), job, past)


def test_nothing_to_send_takes_no_time() -> None:
    assert timed(0, 0, limits(rpm=1)) == (0.0, "nothing to send")


def test_without_limits_nobody_knows_how_long_it_takes() -> None:
    assert timed(9, 9, Job()) == (None, "none")


@pytest.mark.parametrize(
    ("table", "seconds", "binding"),
    [
        ({"rpm": 10}, 9 / 10 * 60 * 1.005 + 60, "rpm"),
        ({"ipm": 10}, 19 / 10 * 60 * 1.005 + 60, "ipm"),
        ({"rpm": 100, "window_s": 6}, 9 / 10 * 6 * 1.005 + 60, "rpm"),
        ({"rpm": 10, "ipm": 100}, 9 / 10 * 60 * 1.005 + 60, "rpm"),
        ({"rpm": 10, "ipm": 20}, 19 / 20 * 60 * 1.005 + 60, "ipm"),
        ({"concurrency": 4}, 10 / 4 * 60, "concurrency"),
        ({"concurrency": 20}, 60, "concurrency"),
        ({"concurrency": 1, "rpm": 10}, 600, "concurrency"),
    ],
)
def test_the_tightest_limit_binds(table: dict[str, Any], seconds: float, binding: str) -> None:
    assert timed(10, 20, limits(**table)) == (round(seconds, 1), binding)


def test_a_single_request_waits_for_nobody() -> None:
    assert timed(1, 1, limits(rpm=10)) == (60.0, "rpm")
    assert timed(1, 1, limits(concurrency=3)) == (60.0, "concurrency")


def test_what_answers_took_so_far_stands_for_what_they_will_take() -> None:
    past = PastSuccesses(5, 2.0, None, 0.0)
    assert timed(10, 10, limits(concurrency=2), past) == (10.0, "concurrency")


def test_a_simulated_answer_takes_what_the_simulator_is_told() -> None:
    table = {"simulate": True, "limits": {"concurrency": 1}}
    assert timed(100, 100, Job.model_validate(table)) == (23.4, "concurrency")
    slow = Job.model_validate(table | {"simulator": {"latency": 2}})
    assert timed(100, 100, slow) == (234.0, "concurrency")
    assert timed(100, 100, limits(concurrency=1)) == (6000.0, "concurrency")


def test_requests_leave_as_early_as_the_limits_let_them() -> None:
    paced = SendTimeline({"rpm": (2, 60.0)})
    for _ in range(2):
        paced.add(1)
    assert (paced.last_s, paced.limited_by) == (0.0, "")
    paced.add(1)
    assert (paced.last_s, paced.limited_by) == (60.0 + margin_s(60.0, 2), "rpm")


def test_images_weigh_on_their_own_limit_alone() -> None:
    paced = SendTimeline({"rpm": (3, 60.0), "ipm": (4, 60.0)})
    for images in (3, 3):
        paced.add(images)
    assert (paced.last_s, paced.limited_by) == (60.0 + margin_s(60.0, 4), "ipm")
    without = SendTimeline({})
    without.add(9)
    assert (without.last_s, without.limited_by) == (0.0, "")


def test_a_plan_takes_as_long_as_windows_that_mixed_weights_do_not_fill(tmp_path: Path) -> None:
    records: list[Record] = [{**record, "n": "3"} for record in ABCDE]
    found = planned(tmp_path, records, limits={"ipm": 4})
    window = 60.0 + margin_s(60.0, 4)
    assert (found.duration_s, found.binding_limit) == (round(4 * window + 60, 1), "ipm")


def test_a_folders_own_answers_are_what_a_plan_goes_by(workspace: LedgerFolder) -> None:
    bought(workspace, [0.1, 0.1])
    found = planned(workspace.root, prompts(*map(str, range(12))), limits={"concurrency": 1})
    assert (found.duration_s, found.binding_limit) == (20.0, "concurrency")


# What a retry would take


def test_a_forecast_is_the_plan_of_the_rows_it_is_told(tmp_path: Path) -> None:
    source = row_stream(
        [*prompts("a"), {"id": "x", "prompt": "b", "n": "3"}], budget={"price": 0.5}, limits={"rpm": 1}
    )
    forecast = Forecast(prepared(tmp_path, source), PastSuccesses(1, 2.0, None, 0.0))
    for row in rows_of(source):
        forecast.add(row)
    found = forecast.plan(rows=9, done=4, parked=2, invalid=1)
    assert (found.rows, found.done, found.parked, found.invalid) == (9, 4, 2, 1)
    assert (found.requests, found.images, found.cost_usd.high) == (2, 4, 2.0)
    assert found.duration_s == pytest.approx(60 * 1.005 + 2, abs=0.1)
    assert found.warnings == ()
