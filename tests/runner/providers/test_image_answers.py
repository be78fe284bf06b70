"""Single entries of an answer, and what it reports of its cost."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from runner.providers.image_answers import ImageEntry, image_entries, reported
from tests.support.answers import whole

B64 = base64.b64encode(b"image").decode()


def entries(document: Any) -> list[ImageEntry] | None:
    body = whole(document).body
    return image_entries(body.document(), body)


@pytest.mark.parametrize(
    "text",
    ["lifted:³", "lifted:٣", "lifted:-1", "lifted:1", "lifted:" + "9" * 5000, "lifted:", "lifted:0x0"],
)
def test_a_text_that_looks_like_one_of_our_marks_is_no_image(text: str) -> None:
    """The name is escaped, so that the text is not taken out as an image's while it arrives."""
    body = json.dumps({"data": [{"b64_json": B64}, {"b64_json?": text}]}).replace("_json?", "\\u005fjson")
    answer = whole(body).body
    found = image_entries(answer.document(), answer)
    assert found is not None
    assert [entry.data for entry in found] == [(b"image",), None]


def test_a_url_where_base64_belongs_is_a_url() -> None:
    assert entries({"data": [{"b64_json": "https://files/1.png"}]}) == [ImageEntry(url="https://files/1.png")]


@pytest.mark.parametrize(
    ("entry", "refused", "part"),
    [
        ({"b64_json": "", "respect_moderation": False}, True, "moderation withholds"),
        ({"url": None, "is_image_safe": False}, True, "moderation withholds"),
        ({"b64_json": None, "text": "I can't generate this image."}, True, "I can't generate this image."),
        ({"b64_json": None, "text": "Which fox?"}, False, "Which fox?"),
        ({"error": {"code": "moderation_blocked", "message": "rejected"}}, True, "rejected"),
        ({"error": "the image was flagged as unsafe"}, True, "flagged"),
        ({"error": {"message": "out of memory"}}, False, "out of memory"),
        ({"b64_json": ""}, False, "b64_json is empty"),
        ({"b64_json": "!!!", "respect_moderation": False}, True, "moderation withholds"),
        ({"b64_json": "!!!"}, False, "b64_json is not base64"),
        ({}, False, "holds neither"),
    ],
)
def test_an_entry_without_an_image_says_why(entry: dict[str, Any], refused: bool, part: str) -> None:
    found = entries({"data": [entry]})
    assert found is not None
    assert (found[0].is_usable, found[0].refused) == (False, refused)
    assert part in (found[0].problem or "")


def test_an_image_is_one_whatever_is_said_beside_it() -> None:
    found = entries({"data": [{"b64_json": B64, "respect_moderation": False, "error": "x"}]})
    assert found == [ImageEntry(data=(b"image",))]


@pytest.mark.parametrize(
    ("document", "cost"),
    [
        ({"usage": {"cost_in_usd_ticks": 200_000_000}}, 0.02),
        ({"usage": {"cost_in_usd_ticks": 200_000_000, "cost": 5}}, 0.02),
        ({"usage": {"cost_in_usd_ticks": -1}}, None),
        ({"usage": {"cost_in_usd_ticks": 1e17}}, None),
        ({"usage": {"cost_in_usd_ticks": True, "cost": 0.5}}, 0.5),
        ({"cost": 0.25}, 0.25),
        ({"usage": {"cost": 1e9}}, None),
    ],
)
def test_the_cost_that_an_answer_reports(document: Any, cost: float | None) -> None:
    assert reported(document, {}).cost_usd == cost


def test_tokens_are_counted_under_either_name() -> None:
    found = reported({"usage": {"prompt_tokens": 5, "completion_tokens": 7}}, {})
    assert (found.input_tokens, found.output_tokens) == (5, 7)
