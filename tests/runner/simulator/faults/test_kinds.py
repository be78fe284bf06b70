"""Which request meets which fault, with which parameters, and what is charged for it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from runner.simulator.answers import downloads
from runner.simulator.faults import content, refusals, wire
from runner.simulator.faults.kinds import KINDS, PARAMETERS, Fault, Stage, parameters
from runner.simulator.faults.plan import FaultPlan
from runner.simulator.tasks import life
from tests.support.simulator import Simulator, Start


def test_parameters_override_the_kind(simulate: Start) -> None:
    simulator = simulate(
        scenario="""
        latency = { median = 0 }
        [[fault]]
        kind = "moderation"
        match = "451"
        status = 451
        code = "content_filter"
        message = "blocked: {request_id}"
        billed = true
        [[fault]]
        kind = "rate_limit"
        match = "date"
        retry_after = "Wed, 21 Oct 2026 07:28:00 GMT"
        [[fault]]
        kind = "overloaded"
        match = "overload"
        retry_after = 2.5
        [[fault]]
        kind = "html_502"
        match = "cdn"
        status = 521
        [[fault]]
        kind = "url_foreign"
        match = "file"
        location = "file:///etc/passwd"
        [[fault]]
        kind = "url_404"
        match = "gone"
        status = 410
        [[fault]]
        kind = "truncate"
        match = "cut"
        at_byte = 3
        """
    )
    blocked = simulator.order(prompt="451")
    assert (blocked.status, blocked.error["code"]) == (451, "content_filter")
    assert blocked.error["message"] == f"blocked: {blocked.headers['x-request-id']}"
    assert simulator.order(prompt="date").headers["retry-after"].endswith("GMT")
    assert simulator.order(prompt="overload").headers["retry-after-ms"] == "2500"
    assert simulator.order(prompt="cdn").status == 521
    assert simulator.order(prompt="file").json()["data"][0]["url"] == "file:///etc/passwd"
    gone = simulator.order(prompt="gone")
    assert gone.status == 200
    assert simulator.ask("GET", gone.json()["data"][0]["url"]).status == 410
    assert simulator.raw(prompt="cut").endswith(b'\r\n\r\n{"c')
    stats = simulator.stats()
    assert stats["billed_by_prompt"] == {"451": 1, "file": 1, "gone": 1, "cut": 1}
    assert stats["faults"]["moderation"] == 1


@pytest.mark.parametrize(
    "kind",
    [
        name
        for name, kind in KINDS.items()
        if not kind.for_task and name not in {"hang", "stall", "drip", "reset", "disconnect"}
    ],
)
def test_stats_charge_as_the_table_says(faulty: Simulator, kind: str) -> None:
    before = faulty.stats()
    with faulty.open(prompt=f"kind {kind};", n=2) as plug:
        plug.recv(1)
    after = faulty.stats()
    assert after["billed_images"] - before["billed_images"] == (2 if KINDS[kind].billed else 0)
    assert after["refused"] - before["refused"] == (0 if KINDS[kind].billed else 1)
    assert after["requests"] - before["requests"] == 1


def test_markers_work_without_a_scenario(simulate: Start) -> None:
    simulator = simulate()
    assert [simulator.order(prompt="x [[refuse]]").error["code"] for _ in range(2)] == [
        "moderation_blocked"
    ] * 2
    throttled = simulator.order(prompt="x [[throttle]]")
    assert (throttled.status, throttled.headers["retry-after"]) == (429, "1")
    assert [simulator.order(prompt=f"{k} [[throttle]]").status for k in ("x", "y", "y")] == [200, 429, 200]
    assert [simulator.order(prompt="x [[error]]").status for _ in range(2)] == [500, 200]
    stats = simulator.stats()
    assert (stats["requests"], stats["billed_images"], stats["refused"]) == (8, 3, 5)
    assert stats["by_prompt"] == {
        "x [[refuse]]": 2,
        "x [[throttle]]": 2,
        "y [[throttle]]": 2,
        "x [[error]]": 2,
    }


def test_markers_work_beside_a_scenario(faulty: Simulator) -> None:
    assert faulty.order(prompt="a [[refuse]]").error["code"] == "moderation_blocked"


def test_times_counts_the_attempts_of_each_prompt() -> None:
    plan = FaultPlan((Fault("quota", share=1.0, times=2), Fault("auth", share=1.0, times=1)), seed=0)
    met = [plan.choose(prompt, 0) for prompt in ("a", "b", "a", "a", "a", "b")]
    assert [fault and fault.kind for fault in met] == ["quota", "quota", "quota", "auth", None, "quota"]


def test_rows_are_prompts_in_order_of_first_arrival(simulate: Start) -> None:
    simulator = simulate("--latency", "0", scenario="[[fault]]\nrows = [1, 3]\nkind = 'quota'")
    statuses = [simulator.order(prompt=prompt).status for prompt in ("a", "b", "a", "c", "d", "b")]
    assert statuses == [200, 429, 200, 200, 429, 429]


def test_share_is_that_part_of_the_prompts_and_depends_on_the_seed() -> None:
    prompts = [f"prompt {number}" for number in range(2_000)]
    chosen = [
        {prompt for prompt in prompts if FaultPlan((Fault("quota", share=0.2),), seed).choose(prompt, 0)}
        for seed in (1, 1, 2)
    ]
    assert chosen[0] == chosen[1] != chosen[2]
    assert all(330 < len(some) < 470 for some in chosen)


def test_parameters_are_listed_by_kind() -> None:
    assert parameters(KINDS["truncate"]) == ("at_byte", "delay", "billed")


PLAYERS: dict[Stage, Mapping[str, object]] = {
    Stage.REFUSAL: refusals.REFUSALS,
    Stage.PAGE: refusals.PAGES,
    Stage.WIRE: wire.ACTIONS,
    Stage.DOCUMENT: content.DOCUMENTS,
    Stage.IMAGE: content.IMAGES,
    Stage.URL: downloads.ACTIONS,
    Stage.TASK: life.PLOTS,
}


def test_every_kind_has_exactly_one_player() -> None:
    for stage, table in PLAYERS.items():
        assert set(table) == {kind.name for kind in KINDS.values() if kind.stage is stage}
    assert set(PARAMETERS) == set(Stage)
