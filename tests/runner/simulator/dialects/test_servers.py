"""Servers that answer at once, over real HTTP. What is expected stands here once more, from their documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from runner.simulator.dialects import DIALECTS
from runner.simulator.dialects.relays import RELAYS
from tests.support.canary import CANARY
from tests.support.simulator import Start
from tests.support.simulator_replies import at, picture

BEARER = {"Authorization": f"Bearer {CANARY}"}
GENERATIONS = "/v1/images/generations"


@dataclass(frozen=True)
class Server:
    """keys: of the answer, and of its images. message: where a mistake's text is. size: fields for 64 x 64 pixels."""

    keys: set[str]
    item: set[str]
    message: str
    mistake: int = 400
    path: str = GENERATIONS
    headers: dict[str, str] = field(default_factory=lambda: BEARER)
    size: dict[str, Any] = field(default_factory=lambda: {"size": "64x64"})
    format: str = "PNG"
    edge: int = 64


OPENAI_KEYS = {"created", "data", "background", "output_format", "size", "quality", "usage"}
SERVERS = {
    "official": Server({"created", "data", "usage"}, {"url", "revised_prompt"}, "error.message"),
    "azure": Server(
        OPENAI_KEYS,
        {"b64_json"},
        "error.message",
        path="/openai/deployments/mine/images/generations?api-version=2025-04-01-preview",
        headers={"api-key": CANARY},
    ),
    "xai": Server(
        {"data"},
        {"url", "revised_prompt"},
        "error",
        size={"aspect_ratio": "1:1", "resolution": "1k"},
        format="JPEG",
        edge=1024,
    ),
    "gemini": Server(
        {"data", "model"}, {"b64_json"}, "error.message", path="/v1beta/openai/images/generations"
    ),
    "together": Server(
        {"id", "model", "object", "data"},
        {"index", "url"},
        "error.message",
        size={"width": 64, "height": 64, "steps": 4, "seed": 1},
    ),
    "localai": Server({"created", "id", "data", "usage"}, {"index", "url"}, "error.message"),
    "sdserver": Server({"created", "data", "output_format"}, {"b64_json"}, "error"),
    "vllm-omni": Server(
        {"created", "data"}, {"b64_json", "url", "revised_prompt"}, "detail.0.msg", mistake=422
    ),
    "sglang": Server({"created", "data"}, {"b64_json", "revised_prompt"}, "detail.0.msg", mistake=422),
    "litellm": Server(OPENAI_KEYS, {"b64_json", "revised_prompt"}, "error.message"),
}


def asker(simulate: Start, name: str) -> tuple[Any, Callable[..., Any]]:
    """A simulator that speaks this dialect, and a function that posts the fields of an order to it."""
    server, simulator = SERVERS[name], simulate("--latency", "0", "--dialect", name)

    def ask(path: str = server.path, headers: dict[str, str] = server.headers, **fields: Any) -> Any:
        body = json.dumps({"model": "m", **fields}).encode()
        return simulator.ask("POST", path, body, **headers, **{"Content-Type": "application/json"})

    return simulator, ask


def test_every_other_dialect_is_tested() -> None:
    assert set(SERVERS) == set(DIALECTS) - {relay.name for relay in RELAYS}


@pytest.mark.parametrize("name", list(SERVERS))
def test_answers_and_mistakes(simulate: Start, name: str) -> None:
    server = SERVERS[name]
    simulator, ask = asker(simulate, name)
    reply = ask(prompt="a boat", n=2, **server.size)
    document = reply.json()
    assert (reply.status, set(document)) == (200, server.keys)
    assert [set(item) for item in document["data"]] == [server.item] * 2
    for item in document["data"]:
        image = picture(simulator, item.get("url") or item["b64_json"])
        assert (image.format, image.size) == (server.format, (server.edge, server.edge))
    mistake = ask(n=1)
    assert mistake.status == server.mistake
    assert "prompt" in at(mistake.json(), server.message)
    assert simulator.ask("POST", server.path, b"{}").status == 401
    assert simulator.stats()["tasks"]["submitted"] == 0


def test_azure_wants_its_header_and_its_version(simulate: Start) -> None:
    _, ask = asker(simulate, "azure")
    path = SERVERS["azure"].path
    assert ask(path=path.partition("?")[0], prompt="p").status == 404
    refused = ask(headers=BEARER, prompt="p")
    assert (refused.status, set(refused.json()["error"])) == (401, {"code", "message"})
    blocked = ask(prompt="[[refuse]]").json()["error"]
    assert blocked["code"] == "contentFilter"
    assert ask(prompt="p", response_format="url").json()["error"]["code"] == "unknown_parameter"


def test_xai_has_ratios_instead_of_sizes(simulate: Start) -> None:
    simulator, ask = asker(simulate, "xai")
    for name in ("size", "quality", "style"):
        refused = ask(prompt="p", **{name: "x"})
        assert (refused.status, refused.json()["error"]) == (400, f"Argument not supported: {name}")
    (item,) = ask(prompt="p", aspect_ratio="3:2", response_format="b64_json").json()["data"]
    assert item["b64_json"].startswith("data:image/jpeg;base64,")
    assert picture(simulator, item["b64_json"]).size == (1024, 688)
    assert ask(prompt="p", aspect_ratio="wide").status == 400
    assert ask(prompt="p", resolution="8k").status == 400


def test_words_for_how_images_come(simulate: Start) -> None:
    _, together = asker(simulate, "together")
    order = {"prompt": "p", "width": 64, "height": 64}
    assert together(**order, response_format="b64_json").status == 400
    assert set(together(**order, response_format="base64").json()["data"][0]) == {"index", "b64_json"}
    assert together(prompt="p", size="64x64").json()["error"]["param"] == "size"
    for name in ("sglang", "vllm-omni"):
        _, ask = asker(simulate, name)
        refused = ask(prompt="p", response_format="url")
        assert (refused.status, type(refused.json()["detail"])) == (400, str)
        assert ask(prompt="p", seed="x").status == 422
        assert ask(prompt="p", size="64x64", seed=1, guidance_scale=4).status == 200


def test_servers_that_ignore_what_they_do_not_know(simulate: Start) -> None:
    localai, ask = asker(simulate, "localai")
    document = ask(prompt="p", size="auto", mode=3).json()
    assert picture(localai, document["data"][0]["url"]).size == (512, 512)
    assert document["usage"]["total_tokens"] == 0
    assert "/generated-images/" in document["data"][0]["url"]
    _, ask = asker(simulate, "sdserver")
    item = ask(prompt="p", size="64x64", style="vivid", response_format="url").json()["data"][0]
    assert set(item) == {"b64_json"}
