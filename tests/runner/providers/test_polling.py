"""Conversations about tasks, driven without a server: what is sent, what is asked, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from jobs.classify import BreakKind
from runner.http.messages import Answer, BrokenExchange
from runner.providers import task_documents
from runner.providers.conversation import Checkpoint, Fetch, Poll, Send, Step, Wait
from runner.providers.generations import ClientProfile, converse
from runner.providers.image_links import MOST_PER_IMAGE
from runner.providers.polling import LOST_AFTER, follow_task
from schemas.failures import FailureKind
from schemas.outcome import Task, Unfinished
from schemas.received import Received, Rejected, Result
from schemas.request import ImageRequest
from schemas.task_dialects import AUTO, DIALECTS, TaskDialect
from tests.support.answers import Played, scripted, whole

TASK = Task("t1")
REQUEST = ImageRequest("a fox", (("n", 1),))
GOING = {"id": "t1", "status": "processing"}
DONE = {"id": "t1", "status": "completed", "data": [{"url": "https://files/1.png"}]}


def followed(
    played: Played, *polls: Answer | BrokenExchange, dialect: TaskDialect = DIALECTS["evolink"], n: int = 1
) -> Result:
    return played.play(follow_task(TASK, n, dialect, played.timing()), scripted(*polls))


def test_a_task_is_asked_for_every_few_seconds_until_its_image_is_there() -> None:
    played = Played()
    result = followed(played, whole(GOING), whole(GOING), whole(DONE))
    assert isinstance(result, Received)
    assert [item.data for item in result.items] == [(b"image",)]
    assert result.reported.task_id == "t1"
    assert [type(step) for step in played.steps] == [*[Wait, Poll] * 3, Checkpoint, Fetch]
    assert [wait.seconds for wait in played.of(Wait)] == [4.0, 4.0, 4.0]
    assert {poll.url for poll in played.of(Poll)} == {"tasks/t1"}


def test_an_earlier_runs_task_is_asked_for_at_once() -> None:
    played = Played()
    played.play(follow_task(TASK, 1, AUTO, played.timing(), rejoined=True), scripted(whole(DONE)))
    assert played.now == 0.0


@pytest.mark.parametrize("word", ["percolating", "ready?", "", "NOT_START"])
def test_an_unknown_status_word_means_that_the_task_goes_on(word: str) -> None:
    assert isinstance(followed(Played(), whole({"id": "t1", "status": word}), whole(DONE)), Received)


def test_a_failed_poll_is_not_a_failed_task() -> None:
    played = Played()
    hiccups: Sequence[Answer | BrokenExchange] = (
        BrokenExchange(BreakKind.TIMEOUT, "no answer"),
        whole({"error": {"message": "slow down"}}, 429, retry_after="30"),
        whole("<html>Bad Gateway</html>", 502),
        whole({"error": {"message": "oops"}}, 500),
        whole({"status": "error", "message": "too many polls"}, 429),
        whole({"status": "failed", "message": "internal error"}, 503),
        whole("not json"),
    )
    assert isinstance(followed(played, *hiccups, whole(DONE)), Received)
    waits = [wait.seconds for wait in played.of(Wait)]
    assert waits[2] == 30.0
    assert waits[1] > waits[0]


def test_a_task_that_does_not_end_in_time_is_left_unfinished_for_the_next_run() -> None:
    played = Played()
    result = played.play(follow_task(TASK, 1, AUTO, played.timing(total_s=600.0)), scripted(whole(GOING)))
    assert isinstance(result, Unfinished)
    assert result.kind is FailureKind.TASK_TIMEOUT
    assert "processing" in result.message
    assert played.now == pytest.approx(600.0)


@pytest.mark.parametrize(
    "unknown", [whole({"detail": "?"}, 404), whole({"error": {"code": "async_task_not_found"}})]
)
def test_a_task_that_the_service_no_longer_knows_is_lost_after_a_few_polls(unknown: Answer) -> None:
    played = Played()
    result = followed(played, unknown)
    assert isinstance(result, Rejected)
    assert result.failure.kind is FailureKind.TASK_LOST
    assert result.reported.task_id == "t1"
    assert len(played.of(Poll)) == LOST_AFTER


def test_a_task_that_is_unknown_for_a_moment_is_not_lost() -> None:
    assert isinstance(
        followed(Played(), *[whole({}, 404)] * 3, whole(GOING), *[whole({}, 404)] * 3, whole(DONE)), Received
    )


def test_places_are_tried_in_turn_until_one_knows_the_task() -> None:
    played = Played()

    def answer(step: Step) -> Any:
        if isinstance(step, Poll):
            return whole(DONE) if step.url == "/generation/tasks/t1" else whole({}, 404)
        return (b"image",)

    assert isinstance(played.play(follow_task(TASK, 1, AUTO, played.timing()), answer), Received)
    assert [poll.url for poll in played.of(Poll)] == [path.replace("{id}", "t1") for path in AUTO.poll_paths]


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (
            {"status": "failed", "error": {"code": "x", "message": "the model is unwell"}},
            FailureKind.TASK_FAILED,
        ),
        ({"status": "failed", "error": {"code": "content_policy_violation"}}, FailureKind.MODERATION),
        ({"data": {"status": "FAILURE", "fail_reason": "out of memory"}}, FailureKind.TASK_FAILED),
        ({"state": "cancelled"}, FailureKind.TASK_FAILED),
    ],
)
def test_a_failed_task_fails_with_what_the_service_says(document: Any, kind: FailureKind) -> None:
    result = followed(Played(), whole(document))
    assert isinstance(result, Rejected)
    assert result.failure.kind is kind
    assert result.body is None


def test_a_failure_told_in_fields_of_their_own_keeps_its_text_and_its_code() -> None:
    told = {"status": "failed", "error_code": "moderation_blocked", "error_message": "Not this one."}
    for document in ({"data": told}, told):
        result = followed(Played(), whole(document))
        assert isinstance(result, Rejected)
        assert (result.failure.kind, result.failure.code) == (FailureKind.MODERATION, "moderation_blocked")
        assert result.failure.message == "Not this one."


def test_a_task_that_is_done_and_shows_no_image_is_kept_as_bad_content() -> None:
    result = followed(Played(), whole({"status": "completed", "data": []}))
    assert isinstance(result, Rejected)
    assert (result.failure.kind, result.body is not None) == (FailureKind.BAD_CONTENT, True)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, FailureKind.AUTH), (403, FailureKind.FORBIDDEN), (422, FailureKind.TASK_TIMEOUT)],
)
def test_polling_that_every_place_refuses_ends_and_the_task_goes_on(status: int, kind: FailureKind) -> None:
    played = Played()
    result = played.play(
        follow_task(TASK, 1, AUTO, played.timing()),
        scripted(whole({"error": {"message": "revoked"}}, status)),
    )
    assert isinstance(result, Unfinished)
    assert result.kind is kind
    assert "revoked" in result.message
    assert len(played.of(Poll)) == 2 * len(AUTO.poll_paths)


SIGNED = Task("t1", "https://relay/get?id=t1&sig=x")


@pytest.mark.parametrize("status", [401, 403, 404, 410, 422])
def test_a_url_that_refuses_to_be_asked_gives_way_to_the_next_place(status: int) -> None:
    played = Played()

    def answer(step: Step) -> Any:
        if isinstance(step, Poll):
            return whole(DONE) if step.url == "tasks/t1" else whole({}, status)
        return (b"image",)

    assert isinstance(played.play(follow_task(SIGNED, 1, AUTO, played.timing()), answer), Received)
    assert [poll.url for poll in played.of(Poll)] == [SIGNED.poll_url, "tasks/t1"]


def test_one_refusal_among_places_that_do_not_know_the_task_does_not_lose_it() -> None:
    def answer(step: Step) -> Any:
        return whole({}, 403 if isinstance(step, Poll) and step.url == SIGNED.poll_url else 404)

    played = Played()
    result = played.play(follow_task(SIGNED, 1, AUTO, played.timing()), answer)
    assert isinstance(result, Unfinished)


@pytest.mark.parametrize(
    "foreign",
    [
        {"id": "t2", "status": "completed", "data": [{"url": "https://files/2.png"}]},
        {"task_id": "t2", "data": [{"url": "https://files/2.png"}]},
        {"data": {"task_id": "other", "status": "SUCCESS", "url": "https://files/2.png"}},
        {"data": [{"id": 72, "status": "succeeded", "url": "https://files/2.png"}]},
        {"id": "t2", "status": "failed", "error": "no"},
    ],
)
def test_an_answer_that_bears_another_tasks_id_is_not_ours(foreign: dict[str, Any]) -> None:
    """G19. What it says of the other one, an end too, is not taken."""
    played = Played()
    assert isinstance(followed(played, whole(foreign), whole(foreign), whole(DONE)), Received)
    assert [fetch.url for fetch in played.of(Fetch)] == ["https://files/1.png"]
    result = played.play(follow_task(TASK, 1, AUTO, played.timing(total_s=60.0)), scripted(whole(foreign)))
    assert isinstance(result, Unfinished)
    assert "of another task" in result.message


def test_ids_that_are_counted_are_told_apart() -> None:
    twelfth = {"id": "task-12", "status": "completed", "data": [{"url": "https://files/12.png"}]}
    assert task_documents.other_id(twelfth, "task-1") == "task-12"
    assert task_documents.other_id({"id": "task-1", "status": "queued"}, "task-12") == "task-1"


@pytest.mark.parametrize(
    "document",
    [
        {"id": "req-77", "data": [{"url": "https://files/1.png"}]},
        {"id": "upstream-1", "status": "completed", "task": "t1", "data": [{"url": "https://files/1.png"}]},
        {"id": "task_T1", "status": "completed", "data": [{"url": "https://files/1.png"}]},
        {"id": "0", "status": "completed", "data": [{"url": "https://files/1.png"}]},
        {"status": "completed", "data": [{"id": "img-1", "url": "https://files/1.png"}]},
    ],
)
def test_an_id_that_is_no_other_tasks_does_no_harm(document: dict[str, Any]) -> None:
    assert isinstance(followed(Played(), whole(document)), Received)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("Request Moderated", FailureKind.MODERATION),
        ("Content Moderated", FailureKind.MODERATION),
        ("CONTENT_POLICY_VIOLATION", FailureKind.MODERATION),
        ("nsfw-detected", FailureKind.MODERATION),
        ("rejected", FailureKind.TASK_FAILED),
        ("request_denied", FailureKind.TASK_FAILED),
    ],
)
def test_a_task_whose_status_says_refused_is_dead(status: str, kind: FailureKind) -> None:
    """docs.bfl.ai/api_integration/errors; nobody polls it for an hour."""
    played = Played()
    result = followed(played, whole({"id": "t1", "status": status, "result": None}))
    assert isinstance(result, Rejected)
    assert result.failure.kind is kind
    assert len(played.of(Poll)) == 1


def test_a_status_word_that_knows_no_such_task() -> None:
    result = followed(Played(), whole({"id": "t1", "status": "Task not found", "result": None}))
    assert isinstance(result, Rejected)
    assert result.failure.kind is FailureKind.TASK_LOST


def test_what_was_taken_for_a_task_and_is_lost_keeps_its_first_answer() -> None:
    first = whole({"id": "t1", "status": "queued", "odd": "iVBORw0KGgo, in a form that nobody knows"})
    result, _ = talked(REQUEST, AUTO, first, *[whole({}, 404)] * 10)
    assert isinstance(result, Rejected)
    assert result.failure.kind is FailureKind.TASK_LOST
    assert result.body is first.body


def test_a_task_that_is_answered_with_the_bytes_of_its_image() -> None:
    result = followed(Played(), whole(GOING), whole(b"\x89PNG\r\n\x1a\n...", content_type="image/png"))
    assert isinstance(result, Received)
    assert [item.data for item in result.items] == [(b"\x89PNG\r\n\x1a\n...",)]


def test_of_far_more_images_than_were_asked_for_the_first_are_taken() -> None:
    many = {
        "id": "t1",
        "status": "completed",
        "data": [{"url": f"https://files/{i}.png"} for i in range(500)],
    }
    played = Played()
    result = followed(played, whole(many), n=2)
    assert isinstance(result, Received)
    assert (len(result.items), result.more) == (2 * MOST_PER_IMAGE, 500 - 2 * MOST_PER_IMAGE)
    assert len(played.of(Fetch)) == 2 * MOST_PER_IMAGE


def test_some_images_of_a_task_that_goes_on_are_waited_for() -> None:
    half = {"status": "processing", "data": [{"url": "https://files/1.png"}]}
    both = {"status": "completed", "data": [{"url": "https://files/1.png"}, {"url": "https://files/2.png"}]}
    result = followed(Played(), whole(half), whole(both), n=2)
    assert isinstance(result, Received)
    assert len(result.items) == 2


def talked(
    request: ImageRequest, dialect: TaskDialect, first: Answer, *polls: Answer
) -> tuple[Result, Played]:
    played = Played()
    rest = scripted(*polls, whole(DONE))
    client_profile = ClientProfile(dialect, played.timing())
    result = played.play(
        converse(request, client_profile), lambda step: first if isinstance(step, Send) else rest(step)
    )
    return result, played


@pytest.mark.parametrize(
    "first",
    [
        whole({"id": "t1", "status": "queued"}),
        whole({"code": 200, "data": [{"status": "submitted", "task_id": "t1"}]}),
        whole({"code": 200, "data": {"id": "t1", "state": "pending"}}),
        whole({"task_id": "t1"}),
        whole({"id": "t1", "poll_url": "https://x/p"}),
        whole({"id": "t1"}, 202),
        whole({"taskId": "t1"}),
    ],
)
def test_a_promise_is_made_durable_before_it_is_asked_for(first: Answer) -> None:
    result, played = talked(REQUEST, AUTO, first)
    assert isinstance(result, Received)
    assert [type(step) for step in played.steps][:4] == [Send, Checkpoint, Wait, Poll]
    assert len(played.of(Send)) == 1


@pytest.mark.parametrize(
    "first",
    [
        whole({"id": "x", "object": "list", "data": []}),
        whole({"created": 1, "data": [{"url": None}]}),
        whole({"id": "x", "model": "m"}),
    ],
)
def test_an_answer_without_images_is_not_taken_for_a_promise(first: Answer) -> None:
    _, played = talked(REQUEST, AUTO, first)
    assert not played.of(Checkpoint)
    assert not played.of(Poll)


def test_images_in_the_answer_to_an_asynchronous_request_are_taken() -> None:
    first = whole({"id": "t1", "status": "completed", "data": [{"url": "https://files/1.png"}]})
    result, played = talked(REQUEST, DIALECTS["dieyuyun"], first)
    assert isinstance(result, Received)
    assert not played.of(Poll)
    assert played.of(Send)[0].body["async"] is True


def test_what_is_submitted_follows_the_dialect() -> None:
    _, played = talked(REQUEST, DIALECTS["newapi"], whole({"task_id": "t1"}))
    send = played.of(Send)[0]
    assert (send.path, send.query) == ("images/generations", (("async", "true"),))
    _, played = talked(REQUEST, DIALECTS["sub2api"], whole({"task_id": "t1"}, 202))
    assert played.of(Send)[0].path == "images/generations/async"
    assert played.of(Poll)[0].url == "images/tasks/t1"


@pytest.mark.parametrize(
    ("document", "count"),
    [
        ({"results": ["https://f/1", "https://f/2"]}, 2),
        ({"data": {"result": {"images": [{"url": ["https://f/1", "https://f/2"]}]}}}, 2),
        ({"result": {"data": [{"url": "/p/img/1?sig=x"}]}}, 1),
        ({"output": {"data": [{"b64_json": "aW1hZ2U="}]}}, 1),
        ({"data": {"images": [{"b64_json": "aW1hZ2U="}, {"b64_json": "aW1hZ2U="}]}}, 2),
        ({"data": {"result_urls": ["https://f/1"]}}, 1),
        (
            {
                "image_url": "https://f/1",
                "result": {"data": [{"url": "https://f/1"}, {"url": "https://f/2"}]},
            },
            2,
        ),
        ({"image_url": "https://f/1"}, 1),
        ({"output": "https://f/1"}, 1),
        ({"data": {"data": {"data": [{"base64": "aW1hZ2U="}]}}}, 1),
        ({"status": "Ready", "result": {"sample": "https://f/1"}}, 1),
        (
            {
                "status": "Ready",
                "result": {"anything": {"inlineData": {"mimeType": "image/png", "data": "aW1hZ2U="}}},
            },
            1,
        ),
    ],
)
def test_images_are_found_wherever_relays_put_them(document: dict[str, Any], count: int) -> None:
    result = followed(Played(), whole({"status": "succeeded", **document}), n=count)
    assert isinstance(result, Received)
    assert [item.data for item in result.items] == [(b"image",)] * count


def test_beside_an_image_in_hand_one_behind_a_url_is_left_for_later() -> None:
    """G2. What is in hand is saved before anybody waits for the host of the other."""
    played = Played()
    document = {"status": "succeeded", "images": [{"url": "https://f/1?sig=s"}, {"b64_json": "aW1hZ2U="}]}
    result = followed(played, whole(document), n=2)
    assert isinstance(result, Received)
    assert [item.data for item in result.items] == [None, (b"image",)]
    assert [item.failure for item in result.items] == [None, None]
    assert result.unfetched is not None
    assert [link.url for link in result.unfetched.links] == ["https://f/1?sig=s"]
    assert played.of(Checkpoint) == [Checkpoint(result.unfetched)]
    assert not played.of(Fetch)
