"""Errors in documents of every known shape, and which documents under 200 are errors at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs.error_documents import is_error, is_page, page_text, read_error, title_of


def error(
    code: object = None, kind: object = None, message: str = "told", param: object = None
) -> dict[str, Any]:
    """OpenAI's error document."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@pytest.mark.parametrize(
    ("document", "message", "code", "kind"),
    [
        (error("a_code", "a_type", "text"), "text", "a_code", "a_type"),
        (error(401, None, "text"), "text", "401", None),
        (error(-1, "T", "text"), "text", "-1", "t"),
        (error(False, True, "text"), "text", None, None),
        (error("", "", "text"), "text", None, None),
        ({"error": "prompt required"}, "prompt required", None, None),
        ({"error": "no", "code": 1001, "type": "Relay"}, "no", "1001", "relay"),
        ({"detail": "size is odd"}, "size is odd", None, None),
        ({"detail": [{"loc": ["body", "n"]}]}, "[{'loc': ['body', 'n']}]", None, None),
        ({"code": 422, "message": "bad"}, "bad", "422", None),
        ({"code": "e", "msg": "bad"}, "bad", "e", None),
        ({"error_message": "bad"}, "bad", None, None),
        ({"errors": {"message": "bad"}}, "bad", None, None),
    ],
)
def test_error_documents_of_every_known_shape(
    document: Any, message: str, code: str | None, kind: str | None
) -> None:
    found = read_error(document, json.dumps(document))
    assert (found.message, found.code, found.kind, found.own_json) == (message, code, kind, True)


@pytest.mark.parametrize("document", [None, [], ["error"], "error", 5, {}, {"data": []}, {"error": None}])
def test_documents_that_are_no_error_of_the_service(document: Any) -> None:
    assert read_error(document, "the text").own_json is False
    assert read_error(document, "the text").message == "the text"


@pytest.mark.parametrize(
    ("document", "message", "code", "word"),
    [
        (
            {"id": "1", "name": "content_moderation", "errors": ["flagged"]},
            "flagged",
            None,
            "content_moderation",
        ),
        ({"errors": [{"code": "e1", "message": "first"}, {"message": "second"}]}, "first", "e1", "e1"),
        (
            {"error": {"code": 403, "message": "m", "metadata": {"reasons": ["x"], "flagged_input": "y"}}},
            "m",
            "403",
            "flagged_input",
        ),
        (
            {"error": {"message": "m", "metadata": {"raw": "upstream says no"}}},
            "m: upstream says no",
            None,
            None,
        ),
        (
            {"error": {"message": "m", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
            "m",
            None,
            "responsibleaipolicyviolation",
        ),
        (
            {"error": {"code": 400, "message": "m", "details": [{"reason": "API_KEY_INVALID"}]}},
            "m",
            "400",
            "api_key_invalid",
        ),
        (
            {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}},
            "m",
            "429",
            "resource_exhausted",
        ),
        ({"base_resp": {"status_code": 1002, "status_msg": "RPM"}}, "RPM", "1002", "rate_limit_exceeded"),
        ({"base_resp": {"status_code": 9, "status_msg": ""}}, "9", "9", "9"),
        (
            {"detail": [{"loc": ["body", "n"], "msg": "no", "type": "extra_forbidden"}]},
            "body.n: no",
            None,
            "extra_forbidden",
        ),
        ({"detail": {"message": "no", "code": "e"}}, "no", None, "e"),
        ({"success": False, "message": "no"}, "no", None, None),
        (
            {"promptFeedback": {"blockReason": "OTHER"}},
            "the prompt was blocked: other",
            "other",
            "content_filter",
        ),
        (
            {"candidates": [{"finishReason": "IMAGE_SAFETY", "finishMessage": "no"}]},
            "no",
            "image_safety",
            "image_safety",
        ),
        ({"predictions": [{"raiFilteredReason": "filtered"}]}, "filtered", None, "content_filter"),
        (
            {"choices": [{"finish_reason": "content_filter"}]},
            "no image was made: content_filter",
            "content_filter",
            "content_filter",
        ),
        ({"error": {"error": "x"}, "code": True}, "{'error': 'x'}", None, None),
        ({"error": {"code": 10**400, "message": "m"}}, "m", None, None),
    ],
)
def test_errors_of_services_with_shapes_of_their_own(
    document: Any, message: str, code: str | None, word: str | None
) -> None:
    found = read_error(document, json.dumps(document))
    assert (found.message, found.code, found.own_json) == (message, code, True)
    assert word is None or word in found.words


@pytest.mark.parametrize(
    ("code", "status"),
    [("429", 429), (401, 401), ("599", 599), ("200", None), ("1002", None), ("4x1", None), (None, None)],
)
def test_a_code_that_is_the_status_of_an_error(code: object, status: int | None) -> None:
    assert read_error({"code": code, "msg": "m"}, "").http_status == status


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"error": {"message": "x"}}, True),
        ({"error": {}, "data": []}, False),
        ({"errors": ["x"]}, True),
        ({"code": -1, "message": "x", "data": None}, True),
        ({"code": 401, "msg": "x"}, True),
        ({"success": False}, True),
        ({"message": "x"}, True),
        ({"message": "x", "data": []}, False),
        ({"code": 0, "msg": "x", "data": []}, False),
        ({"code": 200, "message": "success"}, False),
        ({"code": "success", "message": "x"}, False),
        ({"msg": "OK"}, False),
        ({"status": "completed", "msg": "drawn"}, False),
        ({"base_resp": {"status_code": 0, "status_msg": "success"}}, False),
        ({"created": 1, "data": []}, False),
        ({"candidates": [{"finishReason": "STOP"}]}, False),
        ([], False),
        (None, False),
    ],
)
def test_which_documents_under_200_are_errors(document: Any, expected: bool) -> None:
    assert is_error(document) is expected


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>a<script>x</script>b<style>y</style>c</p>", "a b c"),
        ("a<SCRIPT>never ends", "a"),
        ("<script" * 2850, ""),
        ("<" * 20_000, "<" * 300),
        ("a < b", "a < b"),
    ],
)
def test_the_text_of_a_page(page: str, text: str) -> None:
    assert page_text(page) == text


@pytest.mark.parametrize("text", ["<!--" * 5000, "<!---->" * 40 + "<a", "<?xml" * 3000, "\ufeff" * 9000])
def test_a_text_that_could_begin_a_page_for_ever_is_none(text: str) -> None:
    """Searched once from start to end: with backtracking the second would take a day."""
    assert not is_page(text)


def test_the_title_of_a_page_is_one_line() -> None:
    assert title_of("<html><title>\n New  API\n</title>") == "New API"
    assert title_of("<html>") == ""
