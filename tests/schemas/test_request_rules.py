"""The documented bodies: the documents' own examples are valid, and each clause of theirs is told apart."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.providers import PROFILES
from schemas.request_rules import ANY_SIZE, RULE_SETS, RequestRules, rules_of

PROMPT = "A watercolor painting of a Japanese garden in spring"
EXAMPLE = {
    "model": "gpt-image-2-official",
    "prompt": PROMPT,
    "size": "1024x1024",
    "quality": "high",
    "n": 1,
}
"""The request that dieyuyun's document prints."""


def found(service: str, model: str) -> RequestRules:
    document = rules_of(service, model)
    assert document is not None
    return document


def faults(service: str, model: str = "gpt-image-2", **fields: Any) -> list[str]:
    """What the document says against this body."""
    body = {"prompt": PROMPT, "model": model, **fields}
    return [fault.text for fault in found(service, model).faults(body)]


def test_the_documents_own_example_is_valid() -> None:
    assert found("dieyuyun", "gpt-image-2-official").faults(EXAMPLE) == []
    assert found("openai", "gpt-image-2").faults(EXAMPLE | {"model": "gpt-image-2"}) == []


def test_the_models_of_the_profiles_are_documented() -> None:
    for name in ("dieyuyun", "openai"):
        profile = PROFILES[name]
        for model in (profile.model, *profile.task_models):
            assert found(name, str(model)).service == name


@pytest.mark.parametrize(
    ("service", "model"),
    [("dieyuyun", "gpt-image-2.5-flare"), ("openai", "dall-e-3"), ("openai", "gpt-image-1"), ("xai", "x")],
)
def test_other_models_and_services_have_no_document(service: str, model: str) -> None:
    assert rules_of(service, model) is None


@pytest.mark.parametrize(
    ("service", "fields", "text"),
    [
        ("dieyuyun", {"size": "512x512"}, "size '512x512' is not one that dieyuyun documents"),
        ("dieyuyun", {"output_format": "gif"}, "output_format 'gif' is not one that dieyuyun documents"),
        ("dieyuyun", {"n": 11}, "n 11 is above 10"),
        ("dieyuyun", {"n": True}, "n True must be of type int"),
        ("dieyuyun", {"user": "x"}, "user is no field that dieyuyun documents for this model"),
        ("openai", {"response_format": "url"}, "response_format is no field that openai documents for this model"),
        ("openai", {"quality": "max"}, "quality 'max' is not one that openai documents"),
        (
            "openai",
            {"size": "1000x1000"},
            "size '1000x1000' is not one that openai documents: width and height must be divisible by 16",
        ),
        (
            "openai",
            {"background": "transparent", "output_format": "jpeg"},
            "background 'transparent' does not go with output_format 'jpeg' at openai",
        ),
        (
            "openai",
            {"output_compression": 99},
            "output_compression 99 does not go with output_format 'png', the default, at openai",
        ),
        ("openai", {"n": 2, "output_format": "svg"}, "n 2 does not go with output_format 'svg' at openai"),
    ],
)  # fmt: skip
def test_what_the_documents_speak_against(service: str, fields: dict[str, Any], text: str) -> None:
    assert faults(service, **fields) == [text]


@pytest.mark.parametrize(
    "fields",
    [
        {"background": "transparent"},
        {"background": "transparent", "output_format": "webp", "output_compression": 0},
        {"output_compression": 100},
        {"n": 1, "output_format": "svg"},
        {"size": "3840x2160"},
        {"size": "640x1024"},
        {"user": "u", "complexity": "low", "stream": False},
    ],
)
def test_what_openai_documents(fields: dict[str, Any]) -> None:
    assert faults("openai", **fields) == []


def test_async_is_a_field_of_the_compatible_model_only() -> None:
    assert faults("dieyuyun", "gpt-image-2", **{"async": True}) == []
    assert faults("dieyuyun", "gpt-image-2-official", **{"async": True}) != []


def test_prompts() -> None:
    document = RULE_SETS[0]
    assert [fault.name for fault in document.faults({})] == ["prompt", "model"]
    assert document.faults({"prompt": "x" * 32_000, "model": "m"}) == []
    assert [fault.name for fault in document.faults({"prompt": "x" * 32_001, "model": "m"})] == ["prompt"]


@pytest.mark.parametrize(
    ("size", "clause"),
    [
        ((3840, 2160), None),
        ((1280, 512), None),
        ((1552, 512), "the aspect ratio must be between 1:3 and 3:1"),
        ((3856, 2160), "edges must be at most 3,840 pixels"),
        ((3840, 2176), "an image has 655,360 to 8,294,400 pixels"),
        ((640, 1008), "an image has 655,360 to 8,294,400 pixels"),
        ((1024, 1032), "width and height must be divisible by 16"),
    ],
)
def test_sizes_of_gpt_image_2(size: tuple[int, int], clause: str | None) -> None:
    assert ANY_SIZE.fault(*size) == clause
