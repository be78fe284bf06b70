"""What one request comes to: images wherever they stand, a promise, a refusal, a web page."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from runner.http.messages import Answer
from runner.providers.conversation import Fetch, Poll, Send, Step
from runner.providers.generations import ClientProfile, Proof, converse
from runner.providers.image_links import MOST_PER_IMAGE
from schemas.failures import FailureKind
from schemas.outcome import Task
from schemas.received import Received, Rejected, Result
from schemas.request import ImageRequest
from schemas.task_dialects import AUTO
from tests.runner.providers.test_answer_forms import MIXED, PNG
from tests.support.answers import Played, whole

KIND = FailureKind
B64 = base64.b64encode(PNG).decode()
PAGE = "<!doctype html><html><head><title>New API</title></head><body></body></html>"


def asked(answer: Answer, n: int = 1, proof: Proof | None = None) -> tuple[Result, Played]:
    """What a request comes to that is answered so; files are `image`, polls find their task done."""
    played = Played()
    profile = ClientProfile(AUTO, played.timing(), proof=proof or Proof())

    def answers(step: Step) -> Any:
        match step:
            case Send():
                return answer
            case Poll():
                return whole({"id": "t1", "status": "completed", "data": [{"url": "https://files/1.png"}]})
            case Fetch():
                return (b"image",)
        return None

    return played.play(converse(ImageRequest("a fox", (("n", n),)), profile), answers), played


def failed(answer: Answer, **more: Any) -> Rejected:
    result, _ = asked(answer, **more)
    assert isinstance(result, Rejected), result
    return result


def test_a_web_page_is_no_api_and_nobody_pays_for_it() -> None:
    found = failed(whole(PAGE, content_type="text/html"))
    assert (found.failure.kind, found.failure.maybe_billed, found.body) == (KIND.NOT_AN_API, False, None)
    assert found.failure.message == "this looks like a web page (title: New API); does the base URL lack /v1?"


@pytest.mark.parametrize(
    "first", [whole({"data": [{"b64_json": B64}]}), whole({"error": {"message": "no"}}, 400), whole(PNG)]
)
def test_a_web_page_of_a_service_that_has_answered_before_is_a_gateways(first: Answer) -> None:
    proof = Proof()
    asked(first, proof=proof)
    answer = whole(PAGE)
    found = failed(answer, proof=proof)
    assert (found.failure.kind, found.failure.maybe_billed) == (KIND.GATEWAY, True)
    assert found.body is answer.body
    assert "New API" in found.failure.message


def test_pages_prove_nothing() -> None:
    proof = Proof()
    for status in (200, 502, 404):
        asked(whole(PAGE, status), proof=proof)
    assert failed(whole(PAGE), proof=proof).failure.kind is KIND.NOT_AN_API


@pytest.mark.parametrize(
    "document",
    [
        {
            "object": "response",
            "id": "r1",
            "status": "completed",
            "output": [{"type": "image_generation_call", "result": B64}],
        },
        {"id": "t1", "status": "succeeded", "output": ["https://files/1.png"]},
        {"task_id": "t1", "images": [B64]},
        {"id": "t1", "status": "unheard_of", "image": B64},
    ],
)
def test_an_image_in_hand_is_never_taken_for_a_promise(document: dict[str, Any]) -> None:
    result, played = asked(whole(document))
    assert isinstance(result, Received)
    assert not played.promised


def test_an_image_of_a_task_that_still_goes_on_is_waited_for() -> None:
    result, played = asked(whole({"id": "t1", "status": "processing", "draft": B64}))
    assert isinstance(result, Received)
    assert [item.data for item in result.items] == [(b"image",)]
    assert played.promised == [Task("t1")]


def test_parts_are_received() -> None:
    result, _ = asked(whole(MIXED, content_type="multipart/mixed; boundary=xyz"), n=2)
    assert isinstance(result, Received)
    assert [item.data for item in result.items] == [(PNG,), (PNG,)]
    assert (result.reported.created, result.reported.output_tokens) == (5, 3)


def test_images_win_over_an_error_beside_them() -> None:
    result, _ = asked(whole({"error": {"message": "partly done"}, "data": [{"b64_json": B64}]}))
    assert isinstance(result, Received)


def test_a_failed_task_in_the_first_answer_is_a_failed_task() -> None:
    found = failed(whole({"id": "t1", "status": "failed", "fail_reason": "out of memory"}))
    assert (found.failure.kind, found.failure.message) == (KIND.TASK_FAILED, "out of memory")


@pytest.mark.parametrize("more", [{"b64_json": "not base64!", "x": "y"}, {"padding": "x" * 70_000}])
def test_an_answer_that_may_hold_an_image_is_kept_whatever_error_it_tells(more: dict[str, str]) -> None:
    """An image in a form that nobody knows is not sent for again because of a word beside it."""
    answer = whole({"error": {"code": "rate_limit_exceeded"}, "odd": more})
    found = failed(answer)
    assert found.failure.kind is KIND.BAD_CONTENT
    assert found.body is answer.body


@pytest.mark.parametrize(
    ("answer", "kind", "kept"),
    [
        (whole({"error": {"message": "upstream failed"}}), KIND.GATEWAY, True),
        (whole({"error": {"code": "moderation_blocked"}}), KIND.MODERATION, True),
        (whole({"error": {"code": "insufficient_quota"}}), KIND.QUOTA, False),
        (whole({"error": {"code": "moderation_blocked"}}, 400), KIND.MODERATION, False),
        (whole({"error": "x"}, 502), KIND.GATEWAY, False),
        (whole('{"data": ['), KIND.BAD_CONTENT, True),
        (whole(""), KIND.BAD_CONTENT, True),
        (whole({"data": []}), KIND.BAD_CONTENT, True),
    ],
)
def test_what_may_have_been_paid_for_under_200_is_kept(answer: Answer, kind: FailureKind, kept: bool) -> None:
    found = failed(answer)
    assert (found.failure.kind, found.body is not None) == (kind, kept)


def test_one_refused_slot_among_images_is_a_refusal_of_its_own() -> None:
    slot = {"b64_json": "", "respect_moderation": False}
    result, _ = asked(whole({"data": [{"b64_json": B64}, slot]}), n=2)
    assert isinstance(result, Received)
    assert [item.failure and item.failure.kind for item in result.items] == [None, KIND.MODERATION]


def test_of_far_more_images_than_were_asked_for_the_first_are_taken() -> None:
    result, _ = asked(whole({"data": [{"b64_json": B64}] * 100}), n=2)
    assert isinstance(result, Received)
    assert (len(result.items), result.more) == (2 * MOST_PER_IMAGE, 100 - 2 * MOST_PER_IMAGE)


@pytest.mark.parametrize(
    "document",
    [{"task_id": "\ud800x", "status": "queued"}, {"id": "\udfff", "status": "queued", "poll_url": "x"}],
)
def test_an_id_that_no_url_can_hold_promises_nothing(document: dict[str, Any]) -> None:
    answer = whole(json.dumps(document))
    found = failed(answer)
    assert found.failure.kind is KIND.BAD_CONTENT
    assert found.body is answer.body
