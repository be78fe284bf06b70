"""The real `openai` package takes the simulator for the service."""

from __future__ import annotations

import base64
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from openai import (
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)
from PIL import Image

from tests.support.canary import CANARY
from tests.support.simulator import Simulator, Start


@pytest.fixture(scope="module")
def simulator(simulate_once: Start) -> Any:
    return simulate_once("--latency", "0")


@pytest.fixture
def client(simulator: Simulator) -> Iterator[OpenAI]:
    with OpenAI(base_url=simulator.base_url, api_key=CANARY, max_retries=0) as made:
        yield made


def generate(client: OpenAI, **fields: Any) -> Any:
    return client.images.generate(
        **({"model": "gpt-image-2-official", "prompt": "a kite", "size": "64x64"} | fields)
    )


def test_an_image_by_url(client: OpenAI) -> None:
    answer = client.images.generate(
        model="gpt-image-2-official",
        prompt="A watercolor painting of a Japanese garden in spring",
        size="1024x1024",
        quality="high",
        n=1,
    )
    assert answer.data and answer.data[0].url and answer.usage
    assert answer.usage.output_tokens == 7024
    assert str(answer.data[0].revised_prompt).startswith(
        "A watercolor painting of a Japanese garden in spring, "
    )
    with urllib.request.urlopen(answer.data[0].url, timeout=20) as file:
        assert Image.open(BytesIO(file.read())).size == (1024, 1024)


def test_images_inline(client: OpenAI) -> None:
    answer = generate(client, n=2, response_format="b64_json", output_format="webp", background="transparent")
    images = [Image.open(BytesIO(base64.b64decode(item.b64_json))) for item in answer.data]
    assert [(image.format, image.mode, image.size) for image in images] == [("WEBP", "RGBA", (64, 64))] * 2


def test_bad_requests(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as wrong:
        generate(client, n=11)
    assert (wrong.value.code, wrong.value.param, wrong.value.type) == (
        "integer_above_max_value", "n", "invalid_request_error",
    )  # fmt: skip
    with pytest.raises(BadRequestError) as blocked:
        generate(client, prompt="[[refuse]]")
    assert blocked.value.code == "moderation_blocked"
    assert blocked.value.request_id and blocked.value.request_id in blocked.value.message


def test_bad_keys(client: OpenAI) -> None:
    with pytest.raises(AuthenticationError) as caught:
        generate(client.with_options(api_key="invalid"))
    assert caught.value.code == "invalid_api_key"


def test_limits_errors_and_unknown_models(client: OpenAI) -> None:
    with pytest.raises(RateLimitError) as limited:
        generate(client, prompt="sdk [[throttle]]")
    assert limited.value.response.headers["retry-after"] == "1"
    with pytest.raises(InternalServerError):
        generate(client, prompt="sdk [[error]]")
    with pytest.raises(NotFoundError):
        generate(client, model="no-such-model")


def test_the_list_of_models(client: OpenAI) -> None:
    assert "gpt-image-2-official" in [model.id for model in client.models.list()]
