"""Every recorded answer, played through the conversation without a server."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

import pytest

from runner.http.image_body import ImageLifter
from runner.http.messages import Answer
from runner.providers.conversation import Checkpoint, Fetch, Poll, Send, Step, Wait
from runner.providers.generations import ClientProfile, converse
from runner.providers.polling import PollTiming
from runner.simulator.dialects.model import IMAGES, fill, names
from runner.simulator.dialects.recordings import FOLDER, http_of, recorded
from runner.simulator.dialects.servers import SERVERS
from schemas.failures import FailureKind
from schemas.received import Received, Rejected, Result
from schemas.request import ImageRequest
from schemas.task_dialects import AUTO, DIALECTS, TaskDialect

RELAYS = [row.name for row in DIALECTS.values() if row is not AUTO]
SERVER_NAMES = [server.name for server in SERVERS]
IMAGE = b"an image"
REQUEST = ImageRequest("a fox", (("n", 2),))
TASK = "task_8f2"
MESSAGE = "The model is unwell today."
VALUES: dict[str, Any] = {
    "id": TASK,
    "progress": 50,
    "percent": "50%",
    "poll_path": f"/told/{TASK}",
    "poll_url": f"https://relay/told/{TASK}",
    "model": "m",
    "created": 1_800_000_000,
    "updated": 1_800_000_009,
    "expires_at": 1_800_086_400,
    "usage": {"input_tokens": 9, "output_tokens": 400},
    "message": MESSAGE,
    "type": "server_error",
    "code": "server_error",
    "param": None,
    "http_status": 500,
    "http_status_text": "500",
    "code_or_http_status": "server_error",
}
AS_URL = [{"url": f"https://files/{number}.png", "revised_prompt": f"fox {number}"} for number in (1, 2)]
AS_BASE64 = [{"b64_json": base64.b64encode(IMAGE).decode(), "revised_prompt": f"fox {n}"} for n in (1, 2)]


def said(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    lifter = ImageLifter(2**20)
    lifter.feed(json.dumps(document).encode())
    return Answer(status, headers or {}, lifter.finish(), 0.1)


@dataclass
class Relay:
    """A relay that answers as recorded: first `submitted`, then one document a poll, the last one for ever.

    anywhere: polls are answered wherever they come, because the general row does not know every place.
    """

    name: str
    polls: list[Answer]
    images: list[dict[str, Any]] = field(default_factory=lambda: AS_URL)
    steps: list[Step] = field(default_factory=list)
    anywhere: bool = False
    now: float = 0.0

    def document(self, state: str) -> Any:
        return fill(recorded(self.name, state), VALUES | {IMAGES: self.images})

    def answer(self, step: Step) -> Any:
        match step:
            case Send():
                http = http_of(self.name)
                headers = {key.lower(): fill(value, VALUES) for key, value in http.headers.items()}
                return said(self.document("submitted"), http.status, headers)
            case Poll(url) if not self._is_mine(url):
                return said({}, 404)
            case Poll():
                return self.polls.pop(0) if len(self.polls) > 1 else self.polls[0]
            case Fetch():
                return (IMAGE,)
            case Wait(seconds):
                self.now += seconds
        return None

    def _is_mine(self, url: str) -> bool:
        known = {
            path.replace("{id}", TASK)
            for path in (*DIALECTS[self.name].poll_paths, *http_of(self.name).polls)
        }
        return self.anywhere or url in known | {VALUES["poll_path"], VALUES["poll_url"]}

    def talk(self, dialect: TaskDialect, answer: Callable[[Step], Any] | None = None) -> Result:
        patience = PollTiming(4.0, 3600.0, lambda: self.now, lambda: 1_800_000_000.0)
        conversation = converse(REQUEST, ClientProfile(dialect, patience))
        try:
            step = next(conversation)
            while True:
                self.steps.append(step)
                step = conversation.send((answer or self.answer)(step))
        except StopIteration as end:
            result: Result = end.value
            return result


def relay(name: str, *states: str, status: int = 200, images: list[dict[str, Any]] = AS_URL) -> Relay:
    made = Relay(name, [], images)
    made.polls = [said(made.document(state), status) for state in states]
    return made


def forms(name: str, state: str) -> list[list[dict[str, Any]]]:
    """How images come in a recorded answer: at URLs, in base64, or either."""
    known = names(recorded(name, state))
    return [images for images, form in ((AS_URL, "url"), (AS_BASE64, "b64_json")) if form in known]


def test_every_relay_and_every_server_is_recorded_and_nothing_else_is() -> None:
    assert {folder.name for folder in FOLDER.iterdir()} == {*RELAYS, *SERVER_NAMES}
    for name, state in product(RELAYS, ("submitted", "going", "done", "failed")):
        assert recorded(name, state) is not None, f"{name}/{state}.json is missing"


@pytest.mark.parametrize("general", [False, True], ids=["named", "auto"])
@pytest.mark.parametrize("name", RELAYS)
def test_a_task_is_submitted_goes_on_and_gives_its_images(name: str, general: bool) -> None:
    dialect = AUTO if general else DIALECTS[name]
    for images in forms(name, "done"):
        played = relay(name, "going", "going", "going", "done", images=images)
        played.anywhere = general
        result = played.talk(dialect)
        assert isinstance(result, Received)
        assert [item.data for item in result.items] == [(IMAGE,)] * 2
        assert result.reported.task_id == TASK
        sends = [step for step in played.steps if isinstance(step, Send)]
        assert [(one.path, one.query) for one in sends] == [(dialect.submit_path, dialect.submit_query)]
        assert sends[0].body.items() >= dict(dialect.submit_body).items()
        assert [type(step) for step in played.steps][:3] == [Send, Checkpoint, Wait]


@pytest.mark.parametrize("general", [False, True], ids=["named", "auto"])
@pytest.mark.parametrize("name", RELAYS)
def test_a_failed_task_fails_with_its_message(name: str, general: bool) -> None:
    played = relay(name, "going", "failed")
    played.anywhere = general
    result = played.talk(AUTO if general else DIALECTS[name])
    assert isinstance(result, Rejected)
    assert (result.failure.kind, result.failure.message) == (FailureKind.TASK_FAILED, MESSAGE)
    assert result.reported.task_id == TASK


@pytest.mark.parametrize("name", [name for name in RELAYS if recorded(name, "lost")])
def test_a_task_that_the_relay_no_longer_knows_is_lost(name: str) -> None:
    result = relay(name, "lost", status=404).talk(DIALECTS[name])
    assert isinstance(result, Rejected)
    assert result.failure.kind is FailureKind.TASK_LOST
    assert MESSAGE in result.failure.message


def answered(document: Any, step: Step) -> Answer | tuple[bytes]:
    """The document to the request, the image to whatever fetches it."""
    return said(document) if isinstance(step, Send) else (IMAGE,)


@pytest.mark.parametrize("name", SERVER_NAMES)
def test_a_server_answers_with_its_images(name: str) -> None:
    for images in forms(name, "answered"):
        numbered = [image | {"index": index} for index, image in enumerate(images)]
        document = fill(recorded(name, "answered"), VALUES | {IMAGES: numbered})
        result = Relay(name, []).talk(AUTO, partial(answered, document))
        assert isinstance(result, Received)
        assert [item.data for item in result.items] == [(IMAGE,)] * 2


@pytest.mark.parametrize("name", [name for name in (*RELAYS, *SERVER_NAMES) if recorded(name, "refused")])
def test_a_refusal_is_told_with_its_message(name: str) -> None:
    document = fill(recorded(name, "refused"), VALUES | {"http_status": 400, "code": "invalid_value"})
    result = Relay(name, []).talk(DIALECTS.get(name, AUTO), lambda step: said(document, 400))
    assert isinstance(result, Rejected)
    assert (result.failure.kind, result.failure.message) == (FailureKind.INVALID_REQUEST, MESSAGE)
