"""Streams that nobody asked for: their events, and the document that they add up to."""

from __future__ import annotations

from typing import Any

import pytest

from runner.providers.event_streams import Event, is_stream, merge, parse_events


@pytest.mark.parametrize(
    "start",
    [
        b"data: {}",
        b"\n\ndata:{}",
        b": keep-alive\n\ndata: {}",
        b": a\n: b\n: c\n\nevent: x\ndata: {}",
        b"event: error\n",
        b"id: 1\ndata: x",
        b"retry: 3\n",
    ],
)
def test_a_stream_is_known_by_how_it_begins(start: bytes) -> None:
    assert is_stream(start, "")


@pytest.mark.parametrize("start", [b"{}", b"", b"database: x", b"no data: x", b"<html>"])
def test_what_begins_otherwise_is_none_unless_it_is_called_so(start: bytes) -> None:
    assert not is_stream(start, "application/json")
    assert is_stream(start, "text/event-stream; charset=utf-8")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_with_every_kind_of_line_end(end: str) -> None:
    text = end.join(
        (
            ": comment",
            "event: one",
            'data: {"a": 1}',
            "",
            "id: 7",
            'data:{"b":',
            "data: 2}",
            "",
            "data: [DONE]",
            "",
            "data: not json",
            "",
            "data: [1]",
            "",
            'data: {"type": "own", "c": 3}',
        )
    )
    assert list(parse_events(text)) == [{"type": "one", "a": 1}, {"b": 2}, {"type": "own", "c": 3}]


def test_partial_images_are_left_out() -> None:
    final = {"type": "image_generation.completed", "b64_json": "final", "usage": {"output_tokens": 7}}
    partial = {"type": "image_generation.partial_image", "b64_json": "half", "usage": {"output_tokens": 1}}
    assert merge([partial, final]) == {"events": [final], "usage": {"output_tokens": 7}}


def response(**fields: Any) -> Event:
    """The event that ends a response."""
    return {"type": "response.completed", "response": {"object": "response", **fields}}


def test_a_response_is_its_last_state() -> None:
    made = {"type": "image_generation_call", "result": "x"}
    item = {"type": "response.output_item.done", "item": made}
    assert merge([item, response(output=[made])]) == {"object": "response", "output": [made]}
    assert merge([item, response(output=[])]) == {"object": "response", "output": [made]}
    assert merge([item, response()])["output"] == [made]


def test_an_output_that_is_still_being_made_is_none() -> None:
    going = {"type": "response.output_item.added", "item": {"type": "image_generation_call", "result": "x"}}
    assert merge([going, response(output=[])]) == {"object": "response", "output": []}


def test_the_pieces_of_a_chat_are_put_together() -> None:
    chunks: list[Event] = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "![a](https://"}}]},
        {
            "choices": [
                {"index": 0, "delta": {"content": "files/1.png)"}},
                {"index": 1, "delta": {"content": "b"}},
            ]
        },
        {"choices": [{"delta": {"content": [{"type": "text", "text": "!"}], "images": [{"url": "u"}]}}]},
        {"choices": [{"delta": {"content": None}, "finish_reason": "stop"}], "usage": {"cost": 0.5}},
        {"choices": [None, {"delta": "odd"}]},
        {"choices": "odd"},
    ]
    document = merge(chunks)
    assert document["choices"] == [
        {
            "message": {"content": "![a](https://files/1.png)!", "images": [{"url": "u"}]},
            "finish_reason": "stop",
        },
        {"message": {"content": "b", "images": []}, "finish_reason": None},
    ]
    assert document["usage"] == {"cost": 0.5}


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        ([{"type": "error", "error": {"code": "x"}}], {"code": "x"}),
        ([{"type": "error", "code": "x", "message": "y"}], {"type": "error", "code": "x", "message": "y"}),
        ([{"a": 1}, {"error": "no"}, {"a": 2}], "no"),
    ],
)
def test_an_error_in_a_stream_stands_as_its_error(stream: list[Event], error: Any) -> None:
    assert merge(stream)["error"] == error


def test_a_response_that_failed_has_its_error() -> None:
    failed = {
        "type": "response.failed",
        "response": {"status": "failed", "error": {"code": "x"}, "output": []},
    }
    assert merge([failed])["error"] == {"code": "x"}
