"""Request bodies are checked as strictly as they are documented."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.canary import CANARY
from tests.support.simulator import Simulator

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
def test_wrong_fields_are_named(dieyuyun: Simulator, fields: dict[str, Any], param: str, code: str) -> None:
    reply = dieyuyun.order(**fields)
    assert reply.status == 400
    assert (reply.error["type"], reply.error["param"], reply.error["code"]) == (
        "invalid_request_error",
        param,
        code,
    )


def test_null_is_not_a_value(dieyuyun: Simulator) -> None:
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
def test_documented_values_are_served(dieyuyun: Simulator, fields: dict[str, Any]) -> None:
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
def test_bodies_that_are_no_json_object(dieyuyun: Simulator, raw: bytes) -> None:
    reply = dieyuyun.send(raw, Authorization=f"Bearer {CANARY}")
    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")


def test_content_type_and_body_size(dieyuyun: Simulator) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Bearer {CANARY}"}
    assert dieyuyun.send(b"prompt=x", **form).status == 415
    big = json.dumps({"model": "m", "prompt": "x" * 2**20}).encode()
    assert dieyuyun.send(big, Authorization=f"Bearer {CANARY}").error["code"] == "request_too_large"


@pytest.mark.parametrize("model", ["no-such-model", "missing-model-3"])
def test_unknown_models(dieyuyun: Simulator, model: str) -> None:
    reply = dieyuyun.order(model=model)
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("fields", [{}, {"output_format": "png"}])
def test_openai_compresses_no_png(openai: Simulator, fields: dict[str, Any]) -> None:
    """Its own words and code, which are not moderation's although the type is."""
    sent = {"model": "gpt-image-2", "response_format": None, "output_compression": 99, **fields}
    error = openai.order(**sent).error
    assert (error["type"], error["code"]) == ("image_generation_user_error", "invalid_png_output_compression")
    assert openai.order(**sent | {"output_compression": 100}).status == 200
    assert openai.order(**sent | {"output_format": "webp"}).status == 200


def test_dalle_takes_response_format(openai: Simulator) -> None:
    item = openai.order(model="dall-e-3", response_format="url", style="vivid").json()["data"][0]
    assert set(item) == {"url", "revised_prompt"}
    assert openai.order(model="dall-e-3", background="auto").error["param"] == "background"


def test_the_fields_that_tell_who_asks_are_taken(dieyuyun: Simulator, openai: Simulator) -> None:
    for service in (dieyuyun, openai):
        asked = {"user": "u-1", "safety_identifier": "s-1"}
        form = None if service is openai else "b64_json"
        assert service.order(response_format=form, **asked).status == 200
