"""Relays with tasks over real HTTP: each answers as it was recorded, at the places that its row names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from PIL import Image

from runner.simulator.dialects import DIALECTS
from runner.simulator.dialects.model import OPENAI_ERROR, fill
from runner.simulator.dialects.recordings import http_of, recorded
from runner.simulator.dialects.relays import RELAYS
from runner.simulator.faults.kinds import KINDS, Stage
from schemas.task_dialects import AUTO, STATUSES
from schemas.task_dialects import DIALECTS as ROWS
from tests.support.canary import CANARY
from tests.support.simulator import Simulator, Start
from tests.support.simulator_replies import at, picture, place_of


@dataclass(frozen=True)
class Relay:
    """Where things are at one relay: paths into its documents, with `*` for every item of a list."""

    id: str
    poll: str
    status: str
    words: tuple[str, str]
    images: str
    message: str
    refusal: str
    lost: Any
    submit: str
    body: dict[str, Any]
    headers: dict[str, str]
    submit_status: int


def relay_of(name: str) -> Relay:
    """As its row and its recordings have it."""
    row, http = ROWS[name], http_of(name)
    submitted, done, failed = (recorded(name, state) for state in ("submitted", "done", "failed"))
    status = next(path for path in (*row.statuses, *STATUSES) if isinstance(_at(done, path), str))
    poll = row.poll_paths[0].replace("{id}", "{}")
    query = "&".join(f"{key}={value}" for key, value in row.submit_query)
    return Relay(
        id=place_of("$id", submitted),
        poll=poll if poll.startswith("/") else f"{http.base}/{poll}",
        status=status,
        words=(_at(done, status), _at(failed, status)),
        images=place_of("$url", done) or place_of("$b64_json", done),
        message=place_of("$message", failed),
        refusal=place_of("$message", recorded(name, "refused") or OPENAI_ERROR),
        lost=recorded(name, "lost") or recorded(name, "refused") or OPENAI_ERROR,
        submit=f"{http.base}/{row.submit_path}" + (f"?{query}" if query else ""),
        body=dict(row.submit_body),
        headers={row.key_header: CANARY} if row.key_header else {"Authorization": f"Bearer {CANARY}"},
        submit_status=http.status,
    )


LOST = {"type": "invalid_request_error", "code": "task_not_found", "param": None, "http_status": 404}
"""Values of the error for a task that is not known, where a relay has no document of its own for it."""


def _message(document: Any) -> str:
    """The text in a document that tells of a task."""
    parts = document.values() if isinstance(document, dict) else ()
    texts = (part if isinstance(part, str) else _message(part) for part in parts)
    return next((text for text in texts if "not found or expired" in text), "")


def _at(document: Any, path: str) -> Any:
    try:
        return at(document, path)
    except (KeyError, IndexError, TypeError, ValueError):
        return None


@dataclass
class Speaker:
    """A simulator and what it is asked with."""

    simulator: Simulator
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


@pytest.fixture(scope="module", params=[relay.name for relay in RELAYS])
def relay(request: pytest.FixtureRequest, simulate_once: Start) -> Speaker:
    """A simulator for each relay, where the prompt `kind NAME;` meets that fault."""
    return Speaker(simulate_once(scenario=scenario_of(request.param)), relay_of(request.param))


def test_every_relay_of_the_schemas_can_be_rehearsed() -> None:
    assert {relay.name for relay in RELAYS} == ROWS.keys() - {AUTO.name}
    assert {relay.name for relay in RELAYS} <= DIALECTS.keys()


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
    vanished = relay.poll(relay.begin("kind task_vanished;"))
    assert vanished.status == 404
    assert vanished.json() == fill(relay.relay.lost, {"message": _message(vanished.json())} | LOST)
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
    assert "safety system" in at(refused.json(), relay.relay.refusal)
    assert relay.submit("kind html_502;").body.startswith(b"<html>")
    assert relay.tasks()["submitted"] == before
    with pytest.raises(ConnectionError):
        relay.submit("kind disconnect;")
    lost = relay.tasks()["uncollected"][-1]
    assert (lost["prompt"], lost["answered"]) == ("kind disconnect;", False)
    assert relay.poll(lost["id"]).status == 200
