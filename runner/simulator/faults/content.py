"""Answers that are whole and wrong: what happens to the document, and to the bytes of an image."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pybase64

from runner.simulator.faults.kinds import KINDS, Fault, Stage
from runner.simulator.faults.refusals import REFUSALS
from runner.simulator.pictures.picture import PNG_SIGNATURE, Picture, digest, draw, png_chunk
from runner.simulator.requests.errors import error_document

FORMATS = ("png", "jpeg", "webp", "gif", "bmp", "tiff", "svg")
"""What `wrong_format` can send."""

BOMB_EDGE = 20_000
_HTML = b"<!DOCTYPE html><html><body><h1>Sorry, something went wrong</h1></body></html>"

Document = dict[str, Any]
_DocumentFault = Callable[[Document, str], Any]
_ImageFault = Callable[[Picture, Fault], bytes]


def images_made(wanted: int, fault: Fault | None) -> int:
    """How many images the answer holds when `wanted` were asked for."""
    shift = {"fewer_images": -1, "task_fewer_images": -1, "extra_images": 1}
    return wanted + (shift.get(fault.kind, 0) if fault else 0)


def wants_base64(fault: Fault | None) -> bool | None:
    """True or False where a fault fixes how images come, whatever was asked for; None where it does not."""
    if fault is None:
        return None
    if fault.kind in _BASE64 or fault.kind in _IN_OTHER_FORMS:
        return True
    return False if KINDS[fault.kind].stage is Stage.URL else None


def _error_under_200(kind: str, key: str) -> Document:
    refusal = REFUSALS[kind]
    message = refusal.message.replace("{request_id}", f"req_{digest(kind):032x}")
    return error_document(message, refusal.type, refusal.code)


def _without(document: Document, name: str) -> Document:
    return {key: value for key, value in document.items() if key != name}


def _each_image(document: Document, change: Callable[[Document], Document]) -> Document:
    return document | {"data": [change(item) for item in document["data"]]}


def _each_base64(document: Document, change: Callable[[str], str]) -> Document:
    return _each_image(document, lambda item: item | {"b64_json": change(item["b64_json"])})


def _as_list(document: Document) -> list[Any]:
    data = document.get("data")
    return data if isinstance(data, list) else [document]


def _base64_fault(change: Callable[[str], str]) -> _DocumentFault:
    return lambda document, key: _each_base64(document, change)


def _wrap(text: str) -> str:
    return "".join(text[at : at + 76] + "\n" for at in range(0, len(text), 76))


def _event(document: Document) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def _as_stream(document: Document, key: str) -> bytes:
    kind = "image_generation.completed"
    events = [_event({"type": kind, **item, "usage": document.get("usage")}) for item in document["data"]]
    return b": wait\n\n" + b"".join(events) + b"data: [DONE]\n\n"


def _as_response(document: Document, key: str) -> Document:
    calls = [{"type": "image_generation_call", "result": item["b64_json"]} for item in document["data"]]
    return {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "output": calls,
        "usage": document.get("usage"),
    }


_IN_OTHER_FORMS: dict[str, _DocumentFault] = {"event_stream": _as_stream, "response_form": _as_response}
_UPSTREAM = {"error": {"message": "Upstream request failed", "type": "upstream_error"}}
_PAGE = b"<!doctype html><html><head><title>A relay</title></head><body><div id=root></div></body></html>"
_DECLINED = {
    "choices": [{"message": {"content": "I'm sorry, but I can't draw that."}, "finish_reason": "stop"}]
}

_BASE64: dict[str, Callable[[str], str]] = {
    "data_uri": lambda text: f"data:image/png;base64,{text}",
    "wrapped_base64": _wrap,
    "html_base64": lambda text: pybase64.b64encode(_HTML).decode(),
    "bad_base64": lambda text: text[:200] + "*?!" + text[200:],
}
_NULL_ITEM: Document = {"url": None, "b64_json": None, "revised_prompt": None}

DOCUMENTS: dict[str, _DocumentFault] = {
    "slow": lambda document, key: document,
    "moderation_200": lambda document, key: _error_under_200("moderation", key),
    "error_200": lambda document, key: _error_under_200("rate_limit_no_hint", key),
    "upstream_200": lambda document, key: _UPSTREAM,
    "page_200": lambda document, key: _PAGE,
    "refused_slot": lambda document, key: (
        document | {"data": [{"b64_json": "", "respect_moderation": False}]}
    ),
    "refused_in_words": lambda document, key: _DECLINED,
    **_IN_OTHER_FORMS,
    "bad_json": lambda document, key: json.dumps(document).encode()[:-2],
    "not_object": lambda document, key: _as_list(document),
    "empty_data": lambda document, key: document | {"data": []},
    "no_data": lambda document, key: _without(document, "data"),
    "fewer_images": lambda document, key: document,
    "extra_images": lambda document, key: document,
    "null_fields": lambda document, key: _each_image(document, lambda item: _NULL_ITEM),
    **{kind: _base64_fault(change) for kind, change in _BASE64.items()},
    "no_created": lambda document, key: _without(document, "created"),
    "no_usage": lambda document, key: _without(document, "usage"),
    "no_revised_prompt": lambda document, key: _each_image(
        document, lambda item: _without(item, "revised_prompt")
    ),
    "echo_key": lambda document, key: {"debug": {"authorization": f"Bearer {key}"}, "data": []},
}
"""(good document, caller's key) -> what is sent instead: JSON, or bytes as they are."""


_OF_THE_WHOLE = frozenset(
    {
        *("bad_json", "not_object", "moderation_200", "error_200", "echo_key", "upstream_200", "page_200"),
        *("refused_slot", "refused_in_words"),
    }
)
"""Kinds that spoil what the dialect made of the answer; the others spoil what it makes that of."""


def spoil(document: Document, fault: Fault | None, key: str, dress: Callable[[Document], Document]) -> bytes:
    """The body of the answer. key: the caller's, for the one fault that echoes it.

    dress: makes the dialect's document of a plain answer.
    """
    change = DOCUMENTS.get(fault.kind) if fault else None
    if fault is None or change is None:
        changed = dress(document)
    elif fault.kind in _IN_OTHER_FORMS:
        changed = change(document, key)
    elif fault.kind in _OF_THE_WHOLE:
        changed = change(dress(document), key)
    else:
        changed = dress(change(document, key))
    return changed if isinstance(changed, bytes) else json.dumps(changed).encode()


def _other_format(picture: Picture, fault: Fault) -> bytes:
    kind = fault.format or ("jpeg" if picture.format == "png" else "png")
    if kind == "svg":
        size = f'width="{picture.width}" height="{picture.height}"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><circle r="9"/></svg>'.encode()
    return draw(replace(picture, format=kind))


def _half_size(picture: Picture, fault: Fault) -> bytes:
    return draw(replace(picture, width=max(1, picture.width // 2), height=max(1, picture.height // 2)))


def _half_file(picture: Picture, fault: Fault) -> bytes:
    whole = draw(picture)
    return whole[: len(whole) // 2]


def _noise(picture: Picture, fault: Fault) -> bytes:
    return b"".join(digest(picture.prompt, part).to_bytes(16, "big") for part in range(64))


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    row = bytes(1 + BOMB_EDGE // 8)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row * 100) for _ in range(BOMB_EDGE // 100)) + packer.flush()
    head = struct.pack(">IIBBBBB", BOMB_EDGE, BOMB_EDGE, 1, 0, 0, 0, 0)
    return PNG_SIGNATURE + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


IMAGES: dict[str, _ImageFault] = {
    "not_image": _noise,
    "truncated_image": _half_file,
    "trailing_garbage": lambda picture, fault: draw(picture) + _noise(picture, fault),
    "wrong_format": _other_format,
    "wrong_size": _half_size,
    "zero_bytes": lambda picture, fault: b"",
    "pixel_bomb": lambda picture, fault: _bomb(),
}


def image_bytes(picture: Picture, fault: Fault | None) -> bytes:
    """The file of `picture`, or what a fault makes of it."""
    make = IMAGES.get(fault.kind) if fault else None
    return draw(picture) if make is None or fault is None else make(picture, fault)
