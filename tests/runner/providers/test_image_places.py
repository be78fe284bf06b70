"""Images in whatever place of a document, and what looks like one and is none."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from runner.providers.image_places import images, in_hand, words_instead
from tests.runner.providers.test_answer_forms import PNG, encoded
from tests.support.answers import whole

B64 = base64.b64encode(PNG).decode()
URL = "https://files/1.png"


def found(document: Any) -> list[Any]:
    """Bytes or URL of every image of a document, as it comes over the wire."""
    body = whole(document).body
    return [item.url or b"".join(item.data or ()) for item in images(body.document(), body)]


@pytest.mark.parametrize(
    "document",
    [
        {"object": "response", "output": [{"type": "image_generation_call", "result": B64}]},
        {"artifacts": [{"base64": B64, "finishReason": "SUCCESS"}]},
        {"predictions": [{"bytesBase64Encoded": B64, "mimeType": "image/png"}]},
        {
            "candidates": [
                {
                    "content": {
                        "parts": [{"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": B64}}]
                    }
                }
            ]
        },
        {"candidates": [{"content": {"parts": [{"inline_data": {"mime_type": "image/png", "data": B64}}]}}]},
        {
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": B64}}
            ]
        },
        {
            "choices": [
                {
                    "message": {
                        "content": None,
                        "images": [{"image_url": {"url": f"data:image/png;base64,{B64}"}}],
                    }
                }
            ]
        },
        {"choices": [{"message": {"content": f"so: ![x](data:image/png;base64,{B64}) there"}}]},
        {"choices": [{"message": {"content": f"data:image/png;base64,{B64}"}}]},
        {"images": [B64]},
        {"image": B64},
        {"output": {"anything": {"at": {"all": B64}}}},
        {"result": {"images": [{"b64_json": B64}]}},
        {"b64_json": B64, "url": "https://files/the-same.png"},
        [{"generated_image": B64}],
    ],
)
def test_bytes_are_found_wherever_they_stand(document: Any) -> None:
    assert found(document) == [PNG]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_bytes_are_known_by_how_they_begin(kind: str) -> None:
    data = encoded(kind)
    assert found({"a_name_that_nobody_knows": base64.b64encode(data).decode()}) == [data]


@pytest.mark.parametrize(
    "document",
    [
        {"output": URL},
        {"output": [URL]},
        {"result": {"sample": URL}},
        {"images": [{"url": URL}]},
        {"choices": [{"message": {"content": f"![fox]({URL})\n\n[download](https://files/other.zip)"}}]},
        {"choices": [{"message": {"content": f"It is at {URL}, enjoy."}}]},
        {"choices": [{"message": {"content": [{"type": "image_url", "image_url": {"url": URL}}]}}]},
        {"data": {"image_urls": [URL]}},
        {"urls": {"get": "https://api/x"}, "output": URL},
    ],
)
def test_urls_are_found_under_the_names_that_they_have(document: Any) -> None:
    assert found(document) == [URL]


@pytest.mark.parametrize(
    "document",
    [
        {"input_image": B64, "prompt": URL},
        {"request": {"image": B64}, "image_prompt": B64},
        {"input": [{"content": [{"type": "input_image", "image_url": URL}]}]},
        {"output": [{"type": "input_image", "image_url": URL}]},
        {"preview": B64, "thumbnail": {"url": URL}},
        {"type": "image_generation.partial_image", "b64_json": B64},
        {"status_url": URL, "polling_url": URL, "webhook": URL, "error": {"url": URL}},
        {"documentation": URL, "homepage": URL},
        {"id": "iVBORw0KGgo", "text": "iVBORw0KGgo is how a PNG begins"},
        {"images": ["not a url", "/relative", ""], "url": "ftp://x/1.png"},
        {},
        None,
        5,
    ],
)
def test_what_is_no_image_of_the_answer(document: Any) -> None:
    assert found(document) == []


def test_the_same_image_in_two_places_counts_once_and_twice_in_one_list() -> None:
    assert found({"output": [{"result": B64}], "image": B64}) == [PNG]
    assert found({"images": [B64, B64]}) == [PNG, PNG]


def test_images_in_hand_win_over_urls() -> None:
    assert found({"output": [URL], "more": [B64]}) == [PNG]
    body = whole({"output": [URL]}).body
    assert in_hand(body.document(), body) == []


def test_a_document_of_any_depth_is_read_as_far_as_images_stand() -> None:
    deep = '{"a": [' * 300 + f'"{B64}"' + "]}" * 300
    body = whole(deep).body
    assert images(body.document(), body) == []


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"choices": [{"message": {"content": "I  cannot\ndo that."}}]}, "I cannot do that."),
        ({"output": [{"content": [{"type": "refusal", "refusal": "No."}]}]}, "No."),
        ({"candidates": [{"content": {"parts": [{"text": "A"}, {"text": "fox."}]}}]}, "A fox."),
        ({"prompt": {"text": "not this"}, "data": []}, ""),
    ],
)
def test_words_in_place_of_an_image(document: Any, words: str) -> None:
    assert words_instead(document) == words
