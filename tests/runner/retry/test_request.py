"""What a retry changes of the folder's job, how it is remembered, and how its requests and tasks are told from others'."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.selection import RetrySelection
from runner.config.loader import read_out_job
from runner.config.toml_writer import job_toml
from runner.ledger import attempt_log
from runner.ledger.attempt_log import accepted_task
from runner.ledger.attempts import open_tasks, reachable_tasks
from runner.ledger.writer import record_now
from runner.retry.request import RetryRequest, parse_overrides, since
from runner.roads.online import idempotency_key
from schemas.attempt import Intent
from schemas.errors import JobError
from schemas.failures import FailureKind, RowStatus
from schemas.job import Job
from schemas.outcome import Task
from schemas.request import ImageRequest
from schemas.row import Row
from tests.support.canary import CANARY
from tests.support.ledgers import LedgerFolder

ROW = Row(0, "a", ImageRequest("a fox", (("model", "m"),)), bytes(16))


@pytest.mark.parametrize(
    "other_endpoint", [{"endpoint.base_url": "https://b.example/v1"}, {"endpoint.profile": "openai"}]
)
def test_the_keys_and_ways_of_one_service_are_not_for_another(
    tmp_path: Path, other_endpoint: dict[str, str]
) -> None:
    endpoint = {
        "base_url": "https://a.example/v1",
        "api_key_env": "KEY_OF_A",
        "download_hosts": ["a.example"],
        "dialect": "newapi",
        "timeout": 7,
    }
    made = Job.model_validate({"manifest": "p.csv", "out": str(tmp_path), "endpoint": endpoint})
    (tmp_path / "job.toml").write_text(job_toml(made))
    (tmp_path / "ledger.sqlite").touch()
    _, settings = parse_overrides([], [], other_endpoint)
    other = read_out_job(tmp_path, settings).endpoint
    assert (other.api_key_env, other.download_hosts, other.dialect, other.timeout) == (None, (), "auto", 7)
    assert other.base_url == other_endpoint.get("endpoint.base_url")
    _, same = parse_overrides([("limits.rpm", "9")], [], {"endpoint.timeout": "8"})
    own = read_out_job(tmp_path, same)
    assert (own.endpoint.api_key_env, own.endpoint.timeout, own.limits.rpm) == ("KEY_OF_A", 8, 9)


def test_what_was_asked_is_kept_without_secrets() -> None:
    changes, settings = parse_overrides(
        [("prompt", "{prompt}, {{calm}}"), ("request.param.tag", "{row_id}"), ("limits.window_s", "30")],
        [("style", "vivid")],
        {"request.quality": "{low}", "endpoint.base_url": f"https://b.example/v1?sig={CANARY}"},
    )
    asked = RetryRequest(RetrySelection(), changes, settings, typed={"error": ("timeout",)})
    kept = json.loads(asked.command(other_endpoint=True))
    assert kept["set"] == {"prompt": "{prompt}, {{calm}}", "quality": "{{low}}", "param.tag": "{row_id}"}
    assert (kept["command"], kept["select"], kept["elsewhere"]) == ("retry", {"error": ["timeout"]}, True)
    assert kept["settings"]["request.param.style"] == "vivid"
    assert CANARY not in json.dumps(kept)


def test_another_prompt_or_a_picture_anew_is_another_request() -> None:
    """A service that honours the key gives the old answer to the same one, and the same to a resend after a kill."""
    changed = ROW._replace(request=ImageRequest("a hare", ROW.request.params), manifest_prompt="a fox")
    rows = (ROW, changed, ROW._replace(edition=1), ROW._replace(edition=2))
    assert len({idempotency_key(row) for row in rows}) == len(rows)
    assert idempotency_key(changed._replace()) == idempotency_key(changed)


def test_a_task_goes_on_with_the_prompt_as_sent_and_where_it_was_sent(tmp_path: Path) -> None:
    sent = ROW._replace(request=ImageRequest("a hare", ROW.request.params), manifest_prompt="a fox")
    with LedgerFolder(tmp_path) as workspace:
        there = ("https://b.example/v1", json.dumps({"command": "retry", "elsewhere": True}))
        workspace.connection.execute("UPDATE runs SET endpoint = ?, command = ?", there)
        record_now(workspace.connection, accepted_task(workspace.intent(sent), Task("task_1"), 5))
        workspace.next_run()
        other = ROW._replace(row_id="b", fingerprint=b"b" * 16)
        record_now(workspace.connection, accepted_task(workspace.intent(other), Task("task_2"), 6))
        first, second = tasks = open_tasks(workspace.connection)
        items = workspace.connection.execute("SELECT prompt FROM items ORDER BY item").fetchall()
    assert (first.row.request, first.row.manifest_prompt) == (sent.request, "a fox")
    assert (second.row.request, second.row.manifest_prompt) == (ROW.request, None)
    assert items == [("a fox",), ("a fox",)]
    own = "https://images.example/v1"
    assert reachable_tasks(tasks, own, other_endpoint=False) == ([second], frozenset({first.item}))
    assert reachable_tasks(tasks, "https://moved.example/v1", other_endpoint=False) == (
        [second],
        frozenset({first.item}),
    )
    assert reachable_tasks(tasks, "https://b.example/v1", other_endpoint=True) == (
        [first],
        frozenset({second.item}),
    )


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", "2026-11-22T01:00:00+00:00"),
        ("1d", "2026-11-21T03:00:00+00:00"),
        ("1h30m", "2026-11-22T01:30:00+00:00"),
        ("2026-11-22T02:00:00Z", "2026-11-22T02:00:00+00:00"),
        ("2026-11-22T02:00:00+02:00", "2026-11-22T00:00:00+00:00"),
    ],
)
def test_ages_and_times(text: str, moment: str) -> None:
    now = datetime(2026, 11, 22, 3, tzinfo=UTC)
    assert since(text, now) == datetime.fromisoformat(moment).timestamp() * 1000


@pytest.mark.parametrize("text", ["", "soon", "2", "2026-13-01", "1e99d", "-1h", "2026"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(JobError, match="neither an age nor a time"):
        since(text, datetime(2026, 11, 22, 3, tzinfo=UTC))


S = RowStatus


@pytest.mark.parametrize(
    ("selection", "statuses"),
    [
        (RetrySelection(), {S.FAILED, S.PENDING, S.PARKED}),
        (RetrySelection(parked=True), {S.PARKED}),
        (RetrySelection(pending=True), {S.PENDING}),
        (RetrySelection(pending=True, succeeded=True), {S.PENDING, S.SUCCEEDED}),
        (RetrySelection(flags=frozenset({"x"})), {S.FAILED, S.PENDING, S.PARKED, S.SUCCEEDED}),
        (RetrySelection(frozenset({FailureKind.TIMEOUT})), {S.FAILED, S.PENDING, S.PARKED}),
        (RetrySelection(where="error_kind == 'gateway'"), {S.FAILED, S.PENDING, S.PARKED}),
        (RetrySelection(row_ids=frozenset({"a"})), {S.FAILED, S.PENDING, S.PARKED}),
    ],
)
def test_which_states_are_sent(selection: RetrySelection, statuses: set[RowStatus]) -> None:
    assert selection.statuses == statuses


def test_the_intent_of_a_new_row_keeps_the_manifest_prompt(tmp_path: Path) -> None:
    sent = ROW._replace(request=ImageRequest("a hare", ROW.request.params), manifest_prompt="a fox")
    with LedgerFolder(tmp_path) as workspace:
        record_now(workspace.connection, attempt_log.intent_records(Intent(0, 0, 0, sent, 1, None, True)))
        told = workspace.connection.execute(
            "SELECT items.prompt, attempts.prompt FROM items JOIN attempts USING (item)"
        )
        assert told.fetchall() == [("a fox", "a hare")]
