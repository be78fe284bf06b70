"""What the service accepts, refuses and answers when nothing goes wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from runner.simulator.answers import output_tokens
from schemas.providers import OPENAI_PRICES
from schemas.request import FIELDS
from tests.canary import CANARY


@pytest.fixture(scope="module")
def dieyuyun(simulate_once: Callable[..., Any]) -> Any:
    return simulate_once("--latency", "0")


@pytest.fixture(scope="module")
def openai(simulate_once: Callable[..., Any]) -> Any:
    return simulate_once("--latency", "0", "--profile", "openai")


WRONG = [
    ({"prompt": None}, "prompt", "missing_required_parameter"),
    ({"model": None}, "model", "missing_required_parameter"),
    ({"prompt": ""}, "prompt", "empty_string"),
    ({"prompt": "x" * 32_001}, "prompt", "string_above_max_length"),
    ({"prompt": 7}, "prompt", "invalid_type"),
    ({"prompt": ["a"]}, "prompt", "invalid_type"),
    ({"model": ""}, "model", "empty_string"),
    ({"model": 2}, "model", "invalid_type"),
    ({"quality": "xhigh"}, "quality", "invalid_value"),
    ({"n": "3"}, "n", "invalid_type"),
    ({"n": 1.0}, "n", "invalid_type"),
    ({"n": True}, "n", "invalid_type"),
    ({"n": 0}, "n", "integer_below_min_value"),
    ({"n": 11}, "n", "integer_above_max_value"),
    ({"output_compression": -1}, "output_compression", "integer_below_min_value"),
    ({"output_compression": 101}, "output_compression", "integer_above_max_value"),
    ({"output_compression": "80"}, "output_compression", "invalid_type"),
    ({"size": 1024}, "size", "invalid_type"),
    ({"size": "large"}, "size", "invalid_value"),
    ({"size": "1024 x 1024"}, "size", "invalid_value"),
    ({"size": "1000x1000"}, "size", "invalid_value"),
    ({"size": "0x0"}, "size", "invalid_value"),
    ({"size": "1024x256"}, "size", "invalid_value"),
    ({"size": "3856x2160"}, "size", "invalid_value"),
    ({"quality": "best"}, "quality", "invalid_value"),
    ({"quality": {}}, "quality", "invalid_type"),
    ({"background": "white"}, "background", "invalid_value"),
    ({"moderation": "high"}, "moderation", "invalid_value"),
    ({"response_format": "base64"}, "response_format", "invalid_value"),
    ({"output_format": "gif"}, "output_format", "invalid_value"),
    ({"background": "transparent", "output_format": "jpeg"}, "background", "invalid_value"),
    ({"seed": 3}, "seed", "unknown_parameter"),
    ({"async": True}, "async", "unknown_parameter"),
]


@pytest.mark.parametrize(
    ("fields", "param", "code"), WRONG, ids=[f"{p}-{c}-{k}" for k, (_, p, c) in enumerate(WRONG)]
)
def test_wrong_fields_are_named(dieyuyun: Any, fields: dict[str, Any], param: str, code: str) -> None:
    reply = dieyuyun.order(**fields)
    assert reply.status == 400
    assert (reply.error["type"], reply.error["param"], reply.error["code"]) == (
        "invalid_request_error",
        param,
        code,
    )


def test_null_is_not_a_value(dieyuyun: Any) -> None:
    reply = dieyuyun.send(b'{"model": "m", "prompt": "p", "size": null}', Authorization=f"Bearer {CANARY}")
    assert (reply.status, reply.error["code"]) == (400, "invalid_type")


RIGHT = [
    {"prompt": "é" * 32_000},
    {"size": "96x32"},
    {"size": "32x96"},
    {"quality": "xhigh", "model": "gpt-image-2.5-flare"},
    {"quality": "max", "model": "gpt-image-2.5-flare"},
    {"quality": "hd", "model": "some-new-model"},
    {"moderation": "low"},
    {"background": "transparent", "output_format": "webp"},
    {"background": "opaque", "output_format": "jpeg", "output_compression": 0},
    {"output_compression": 100},
    {"model": "grok-imagine-image-2.0"},
    {"n": 10, "size": "16x16"},
]


@pytest.mark.parametrize("fields", RIGHT, ids=range(len(RIGHT)))
def test_documented_values_are_served(dieyuyun: Any, fields: dict[str, Any]) -> None:
    reply = dieyuyun.order(**fields)
    assert reply.status == 200
    assert len(reply.json()["data"]) == fields.get("n", 1)


BODIES = [
    b"",
    b"{",
    b"[]",
    b'"text"',
    b"null",
    b'{"prompt": NaN}',
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"a": 1} extra',
]


@pytest.mark.parametrize("raw", BODIES, ids=range(len(BODIES)))
def test_bodies_that_are_no_json_object(dieyuyun: Any, raw: bytes) -> None:
    reply = dieyuyun.send(raw, Authorization=f"Bearer {CANARY}")
    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")


def test_content_type_and_body_size(dieyuyun: Any) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Bearer {CANARY}"}
    assert dieyuyun.send(b"prompt=x", **form).status == 415
    big = json.dumps({"model": "m", "prompt": "x" * 2**20}).encode()
    assert dieyuyun.send(big, Authorization=f"Bearer {CANARY}").error["code"] == "request_too_large"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, None),
        ({"Authorization": "Bearer invalid"}, "invalid_api_key"),
        ({"Authorization": "Basic eDp5"}, None),
    ],
)
def test_a_key_is_needed(dieyuyun: Any, headers: dict[str, str], code: str | None) -> None:
    for reply in (dieyuyun.send(b"{}", **headers), dieyuyun.ask("GET", "/v1/models", **headers)):
        assert (reply.status, reply.error["type"], reply.error["code"]) == (
            401,
            "invalid_request_error",
            code,
        )


def test_the_key_may_come_as_x_api_key(dieyuyun: Any) -> None:
    assert dieyuyun.send(b"{}", **{"x-api-key": CANARY}).error["param"] == "prompt"
    assert dieyuyun.send(b"{}", **{"x-api-key": "invalid"}).status == 401


def test_other_paths_and_methods(dieyuyun: Any) -> None:
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


@pytest.mark.parametrize("model", ["no-such-model", "missing-model-3"])
def test_unknown_models(dieyuyun: Any, model: str) -> None:
    reply = dieyuyun.order(model=model)
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")


def test_an_answer_with_urls(dieyuyun: Any) -> None:
    reply = dieyuyun.order(response_format=None, n=3, size="128x64")
    document = reply.json()
    assert set(document) == {"created", "data", "usage"}
    assert [set(item) for item in document["data"]] == [{"url", "revised_prompt"}] * 3
    files = [_fetch(dieyuyun, item["url"]) for item in document["data"]]
    assert [file.headers["content-type"] for file in files] == ["image/png"] * 3
    assert [Image.open(BytesIO(file.body)).size for file in files] == [(128, 64)] * 3
    assert len({file.body for file in files}) == 3


def test_urls_hold_what_base64_holds_and_stay(dieyuyun: Any) -> None:
    inline = dieyuyun.order(n=2).json()["data"]
    links = dieyuyun.order(n=2, response_format="url").json()["data"]
    for item, link in zip(inline, links, strict=True):
        assert base64.b64decode(item["b64_json"], validate=True) == _fetch(dieyuyun, link["url"]).body
        assert item["revised_prompt"] == link["revised_prompt"]
        assert _fetch(dieyuyun, link["url"]).status == 200


def test_urls_need_their_signature(dieyuyun: Any) -> None:
    url = dieyuyun.order(response_format="url").json()["data"][0]["url"]
    assert _fetch(dieyuyun, url.partition("?")[0]).status == 403
    assert dieyuyun.ask("GET", "/files/unknown.png?sig=x").status == 404


def _fetch(simulator: Any, url: str) -> Any:
    root = simulator.base_url.removesuffix("/v1")
    assert url.startswith(f"{root}/files/")
    return simulator.ask("GET", url.removeprefix(root))


def test_revised_prompts_elaborate(dieyuyun: Any) -> None:
    first, again = (dieyuyun.order(prompt="a heron.", n=2).json()["data"] for _ in range(2))
    assert [item["revised_prompt"] for item in first] == [item["revised_prompt"] for item in again]
    assert all(item["revised_prompt"].startswith("a heron, ") for item in first)


def test_headers(dieyuyun: Any) -> None:
    replies = [dieyuyun.order(), dieyuyun.order(n=99)]
    assert len({reply.headers["x-request-id"] for reply in replies}) == 2
    for reply in replies:
        assert int(reply.headers["openai-processing-ms"]) >= 0
        assert not [name for name in reply.headers if name.startswith("x-ratelimit")]


def test_openais_own_models_answer_in_base64_only(openai: Any) -> None:
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


@pytest.mark.parametrize("fields", [{}, {"output_format": "png"}])
def test_openai_compresses_no_png(openai: Any, fields: dict[str, Any]) -> None:
    """Its own words and code, which are not moderation's although the type is."""
    sent = {"model": "gpt-image-2", "response_format": None, "output_compression": 99, **fields}
    error = openai.order(**sent).error
    assert (error["type"], error["code"]) == ("image_generation_user_error", "invalid_png_output_compression")
    assert openai.order(**sent | {"output_compression": 100}).status == 200
    assert openai.order(**sent | {"output_format": "webp"}).status == 200


