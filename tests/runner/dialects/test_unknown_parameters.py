"""A field that the service refuses as unknown is named, with the setting that leaves it out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.http.image_body import Lifter
from runner.http.messages import Answer
from runner.providers.conversation import Rejected, Result
from runner.providers.generations import Speaker, converse
from runner.providers.polling import Patience
from schemas.failures import FailureKind
from schemas.request import ImageRequest
from schemas.task_dialects import AUTO

MENDED = "; leave it out with --set endpoint.drop_params='[\"seed\"]'"


def refusal(document: dict[str, Any]) -> Result:
    """How a request ends that is answered with 400 and this document."""
    lifter = Lifter(2**20)
    lifter.feed(json.dumps(document).encode())
    conversation = converse(
        ImageRequest("a fox", (("seed", 5),)), Speaker(AUTO, Patience(4.0, 60.0, lambda: 0.0, lambda: 0.0))
    )
    next(conversation)
    with pytest.raises(StopIteration) as ended:
        conversation.send(Answer(400, {}, lifter.finish(), 0.1))
    result: Result = ended.value.value
    return result


def error(message: str, code: str | None, param: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


@pytest.mark.parametrize(
    "document",
    [
        error("Unknown parameter: 'seed'.", "unknown_parameter", "seed"),
        error("litellm.BadRequestError: OpenAIException - Unknown parameter: 'seed'.", "400", "seed"),
    ],
)
def test_openais_own_and_what_litellm_leaves_of_it(document: dict[str, Any]) -> None:
    ended = refusal(document)
    assert isinstance(ended, Rejected)
    assert ended.failure.kind is FailureKind.INVALID_REQUEST
    assert ended.failure.message == document["error"]["message"] + MENDED


@pytest.mark.parametrize(
    "document",
    [error("Invalid value", "invalid_value", "seed"), error("Unknown parameter", "unknown_parameter", None)],
)
def test_a_refusal_that_leaving_out_does_not_mend(document: dict[str, Any]) -> None:
    ended = refusal(document)
    assert isinstance(ended, Rejected)
    assert ended.failure.message == document["error"]["message"]
