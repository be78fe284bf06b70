"""Conversations about tasks, driven without a server: what is sent, what is asked, and what it comes to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from jobs.classify import Broke
from runner.http.image_body import Lifter
from runner.http.messages import Answer, Broken
from runner.providers.conversation import (
    Checkpoint,
    Conversation,
    Fetch,
    Poll,
    Received,
    Rejected,
    Result,
    Send,
    Step,
    Wait,
)
from runner.providers.generations import Speaker, converse
from runner.providers.polling import LOST_AFTER, Patience, follow
from schemas.failures import FailureKind
from schemas.outcome import Task, Unfinished
from schemas.request import ImageRequest
from schemas.task_dialects import AUTO, DIALECTS, TaskDialect

TASK = Task("t1")
REQUEST = ImageRequest("a fox", (("n", 1),))
GOING = {"id": "t1", "status": "processing"}
DONE = {"id": "t1", "status": "completed", "data": [{"url": "https://files/1.png"}]}


def said(document: Any, status: int = 200, **headers: str) -> Answer:
    """A whole answer. document: as JSON, or text as it is."""
    lifter = Lifter(2**20)
    lifter.feed(document.encode() if isinstance(document, str) else json.dumps(document).encode())
    return Answer(status, headers, lifter.finish(), 0.1)


@dataclass
class Played:
    """A conversation played to its end on a clock that only waits move."""

    now: float = 0.0
    steps: list[Step] = field(default_factory=list)

    def patience(self, every_s: float = 4.0, total_s: float = 3600.0) -> Patience:
        return Patience(every_s, total_s, lambda: self.now, lambda: 1_800_000_000.0)

    def play(self, conversation: Conversation, answers: Callable[[Step], Any]) -> Result:
        try:
            step = next(conversation)
            while True:
                self.steps.append(step)
                if isinstance(step, Wait):
                    self.now += step.seconds
                step = conversation.send(answers(step))
        except StopIteration as end:
            result: Result = end.value
            return result

    def of(self, kind: type[Step]) -> list[Any]:
        return [step for step in self.steps if isinstance(step, kind)]


def scripted(*polls: Answer | Broken) -> Callable[[Step], Any]:
    """Answers to polls in order, the last one for ever; any file is `image`."""
    left = list(polls)

    def answer(step: Step) -> Any:
        match step:
            case Poll():
                return left.pop(0) if len(left) > 1 else left[0]
            case Fetch():
                return (b"image",)
        return None

    return answer


def followed(
    played: Played, *polls: Answer | Broken, dialect: TaskDialect = DIALECTS["evolink"], n: int = 1
) -> Result:
    return played.play(follow(TASK, n, dialect, played.patience()), scripted(*polls))


def test_a_task_is_asked_for_every_few_seconds_until_its_image_is_there() -> None:
    played = Played()
    result = followed(played, said(GOING), said(GOING), said(DONE))
    assert isinstance(result, Received)
    assert [item.data for item in result.items] == [(b"image",)]
    assert result.reported.task_id == "t1"
    assert [type(step) for step in played.steps] == [Wait, Poll, Wait, Poll, Wait, Poll, Fetch]
    assert [wait.seconds for wait in played.of(Wait)] == [4.0, 4.0, 4.0]
    assert {poll.url for poll in played.of(Poll)} == {"tasks/t1"}


def test_an_earlier_runs_task_is_asked_for_at_once() -> None:
    played = Played()
    played.play(follow(TASK, 1, AUTO, played.patience(), rejoined=True), scripted(said(DONE)))
    assert played.now == 0.0


@pytest.mark.parametrize("word", ["percolating", "ready?", "", "NOT_START"])
def test_an_unknown_status_word_means_that_the_task_goes_on(word: str) -> None:
    assert isinstance(followed(Played(), said({"id": "t1", "status": word}), said(DONE)), Received)


def test_a_failed_poll_is_not_a_failed_task() -> None:
    played = Played()
    hiccups: Sequence[Answer | Broken] = (
        Broken(Broke.TIMEOUT, "no answer"),
        said({"error": {"message": "slow down"}}, 429, **{"retry-after": "30"}),
        said("<html>Bad Gateway</html>", 502),
        said({"error": {"message": "oops"}}, 500),
        said({"status": "error", "message": "too many polls"}, 429),
        said({"status": "failed", "message": "internal error"}, 503),
        said("not json"),
    )
    assert isinstance(followed(played, *hiccups, said(DONE)), Received)
    waits = [wait.seconds for wait in played.of(Wait)]
    assert waits[2] == 30.0
    assert waits[1] > waits[0]


def test_a_task_that_does_not_end_in_time_is_left_unfinished_for_the_next_run() -> None:
    played = Played()
    result = played.play(follow(TASK, 1, AUTO, played.patience(total_s=600.0)), scripted(said(GOING)))
    assert isinstance(result, Unfinished)
    assert result.kind is FailureKind.TASK_TIMEOUT
    assert "processing" in result.message
    assert played.now == pytest.approx(600.0)


@pytest.mark.parametrize(
    "unknown", [said({"detail": "?"}, 404), said({"error": {"code": "async_task_not_found"}})]
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
        followed(Played(), *[said({}, 404)] * 3, said(GOING), *[said({}, 404)] * 3, said(DONE)), Received
    )


def test_places_are_tried_in_turn_until_one_knows_the_task() -> None:
    played = Played()

    def answer(step: Step) -> Any:
        if isinstance(step, Poll):
            return said(DONE) if step.url == "/generation/tasks/t1" else said({}, 404)
        return (b"image",)

    assert isinstance(played.play(follow(TASK, 1, AUTO, played.patience()), answer), Received)
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
    result = followed(Played(), said(document))
    assert isinstance(result, Rejected)
    assert result.failure.kind is kind
    assert result.body is None


def test_a_failure_told_in_fields_of_their_own_keeps_its_text_and_its_code() -> None:
    told = {"status": "failed", "error_code": "moderation_blocked", "error_message": "Not this one."}
    for document in ({"data": told}, told):
        result = followed(Played(), said(document))
        assert isinstance(result, Rejected)
        assert (result.failure.kind, result.failure.code) == (FailureKind.MODERATION, "moderation_blocked")
        assert result.failure.message == "Not this one."


def test_a_task_that_is_done_and_shows_no_image_is_kept_as_bad_content() -> None:
    result = followed(Played(), said({"status": "completed", "data": []}))
    assert isinstance(result, Rejected)
    assert (result.failure.kind, result.body is not None) == (FailureKind.BAD_CONTENT, True)


def test_a_refused_key_ends_the_polling_and_not_the_task() -> None:
    result = followed(Played(), said({"error": {"message": "revoked"}}, 401))
    assert isinstance(result, Unfinished)
    assert result.kind is FailureKind.AUTH


def test_some_images_of_a_task_that_goes_on_are_waited_for() -> None:
    half = {"status": "processing", "data": [{"url": "https://files/1.png"}]}
    whole = {"status": "completed", "data": [{"url": "https://files/1.png"}, {"url": "https://files/2.png"}]}
    result = followed(Played(), said(half), said(whole), n=2)
    assert isinstance(result, Received)
    assert len(result.items) == 2


def talked(
    request: ImageRequest, dialect: TaskDialect, first: Answer, *polls: Answer
) -> tuple[Result, Played]:
    played = Played()
    rest = scripted(*polls, said(DONE))
    speaker = Speaker(dialect, played.patience())
    result = played.play(
        converse(request, speaker), lambda step: first if isinstance(step, Send) else rest(step)
    )
    return result, played


@pytest.mark.parametrize(
    "first",
    [
        said({"id": "t1", "status": "queued"}),
        said({"code": 200, "data": [{"status": "submitted", "task_id": "t1"}]}),
        said({"code": 200, "data": {"id": "t1", "state": "pending"}}),
        said({"task_id": "t1"}),
        said({"id": "t1", "poll_url": "https://x/p"}),
        said({"id": "t1"}, 202),
        said({"taskId": 71}),
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
        said({"id": "x", "object": "list", "data": []}),
        said({"created": 1, "data": [{"url": None}]}),
        said({"id": "x", "model": "m"}),
    ],
)
def test_an_answer_without_images_is_not_taken_for_a_promise(first: Answer) -> None:
    _, played = talked(REQUEST, AUTO, first)
    assert not played.of(Checkpoint)
    assert not played.of(Poll)


def test_images_in_the_answer_to_an_asynchronous_request_are_taken() -> None:
    first = said({"id": "t1", "status": "completed", "data": [{"url": "https://files/1.png"}]})
    result, played = talked(REQUEST, DIALECTS["dieyuyun"], first)
    assert isinstance(result, Received)
    assert not played.of(Poll)
    assert played.of(Send)[0].body["async"] is True


def test_what_is_submitted_follows_the_dialect() -> None:
    _, played = talked(REQUEST, DIALECTS["newapi"], said({"task_id": "t1"}))
    send = played.of(Send)[0]
    assert (send.path, send.query) == ("images/generations", (("async", "true"),))
    _, played = talked(REQUEST, DIALECTS["sub2api"], said({"task_id": "t1"}, 202))
    assert played.of(Send)[0].path == "images/generations/async"
    assert played.of(Poll)[0].url == "images/tasks/t1"


@pytest.mark.parametrize(
    ("document", "count"),
    [
        ({"results": ["https://f/1", "https://f/2"]}, 2),
        ({"data": {"result": {"images": [{"url": ["https://f/1", "https://f/2"]}]}}}, 2),
        ({"result": {"data": [{"url": "/p/img/1?sig=x"}]}}, 1),
        ({"output": {"data": [{"b64_json": "aW1hZ2U="}]}}, 1),
        ({"data": {"images": [{"url": "https://f/1"}, {"b64_json": "aW1hZ2U="}]}}, 2),
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
    ],
)
def test_images_are_found_wherever_relays_put_them(document: dict[str, Any], count: int) -> None:
    result = followed(Played(), said({"status": "succeeded", **document}), n=count)
    assert isinstance(result, Received)
    assert [item.data for item in result.items] == [(b"image",)] * count
