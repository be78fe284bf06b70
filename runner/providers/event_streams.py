"""Answers that come as events although none were asked for: the events, and the one document that they add up to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_LOOKS_LIKE_EVENTS = re.compile(rb"(?:\s|:[^\n]{0,200}\n)*(?:data|event|id|retry):")
_PARTIAL = ("partial", "preview", "in_progress", "generating", "delta.partial")
_ENDED = ("response.completed", "response.failed", "response.incomplete")

Event = dict[str, Any]


def is_stream(start: bytes, content_type: str) -> bool:
    """Whether a body that begins so is a stream of server-sent events."""
    return content_type.startswith("text/event-stream") or _LOOKS_LIKE_EVENTS.match(start[:2048]) is not None


def parse_events(text: str) -> Iterator[Event]:
    """The events of a stream that are JSON objects, each with its name as `type` where it has none of its own."""
    name = ""
    data: list[str] = []
    for line in (*text.splitlines(), ""):
        field, _, value = line.partition(":")
        if not line:
            yield from _event(name, "\n".join(data))
            name, data = "", []
        elif field == "data":
            data.append(value.removeprefix(" "))
        elif field == "event":
            name = value.strip()


def parse_lines(text: str) -> Iterator[Event]:
    """JSON objects, one a line."""
    for line in text.splitlines():
        yield from _event("", line)


def _event(name: str, data: str) -> Iterator[Event]:
    try:
        document = json.loads(data) if data.strip() else None
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        yield {"type": name, **document} if name else document


def merge(stream: Sequence[Event]) -> Event:
    """One document for a stream, in the form in which the same answer comes without streaming.

    Partial images are left out: the final one wins. An error that ended the stream stands as its `error`.
    """
    for event in reversed(stream):
        if event.get("type") in _ENDED and isinstance(event.get("response"), dict):
            return _response(event["response"], stream)
    final = [event for event in stream if not is_partial(event)]
    document: Event = {"events": final}
    if any("choices" in event for event in final):
        document["choices"] = _choices(final)
        document["events"] = [event for event in final if "choices" not in event]
    for name in ("usage", "created", "model", "promptFeedback"):
        values = [event[name] for event in final if event.get(name) is not None]
        if values:
            document[name] = values[-1]
    error = next((error for event in reversed(stream) if (error := _error(event)) is not None), None)
    return document | ({"error": error} if error is not None else {})


def is_partial(event: Mapping[str, Any]) -> bool:
    """Whether an event holds an image that is still being made."""
    kind = event.get("type")
    return isinstance(kind, str) and any(part in kind for part in _PARTIAL)


def _error(event: Event) -> Any:
    if event.get("error"):
        return event["error"]
    return event if event.get("type") == "error" else None


def _response(response: Event, stream: Sequence[Event]) -> Event:
    """The last state of a response, with the outputs that only its earlier events had."""
    if response.get("output"):
        return response
    made = [
        event["item"]
        for event in stream
        if isinstance(event.get("item"), dict) and str(event.get("type")).endswith(".done")
    ]
    return {**response, "output": made} if made else response


def _choices(chunks: Sequence[Event]) -> list[Event]:
    """The messages of a chat, each put together from its pieces."""
    contents: dict[Any, list[str]] = {}
    images: dict[Any, list[Any]] = {}
    reasons: dict[Any, Any] = {}
    for chunk in chunks:
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            index = str(choice.get("index", 0))
            piece = choice.get("delta", choice.get("message"))
            piece = piece if isinstance(piece, dict) else {}
            contents.setdefault(index, []).extend(_texts(piece))
            images.setdefault(index, []).extend(
                piece["images"] if isinstance(piece.get("images"), list) else ()
            )
            reasons[index] = choice.get("finish_reason") or reasons.get(index)
    return [
        {
            "message": {"content": "".join(contents[index]), "images": images[index]},
            "finish_reason": reasons[index],
        }
        for index in contents
    ]


def _texts(piece: Event) -> Iterator[str]:
    content = piece.get("content")
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]
