"""Templates are filled with what is there."""

from __future__ import annotations

from typing import Any

import pytest

from runner.simulator.dialects.model import IMAGES, fill, names

TWO = [{"url": "a", "index": 0}, {"url": "b", "index": 1}]


@pytest.mark.parametrize(
    ("template", "values", "filled"),
    [
        ({"id": "$id", "n": 3, "on": True}, {"id": 7}, {"id": 7, "n": 3, "on": True}),
        ({"id": "$id", "x": "$x"}, {"x": None}, {"x": None}),
        (["body", "$param"], {}, ["body"]),
        ({"cost": "costs $5"}, {}, {"cost": "costs $5"}),
        (
            {"data": [{"url": "$url", "b64_json": "$b64_json"}]},
            {IMAGES: TWO},
            {"data": [{"url": "a"}, {"url": "b"}]},
        ),
        ({"urls": ["$url"]}, {IMAGES: TWO}, {"urls": ["a", "b"]}),
        ({"urls": ["$url"]}, {IMAGES: []}, {"urls": []}),
        ({"urls": ["$url"], "id": 1}, {}, {"id": 1}),
        ([{"url": "$url", "id": "$id"}], {IMAGES: TWO[:1], "id": 4}, [{"url": "a", "id": 4}]),
        ({"first": "$url"}, {IMAGES: TWO, "url": "a"}, {"first": "a"}),
        ([{"b64_json": "$b64_json"}], {IMAGES: [{}], "b64_json": "of another"}, [{}]),
    ],
)
def test_what_is_not_there_is_left_out(template: Any, values: dict[str, Any], filled: Any) -> None:
    assert fill(template, values) == filled


def test_names_are_found_wherever_they_stand() -> None:
    assert names({"a": ["$b", {"c": "$d"}], "e": "$f", "g": "h"}) == {"b", "d", "f"}
