"""What `doctor --explain` says of a saved answer: the same that a run would make of it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from runner.doctor.explain import explain
from runner.doctor.findings import Check, Level
from schemas.errors import JobError
from schemas.task_dialects import AUTO
from tests.runner.providers.test_answer_forms import PNG

B64 = base64.b64encode(PNG).decode()


def explained(folder: Path, content: Any) -> dict[str, Check]:
    """The checks by name."""
    path = folder / "answer"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return {check.name: check for check in explain(path, AUTO)}


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (
            {"data": [{"b64_json": B64}, {"url": "https://f/1"}]},
            "images",
            f"2: {len(PNG)} bytes in base64, a URL (absolute)",
        ),
        ({"data": [{"url": "/p/1.png"}]}, "images", "1: a URL (relative to the endpoint)"),
        (
            {"output": [{"type": "image_generation_call", "result": B64}]},
            "images",
            f"1: {len(PNG)} bytes in base64",
        ),
        (PNG, "document", f"1 image as bytes, {len(PNG)} bytes"),
        (b'data: {"b64_json": "%s"}\n\n' % B64.encode(), "document", "a stream of events"),
        ({"task_id": "t1"}, "task", "accepted, id t1; polled at tasks/t1, images/tasks/t1"),
        ({"id": "t1", "status": "queued"}, "status", "queued: the task goes on"),
        ({"error": {"code": "moderation_blocked", "message": "no"}}, "failure", "moderation: no (refused by"),
        ({"code": 402, "msg": "no money"}, "failure", "quota: no money"),
        ({"data": [], "usage": {"cost": 0.5}}, "reported", "cost 0.5"),
    ],
)
def test_what_a_saved_answer_means(tmp_path: Path, content: Any, name: str, text: str) -> None:
    check = explained(tmp_path, content)[name]
    assert (check.level, text in check.detail) == (Level.OK, True), check


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (b"<html><title>New API</title></html>", "document", "web page: not paid for"),
        (b"{", "document", "not JSON"),
        (b"", "document", "empty"),
        ({"data": [{"b64_json": "!"}]}, "images", "no image, no task and no error"),
        ({"created": 1}, "images", "describe the answer"),
    ],
)
def test_what_holds_nothing(tmp_path: Path, content: Any, name: str, text: str) -> None:
    check = explained(tmp_path, content)[name]
    assert (check.level, text in check.detail) == (Level.FAIL, True), check


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="cannot be read"):
        list(explain(tmp_path / "none", AUTO))
