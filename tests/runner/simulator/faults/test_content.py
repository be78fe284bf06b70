"""Answers and images that are whole and wrong, each met once."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image

from runner.simulator.faults import content
from tests.support.canary import CANARY
from tests.support.simulator import Simulator, Start
from tests.support.simulator_replies import image_of, meet


@pytest.mark.parametrize("kind", ["moderation_200", "error_200"])
def test_errors_under_200(faulty: Simulator, kind: str) -> None:
    reply = meet(faulty, kind)
    assert reply.status == 200
    assert reply.error["code"] in {"moderation_blocked", "rate_limit_exceeded"}


def test_documents_without_a_usable_image(faulty: Simulator) -> None:
    with pytest.raises(json.JSONDecodeError):
        meet(faulty, "bad_json").json()
    assert isinstance(meet(faulty, "not_object").json(), list)
    assert meet(faulty, "empty_data").json()["data"] == []
    assert "data" not in meet(faulty, "no_data").json()
    assert meet(faulty, "null_fields").json()["data"] == [
        {"url": None, "b64_json": None, "revised_prompt": None}
    ]
    assert f"Bearer {CANARY}".encode() in meet(faulty, "echo_key").body


def test_more_and_fewer_images(faulty: Simulator) -> None:
    assert [len(meet(faulty, "fewer_images", n=n).json()["data"]) for n in (1, 3)] == [0, 2]
    extra = meet(faulty, "extra_images", n=3).json()["data"]
    assert len({item["b64_json"] for item in extra}) == 4


def undressed(kind: str, text: str) -> str:
    """The base64 digits alone."""
    return text.partition(",")[2] if kind == "data_uri" else text.replace("\n", "")


@pytest.mark.parametrize(
    ("kind", "dress"), [("data_uri", "data:image/png;base64,"), ("wrapped_base64", "\n")]
)
def test_base64_in_other_dress(faulty: Simulator, kind: str, dress: str) -> None:
    text = meet(faulty, kind, response_format="url").json()["data"][0]["b64_json"]
    assert dress in text
    assert Image.open(BytesIO(base64.b64decode(undressed(kind, text), validate=True))).size == (64, 64)


def test_base64_that_is_no_image(faulty: Simulator) -> None:
    assert image_of(meet(faulty, "html_base64")).startswith(b"<!DOCTYPE html>")
    with pytest.raises(ValueError, match="Only base64 data is allowed"):
        image_of(meet(faulty, "bad_base64"))


def test_missing_fields_with_good_images(faulty: Simulator) -> None:
    documents = {kind: meet(faulty, f"no_{kind}") for kind in ("created", "usage", "revised_prompt")}
    assert "created" not in documents["created"].json()
    assert "usage" not in documents["usage"].json()
    assert "revised_prompt" not in documents["revised_prompt"].json()["data"][0]
    for reply in (*documents.values(), meet(faulty, "slow")):
        assert Image.open(BytesIO(image_of(reply))).size == (64, 64)


@pytest.mark.parametrize("kind", list(content.IMAGES))
def test_spoilt_images_come_inline_and_by_url(faulty: Simulator, kind: str) -> None:
    inline = image_of(meet(faulty, kind))
    assert SPOILT[kind](inline)
    url = meet(faulty, kind, response_format="url").json()["data"][0]["url"]
    assert faulty.ask("GET", url).body == inline


def _opens(data: bytes) -> Image.Image | None:
    try:
        image = Image.open(BytesIO(data))
        image.load()
    except OSError:
        return None
    return image


def _pixels_in_header(data: bytes) -> int:
    return int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")


SPOILT: dict[str, Callable[[bytes], bool]] = {
    "not_image": lambda data: len(data) == 1024 and _opens(data) is None,
    "truncated_image": lambda data: data.startswith(b"\x89PNG") and _opens(data) is None,
    "trailing_garbage": lambda data: _opens(data) is not None and not data.endswith(b"IEND\xaeB`\x82"),
    "wrong_format": lambda data: data.startswith(b"\xff\xd8"),
    "wrong_size": lambda data: (image := _opens(data)) is not None and image.size == (32, 32),
    "zero_bytes": lambda data: data == b"",
    "pixel_bomb": lambda data: len(data) < 300_000 and _pixels_in_header(data) == 400_000_000,
}


def test_wrong_formats(simulate: Start) -> None:
    formats = ("png", "jpeg", "webp", "gif", "bmp", "tiff", "svg")
    faults = [f"[[fault]]\nkind='wrong_format'\nmatch='{name}$'\nformat='{name}'" for name in formats]
    simulator = simulate("--latency", "0", scenario="\n".join(faults))
    files = {name: image_of(simulator.order(prompt=f"as {name}")) for name in formats}
    assert files.pop("svg").startswith(b"<svg ")
    assert {name: Image.open(BytesIO(data)).format for name, data in files.items()} == {
        name: name.upper() for name in files
    }