def test_dalle_takes_response_format(openai: Any) -> None:
    item = openai.order(model="dall-e-3", response_format="url", style="vivid").json()["data"][0]
    assert set(item) == {"url", "revised_prompt"}
    assert openai.order(model="dall-e-3", background="auto").error["param"] == "background"


@pytest.mark.parametrize(("prefix", "size", "quality"), list(OPENAI_PRICES.per_image))
def test_usage_comes_to_the_list_price(prefix: str, size: str, quality: str) -> None:
    drawn = "1280x768" if size == "*" else size
    usd = output_tokens(prefix, drawn, quality) * OPENAI_PRICES.output_per_token
    assert usd == pytest.approx(OPENAI_PRICES.per_image[prefix, size, quality], abs=0.0005)


def test_usage_counts_every_image(dieyuyun: Any) -> None:
    usage = dieyuyun.order(n=3, prompt="x" * 40, quality="high", size="auto", response_format="url").json()[
        "usage"
    ]
    assert usage["output_tokens"] == 3 * 7024
    assert usage["input_tokens"] == 16
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


@pytest.mark.parametrize("quality", FIELDS["quality"].known)
def test_every_quality_has_a_price(dieyuyun: Any, quality: str) -> None:
    assert dieyuyun.order(quality=quality, model="some-new-model").json()["usage"]["output_tokens"] > 0
