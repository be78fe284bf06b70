"""What is read from a folder of recorded answers."""

from __future__ import annotations

from typing import Any

import pytest

from runner.simulator.dialects.recordings import Http, http_of, recorded, with_status
from runner.simulator.dialects.relays import RELAYS

KEYS = frozenset({"status", "state"})


@pytest.mark.parametrize(
    ("document", "template", "word"),
    [
        ({"id": 1, "status": "ready"}, {"id": 1, "status": "$status"}, "ready"),
        ({"data": [{"state": "on"}]}, {"data": [{"state": "$status"}]}, "on"),
        (
            {"error": {"status": "BAD"}, "state": "off"},
            {"error": {"status": "BAD"}, "state": "$status"},
            "off",
        ),
        ({"status": 200, "data": {"status": "on"}}, {"status": 200, "data": {"status": "$status"}}, "on"),
        ({"id": 1}, {"id": 1}, ""),
    ],
)
def test_the_outermost_word_is_the_status(document: Any, template: Any, word: str) -> None:
    assert with_status(document, KEYS) == (template, word)


def test_a_document_that_is_turned_into_a_template_stays_what_it_is() -> None:
    document = {"data": {"status": "on"}}
    with_status(document, KEYS)
    assert document == {"data": {"status": "on"}}


def test_what_is_not_recorded_is_as_usual() -> None:
    assert recorded("nobody", "done") is None
    assert http_of("nobody") == Http("/v1", 200, {}, ())
    assert http_of("sub2api").status == 202


def test_recorded_words_are_the_simulators() -> None:
    words = {relay.name: relay.task.words for relay in RELAYS}
    assert words["evolink"] == ("pending", "processing", "completed", "failed")
    assert words["newapi"] == ("NOT_START", "IN_PROGRESS", "SUCCESS", "FAILURE")
    assert words["tokenhub"] == ("queued", "running", "succeeded", "failed")
