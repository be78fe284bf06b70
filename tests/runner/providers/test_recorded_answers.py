"""Answers of services as they were recorded, each played through the conversation: what it is taken for."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runner.providers.conversation import Send
from runner.providers.generations import ClientProfile, converse
from schemas.failures import FailureKind
from schemas.received import Received, Rejected, Result
from schemas.request import ImageRequest
from schemas.task_dialects import AUTO
from tests.support.answers import Played, whole

FOLDER = Path(__file__).parents[2] / "data" / "answers"
ANSWERS = [
    pytest.param(answer, id=f"{path.stem}-{number}")
    for path in sorted(FOLDER.glob("*.json"))
    for number, answer in enumerate(json.loads(path.read_text(encoding="utf-8"))["answers"])
]


def picture(shade: int) -> bytes:
    """A small PNG."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 90, 40)).save(out, "PNG")
    return out.getvalue()


PNG, PARTIAL = picture(200), picture(10)


def body_of(answer: dict[str, Any]) -> bytes:
    """The recorded body with pictures in it."""
    if answer.get("body") == "$png":
        return PNG
    text = answer["body"] if "body" in answer else json.dumps(answer["document"])
    for name, data in (("$b64_json", PNG), ("$partial", PARTIAL)):
        text = text.replace(name, base64.b64encode(data).decode())
    return str(text).encode()


def outcome_of(answer: dict[str, Any], piece: int) -> tuple[Result, Played]:
    """What a request comes to whose answer, arriving in such pieces, is this one."""
    heard = whole(body_of(answer), answer["status"], piece=piece, **answer.get("headers", {}))
    request = ImageRequest("a fox", (("model", "m"), ("n", 2), ("quality", "high")))
    played = Played()
    conversation = converse(request, ClientProfile(AUTO, played.timing()))
    return played.play(conversation, lambda step: heard if isinstance(step, Send) else (PNG,)), played


@pytest.mark.parametrize("piece", [7, 100_000])
@pytest.mark.parametrize("answer", ANSWERS)
def test_what_a_recorded_answer_is_taken_for(answer: dict[str, Any], piece: int) -> None:
    result, played = outcome_of(answer, piece)
    assert not played.promised, "taken for a task"
    assert isinstance(result, Received | Rejected)
    assert result.reported.cost_usd == answer.get("cost_usd")
    if answer["kind"] is None:
        assert isinstance(result, Received), result
        assert [b"".join(item.data or ()) for item in result.items] == [PNG] * answer["images"]
        return
    assert isinstance(result, Rejected), result
    assert result.failure.kind is FailureKind(answer["kind"]), result.failure
    if "named" in answer:
        assert f"--set endpoint.drop_params='[\"{answer['named']}\"]'" in result.failure.message
    if 200 <= answer["status"] < 300:
        assert (result.body is not None) is result.failure.maybe_billed
