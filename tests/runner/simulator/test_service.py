"""What the service accepts, refuses and answers when nothing goes wrong."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from tests.support.canary import CANARY
from tests.support.simulator import Simulator
from tests.support.simulator_replies import fetch


def test_other_paths_and_methods(dieyuyun: Simulator) -> None:
    assert (
        dieyuyun.ask("POST", "/v1/image/generations")
        .error["message"]
        .startswith("Invalid URL (POST /v1/image")
    )
    assert dieyuyun.ask("GET", "/v1/images/generations").status == 405
    assert dieyuyun.ask("GET", "/images/generations").status == 404
    models = dieyuyun.ask("GET", "/v1/models", Authorization=f"Bearer {CANARY}").json()
    assert models["object"] == "list"
    assert models["data"][0]["id"] == "gpt-image-2-official"


def test_an_answer_with_urls(dieyuyun: Simulator) -> None:
    reply = dieyuyun.order(response_format=None, n=3, size="128x64")
    document = reply.json()
    assert set(document) == {"created", "data", "usage"}
    assert [set(item) for item in document["data"]] == [{"url", "revised_prompt"}] * 3
    files = [fetch(dieyuyun, item["url"]) for item in document["data"]]
    assert [file.headers["content-type"] for file in files] == ["image/png"] * 3
    assert [Image.open(BytesIO(file.body)).size for file in files] == [(128, 64)] * 3
    assert len({file.body for file in files}) == 3


def test_headers(dieyuyun: Simulator) -> None:
    replies = [dieyuyun.order(), dieyuyun.order(n=99)]
    assert len({reply.headers["x-request-id"] for reply in replies}) == 2
    for reply in replies:
        assert int(reply.headers["openai-processing-ms"]) >= 0
        assert not [name for name in reply.headers if name.startswith("x-ratelimit")]


def test_openais_own_models_answer_in_base64_only(openai: Simulator) -> None:
    refused = openai.order(model="gpt-image-2")
    assert (refused.status, refused.error["code"], refused.error["param"]) == (
        400,
        "unknown_parameter",
        "response_format",
    )
    document = openai.order(model="gpt-image-2", response_format=None, background="transparent").json()
    assert set(document) == {"created", "data", "usage", "background", "output_format", "size", "quality"}
    assert set(document["data"][0]) == {"b64_json"}
    assert (document["size"], document["quality"], document["background"]) == (
        "64x64",
        "medium",
        "transparent",
    )
