"""Relays with tasks over real HTTP. What is expected stands here once more, written from their documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image

from runner.simulator.dialects import relays
from runner.simulator.faults.kinds import KINDS, Stage
from tests.canary import CANARY
from tests.runner.simulator.replies import at, picture

BEARER = {"Authorization": f"Bearer {CANARY}"}
GENERATIONS = "/v1/images/generations"


@dataclass(frozen=True)
class Relay:
    """Where things are at one relay: paths into its documents, with `*` for every item of a list."""

    id: str
    poll: str
    status: str
    words: tuple[str, str]
    images: str
    message: str
    submit: str = GENERATIONS
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=lambda: BEARER)
    submit_status: int = 200


RELAYS = {
    "dieyuyun": Relay(
        "id",
        "/v1/tasks/{}",
        "status",
        ("completed", "failed"),
        "data.*.url",
        "error.message",
        body={"async": True},
    ),
    "evolink": Relay("id", "/v1/tasks/{}", "status", ("completed", "failed"), "results.*", "error.message"),
    "apimart": Relay(
        "data.0.task_id",
        "/v1/tasks/{}",
        "data.status",
        ("completed", "failed"),
        "data.result.images.*.url",
        "data.error.message",
    ),
    "sub2api": Relay(
        "id",
        "/v1/images/tasks/{}",
        "status",
        ("completed", "failed"),
        "result.data.*.url",
        "error.message",
        submit=f"{GENERATIONS}/async",
        submit_status=202,
    ),
    "piapi": Relay(
        "task_id",
        "/api/v1/task/{}",
        "status",
        ("completed", "failed"),
        "output.data.*.b64_json",
        "error.message",
        submit="/api/v1/images/generations/async",
        headers={"X-API-Key": CANARY},
    ),
    "dimilinks": Relay(
        "task_id",
        "/v1/tasks/{}",
        "status",
        ("succeeded", "failed"),
        "result.data.*.url",
        "error.message",
        submit=f"{GENERATIONS}?async=true",
    ),
    "skyengine": Relay(
        "task_id",
        f"{GENERATIONS}/{{}}",
        "status",
        ("success", "failure"),
        "data.*.url",
        "message",
        submit=f"{GENERATIONS}/async",
    ),
    "lemondata": Relay(
        "task_id", "/v1/tasks/{}", "status", ("completed", "failed"), "data.*.url", "error.message"
    ),
    "modelsell": Relay(
        "data.id", "/v1/tasks/{}", "data.state", ("succeeded", "failed"), "data.images.*.url", "data.error"
    ),
    "tokenhub": Relay(
        "data.task_id",
        "/generation/tasks/{}",
        "data.status",
        ("succeeded", "failed"),
        "data.result_urls.*",
        "data.error_message",
    ),
    "newapi": Relay(
        "task_id",
        "/v1/tasks/{}",
        "data.status",
        ("SUCCESS", "FAILURE"),
        "data.data.data.*.url",
        "data.fail_reason",
        submit=f"{GENERATIONS}?async=true",
    ),
}


@dataclass
class Speaker:
    """A simulator and what it is asked with."""

    simulator: Any
    relay: Relay

    def submit(self, prompt: str, **fields: Any) -> Any:
        body = {"model": "m", "prompt": prompt, "size": "64x64", **self.relay.body, **fields}
        headers = {"Content-Type": "application/json", **self.relay.headers}
        return self.simulator.ask("POST", self.relay.submit, json.dumps(body).encode(), **headers)

    def begin(self, prompt: str, **fields: Any) -> str:
        reply = self.submit(prompt, **fields)
        assert reply.status == self.relay.submit_status, reply.body
        return str(at(reply.json(), self.relay.id))

    def poll(self, task: str, **headers: str) -> Any:
        return self.simulator.ask("GET", self.relay.poll.format(task), **(headers or self.relay.headers))

    def status(self, task: str) -> str:
        return str(at(self.poll(task).json(), self.relay.status))

    def images(self, document: Any) -> list[Image.Image]:
        found = at(document, self.relay.images)
        flat = [one for each in found for one in (each if isinstance(each, list) else [each])]
        return [picture(self.simulator, one) for one in flat]

    def tasks(self) -> dict[str, Any]:
        found: dict[str, Any] = self.simulator.stats()["tasks"]
        return found


def scenario_of(dialect: str) -> str:
    kinds = [kind.name for kind in KINDS.values() if kind.stage in (Stage.TASK, Stage.DOCUMENT, Stage.URL)]
    quick = {"slow": "delay = 0.01", "url_slow": "delay = 0.01"}
    faults = [
        f"[[fault]]\nmatch = '^kind {name};'\nkind = '{name}'\n{quick.get(name, '')}\n"
        for name in [*kinds, "moderation", "disconnect", "html_502"]
    ]
    return f"dialect = '{dialect}'\nlatency = {{ median = 0 }}\n" + "\n".join(faults)


@pytest.fixture(scope="module", params=list(RELAYS))
def relay(request: pytest.FixtureRequest, simulate_once: Callable[..., Any]) -> Speaker:
    """A simulator for each relay, where the prompt `kind NAME;` meets that fault."""
    return Speaker(simulate_once(scenario=scenario_of(request.param)), RELAYS[request.param])


def test_every_relay_is_tested() -> None:
    assert set(RELAYS) == {dialect.name for dialect in relays.RELAYS}


def test_a_task_gives_its_images(relay: Speaker) -> None:
    before = relay.tasks()
    task = relay.begin("a boat", n=2)
    assert relay.tasks()["uncollected"][-1] == {"id": task, "prompt": "a boat", "answered": True}
    first, again = relay.poll(task).json(), relay.poll(task).json()
    assert at(first, relay.relay.status) == relay.relay.words[0]
    assert first == again
    assert [image.size for image in relay.images(first)] == [(64, 64)] * 2
    stats = relay.simulator.stats()
    assert stats["billed_by_prompt"]["a boat"] == 2
    assert stats["tasks_by_prompt"]["a boat"] == {
        "submitted": 1, "answered": 1, "again": 0, "collected": 1, "polls": 2
    }  # fmt: skip
    after = stats["tasks"]
    for name in ("submitted", "answered", "finished", "collected"):
        assert after[name] == before[name] + 1
    assert after["uncollected"] == []


def test_a_failed_task_says_why_and_costs_nothing(relay: Speaker) -> None:
    before = relay.simulator.stats()
    for kind, text in (("task_failed", "server had an error"), ("task_moderated", "safety system")):
        document = relay.poll(relay.begin(f"kind {kind};")).json()
        assert at(document, relay.relay.status) == relay.relay.words[1]
        assert text in at(document, relay.relay.message)
    after = relay.simulator.stats()
    assert after["billed_images"] == before["billed_images"]
    assert after["tasks"]["failed"] == before["tasks"]["failed"] + 2


def test_a_task_that_vanishes_and_one_that_never_ends(relay: Speaker) -> None:
    assert relay.poll(relay.begin("kind task_vanished;")).status == 404
    endless = relay.begin("kind task_never_ends;")
    assert not {relay.status(endless) for _ in range(3)} & set(relay.relay.words)


def test_a_task_that_goes_backwards(relay: Speaker) -> None:
    task = relay.begin("kind task_backwards;")
    words = [relay.status(task) for _ in range(4)]
    assert words[0] == words[2]
    assert words[3] == relay.relay.words[0]
    assert not set(words[:3]) & set(relay.relay.words)


def test_a_task_with_fewer_images_and_strange_words(relay: Speaker) -> None:
    assert len(relay.images(relay.poll(relay.begin("kind task_fewer_images;", n=3)).json())) == 2
    strange = relay.begin("kind task_unknown_status;")
    assert [relay.status(strange) for _ in range(3)] == ["percolating"] * 2 + [relay.relay.words[0]]


def test_polls_need_the_submitters_key(relay: Speaker) -> None:
    task = relay.begin("mine")
    for key, status in ((None, 401), ("invalid", 401), ("another", 404)):
        headers = {name: value.replace(CANARY, key or "") for name, value in relay.relay.headers.items()}
        assert relay.poll(task, **headers).status == status
    assert relay.poll(f"{task}x").status == 404


def test_faults_of_answers_show_in_the_finished_task(relay: Speaker) -> None:
    with pytest.raises(json.JSONDecodeError):
        relay.poll(relay.begin("kind bad_json;")).json()
    assert relay.images(relay.poll(relay.begin("kind empty_data;")).json()) == []
    shifted = relay.poll(relay.begin("kind extra_images;", n=1)).json()
    assert len(relay.images(shifted)) == 2
    assert "error" in relay.poll(relay.begin("kind error_200;")).json()
    dressed = json.dumps(relay.poll(relay.begin("kind data_uri;")).json())
    assert '"data:image/png;base64,' in dressed


def test_faults_of_requests_meet_the_submit(relay: Speaker) -> None:
    before = relay.tasks()["submitted"]
    refused = relay.submit("kind moderation;")
    assert refused.status == 400
    assert "safety system" in at(refused.json(), "error.message")
    assert relay.submit("kind html_502;").body.startswith(b"<html>")
    assert relay.tasks()["submitted"] == before
    with pytest.raises(ConnectionError):
        relay.submit("kind disconnect;")
    lost = relay.tasks()["uncollected"][-1]
    assert (lost["prompt"], lost["answered"]) == ("kind disconnect;", False)
    assert relay.poll(lost["id"]).status == 200
