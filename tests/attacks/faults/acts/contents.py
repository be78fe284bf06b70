"""Answers under 200, whole and well framed, whose document or image is wrong or unusual."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from typing import Any

from tests.attacks.faults import pictures
from tests.attacks.faults.acts.refusals import ESCAPES, error_body
from tests.attacks.faults.exchange import Exchange, Json
from tests.support import images

HTML_PAGE = b"<!DOCTYPE html><html><body>Checking your browser...</body></html>"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def _with_data(value: Any) -> Callable[[Exchange], bytes]:
    return lambda ex: _dumped(ex.document() | {"data": value})


def _without(*names: str) -> Callable[[Exchange], bytes]:
    return lambda ex: _dumped({name: value for name, value in ex.document().items() if name not in names})


def _with(**fields: Any) -> Callable[[Exchange], bytes]:
    return lambda ex: _dumped(ex.document() | fields)


def _escaped_key(ex: Exchange) -> bytes:
    return ex.body().replace(b'"b64_json"', rb'"b64\u005fjson"')


def _leaked_key(ex: Exchange) -> bytes:
    return _dumped({"error": None, "debug": {"authorization": f"Bearer {ex.key}"}, "data": []})


def _event(value: Any) -> bytes:
    return b"data: " + _dumped(value) + b"\n\n"


def _stream(ex: Exchange) -> bytes:
    """A stream of a partial image and the final one."""
    kind = "image_generation"
    partial = {"type": f"{kind}.partial_image", "b64_json": _text(pictures.picture("partial"))}
    return (
        b": wait\n\n"
        + _event(partial)
        + _event({"type": f"{kind}.completed", **ex.item()})
        + b"data: [DONE]\n\n"
    )


def _in_words(ex: Exchange) -> bytes:
    url = "data:image/png;base64," + _text(ex.picture())
    return _dumped(
        {"choices": [{"message": {"content": f"Here it is: ![fox]({url})"}, "finish_reason": "stop"}]}
    )


def _of_response(ex: Exchange) -> bytes:
    call = {"type": "image_generation_call", "status": "generating", "result": _text(ex.picture())}
    return _dumped({"id": "resp_1", "object": "response", "status": "completed", "output": [call]})


def _inline(ex: Exchange) -> bytes:
    part = {"inlineData": {"mimeType": "image/png", "data": _text(ex.picture())}}
    return _dumped(
        {"candidates": [{"content": {"parts": [{"text": "A fox."}, part]}, "finishReason": "STOP"}]}
    )


BODIES: dict[str, Callable[[Exchange], bytes]] = {
    "invalid_json": lambda ex: ex.body()[:-40] + b",,,}",
    "python_repr": lambda ex: repr(ex.document()).encode(),
    "nothing": lambda _: b"",
    "spaces": lambda _: b"  \r\n\r\n ",
    "list": lambda ex: _dumped([ex.document()]),
    "number": lambda _: b"200",
    "null": lambda _: b"null",
    "string": lambda _: b'"ok"',
    "deep": lambda _: b'{"data":' + b"[" * 200_000,
    "deep_valid": lambda _: b'{"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "html": lambda _: HTML_PAGE,
    "no_data": _without("data"),
    "data_null": _with_data(None),
    "data_text": _with_data("see attachment"),
    "data_number": _with_data(3),
    "data_empty": _with_data([]),
    "data_of_nulls": _with_data([None]),
    "data_of_texts": _with_data(["image"]),
    "data_of_numbers": _with_data([7]),
    "data_of_lists": _with_data([[]]),
    "item_empty": _with_data([{}]),
    "item_nulls": _with_data([{"b64_json": None, "url": None, "revised_prompt": None}]),
    "b64_null": _with_data([{"b64_json": None}]),
    "b64_number": _with_data([{"b64_json": 12345}]),
    "b64_list": _with_data([{"b64_json": ["aGk="]}]),
    "b64_empty": _with_data([{"b64_json": ""}]),
    "b64_prefix_only": _with_data([{"b64_json": "data:image/png;base64,"}]),
    "b64_invalid": _with_data([{"b64_json": "!!!! not base64 @@@@"}]),
    "url_null": _with_data([{"url": None}]),
    "url_empty": _with_data([{"url": ""}]),
    "url_spaces": _with_data([{"url": "   "}]),
    "url_number": _with_data([{"url": 404}]),
    "url_object": _with_data([{"url": {"href": None}}]),
    "bom": lambda ex: b"\xef\xbb\xbf" + ex.body(),
    "utf16": lambda ex: ex.body().decode().encode("utf-16"),
    "padded": lambda ex: b"\n" * 5000 + ex.body() + b"\n" * 5000,
    "key_twice": lambda ex: b'{"data": null, ' + ex.body()[1:],
    "escaped_key": _escaped_key,
    "leaked_key": _leaked_key,
    "error_200": lambda _: error_body("server_error"),
    "error_text_200": lambda _: b'{"error": "upstream failed"}',
    "rate_limit_200": lambda _: error_body("rate_limit"),
    "quota_200": lambda _: error_body("insufficient_quota"),
    "moderation_200": lambda _: error_body("moderation_blocked"),
    "upstream_200": lambda _: (
        b"\n \n" + _dumped({"error": {"message": "Upstream failed", "type": "upstream_error"}})
    ),
    "key_200": lambda _: _dumped({"code": 401, "msg": "invalid api key", "data": None}),
    "slot_refused": _with_data([{"b64_json": "", "respect_moderation": False}]),
    "refused_in_words": lambda _: _dumped(
        {"choices": [{"message": {"content": "I'm sorry, I can't draw that."}}]}
    ),
    "stream": _stream,
    "in_words": _in_words,
    "of_response": _of_response,
    "inline": _inline,
    "artifacts": lambda ex: _dumped(
        {"artifacts": [{"base64": _text(ex.picture()), "finishReason": "SUCCESS"}]}
    ),
    "predictions": lambda ex: _dumped({"predictions": [{"bytesBase64Encoded": _text(ex.picture())}]}),
    "raw_image": lambda ex: ex.picture(),
    "error_null": _with(error=None),
    "code_msg_200": lambda _: _dumped({"code": 500, "msg": "internal error", "data": None}),
    "no_created": _without("created"),
    "no_usage": _without("usage"),
    "no_extras": _without("usage", "created"),
    "nulls": _with(created=None, usage=None, background=None, size=None),
    "created_text": _with(created="2026-11-22T10:00:00Z"),
    "created_float": _with(created=1790000000.5),
    "created_vast": _with(created=10**30),
    "created_negative": _with(created=-5),
    "created_true": _with(created=True),
    "usage_text": _with(usage="110 tokens"),
    "usage_list": _with(usage=[1, 2]),
    "usage_vast": _with(usage={"input_tokens": 10**30, "output_tokens": 2**63, "total_tokens": 0}),
    "usage_negative": _with(usage={"input_tokens": -1, "output_tokens": -10, "total_tokens": -11}),
    "usage_nulls": _with(usage={"input_tokens": None, "output_tokens": None, "total_tokens": None}),
    "usage_floats": _with(usage={"input_tokens": 10.0, "output_tokens": "100", "total_tokens": 110.5}),
    "extra_keys": _with(id=17, object="list", model=None, background={"a": [1]}, x="y" * 10_000),
}
"""Whole bodies by name."""


def _spliced(image: str, build: Callable[[str], str]) -> Callable[[Exchange], bytes]:
    def body(ex: Exchange) -> bytes:
        text = _text(ex.picture())
        return _dumped(ex.document([{"b64_json": image}])).replace(image.encode(), build(text).encode())

    return body


ENCODINGS: dict[str, Callable[[str], str]] = {
    "escaped_slashes": lambda text: text.replace("/", r"\/"),
    "escaped_letters": lambda text: text.replace("+", r"\u002b").replace("A", r"\u0041"),
    "wrapped": lambda text: r"\n".join(text[i : i + 76] for i in range(0, len(text), 76)) + r"\n",
    "wrapped_crlf": lambda text: r"\r\n".join(text[i : i + 64] for i in range(0, len(text), 64)),
    "spaced": lambda text: "  " + text[:100] + " " + text[100:] + r" \t",
    "data_uri": lambda text: "data:image/png;base64," + text,
    "data_uri_odd": lambda text: "data:image/png;charset=utf-8;base64, " + text,
    "data_uri_escaped": lambda text: r"data:image\/png;base64," + text.replace("/", r"\/"),
    "no_padding": lambda text: text.rstrip("="),
    "urlsafe": lambda text: text.replace("+", "-").replace("/", "_"),
    "extra_padding": lambda text: text.rstrip("=") + "====",
    "bad_letter": lambda text: text[:500] + "*" + text[501:],
    "one_less": lambda text: text.rstrip("=")[:-1],
    "raw_control": lambda text: text[:500] + "\n" + text[500:],
}
"""How the base64 of a good picture is written between its quotes, as JSON source text."""

_PLACE = "@@@"
BODIES |= {name: _spliced(_PLACE, build) for name, build in ENCODINGS.items()}

IMAGES: dict[str, Callable[[Exchange], bytes]] = {
    "jpeg": lambda ex: ex.picture(form="JPEG"),
    "webp": lambda ex: ex.picture(form="WEBP"),
    "gif": lambda ex: ex.picture(form="GIF"),
    "tiff": lambda ex: ex.picture(form="TIFF"),
    "svg": lambda ex: pictures.svg(ex.prompt),
    "html": lambda _: pictures.HTML,
    "text": lambda _: b"no image today",
    "one_byte": lambda _: b"\x89",
    "signature": lambda _: b"\x89PNG\r\n\x1a\n",
    "other_size": lambda ex: pictures.picture(ex.prompt, size=(40, 24)),
    "cut_png": lambda ex: pictures.cut(ex.picture(form="PNG")),
    "cut_jpeg": lambda ex: pictures.cut(ex.picture(form="JPEG")),
    "cut_webp": lambda ex: pictures.cut(ex.picture(form="WEBP")),
    "cut_gif": lambda ex: pictures.cut(ex.picture(form="GIF")),
    "no_iend": lambda ex: pictures.without_end(ex.picture(form="PNG")),
    "jpeg_no_end": lambda ex: ex.picture(form="JPEG")[:-2],
    "bad_crc": lambda ex: pictures.bad_crc(ex.picture(form="PNG")),
    "trailing": lambda ex: ex.picture(form="PNG") + b"trailing garbage" * 4,
    "html_after": lambda ex: ex.picture(form="PNG") + b"<script>alert(1)</script>",
    "zeros_inside": lambda ex: ex.picture(form="PNG")[:2000] + bytes(2000) + ex.picture(form="PNG")[4000:],
    "pixel_bomb": lambda _: pictures.pixel_bomb(),
    "text_bomb": lambda _: pictures.text_bomb(),
    "no_pixels": lambda _: pictures.png_of(0, 0, b""),
    "no_zlib": lambda _: pictures.png_of(64, 64, b"not a zlib stream"),
    "empty_idat": lambda _: pictures.png_of(64, 64, b""),
    "half_the_rows": lambda _: pictures.png_of(64, 64, zlib.compress(bytes(32 * 9))),
    "too_many_rows": lambda _: pictures.png_of(64, 64, zlib.compress(bytes(65 * 9))),
    "one_colour": lambda ex: images.plain("PNG", colour=(len(ex.prompt) % 256, 30, 40)),
    "mpo": lambda _: images.mpo(),
    "many_scans": lambda _: images.jpeg_of_scans(2000, 400),
    "svg_comments": lambda ex: b"<!-- layer -->\n" * 90 + pictures.svg(ex.prompt),
    "svg_comments_only": lambda _: b"<!---->" * 45 + b"<g></g></svg>",
    "svg_no_xml": lambda ex: pictures.svg(ex.prompt).replace(b"</title>", b""),
}
"""Images by name: what the base64 of an answer, or the body behind a URL, holds."""

REVISED: dict[str, Callable[[Exchange], Any]] = {
    "absent": lambda _: ...,
    "null": lambda _: None,
    "number": lambda _: 7,
    "list": lambda _: ["a", "b"],
    "vast": lambda _: "long " * 400_000,
    "escapes": lambda _: ESCAPES,
    "surrogate": lambda _: "half a fox \ud83e",
    "nul": lambda _: "a\x00b\x1b[0m",
    "key": lambda ex: f"a fox holding {ex.key}",
    "formula": lambda _: '=HYPERLINK("http://127.0.0.2/","x")</script><img src=x onerror=alert(1)>',
}
"""Values of `revised_prompt`; `...` leaves it out."""


def body(exchange: Exchange) -> None:
    """kind: a row of BODIES, handed over whole under 200. paid=0: nothing was made."""
    if exchange.marker.number("paid", 1):
        exchange.charge()
    exchange.answer(200, BODIES[exchange.marker.text("kind")](exchange))


def raw_utf8(exchange: Exchange) -> None:
    """A good document whose revised prompt holds bytes that are no UTF-8."""
    exchange.charge()
    text = _dumped(exchange.document([exchange.item() | {"revised_prompt": "@@"}]))
    exchange.answer(200, text.replace(b"@@", b"caf\xe9 \xff\xfe"))


def image(exchange: Exchange) -> None:
    """kind: a row of IMAGES, as base64."""
    exchange.charge()
    data = IMAGES[exchange.marker.text("kind")](exchange)
    exchange.holds(data)
    item = {"b64_json": _text(data)}
    exchange.answer(200, _dumped(exchange.document([item])))


def revised(exchange: Exchange) -> None:
    """kind: a row of REVISED, beside a good picture."""
    exchange.charge()
    value = REVISED[exchange.marker.text("kind")](exchange)
    item: Json = {name: each for name, each in exchange.item().items() if name != "revised_prompt"}
    exchange.answer(
        200, _dumped(exchange.document([item if value is ... else item | {"revised_prompt": value}]))
    )


def count(exchange: Exchange) -> None:
    """sent: how many images come, whatever n was; broken: how many of the last are no base64; same=1: all equal."""
    marker = exchange.marker
    sent, broken = int(marker.number("sent", exchange.n)), int(marker.number("broken"))
    exchange.charge()
    items = [exchange.item(0 if marker.number("same") else index) for index in range(sent)]
    for item in items[sent - broken :] if broken else []:
        item["b64_json"] = "%%%"
    exchange.answer(200, _dumped(exchange.document(items)))


def other_form(exchange: Exchange) -> None:
    """kind: b64, url or both, whatever was asked for."""
    kind = exchange.marker.text("kind")
    data = exchange.picture()
    exchange.charge()
    item: Json = {"b64_json": _text(data)} if kind in ("b64", "both") else {}
    if kind in ("url", "both"):
        item["url"] = exchange.url(exchange.link(data))
    exchange.answer(200, _dumped(exchange.document([item])))


def cached(exchange: Exchange) -> None:
    """The same picture for every prompt, as a cache in between serves it."""
    exchange.charge()
    item = {"b64_json": _text(pictures.picture("cached"))}
    exchange.answer(200, _dumped(exchange.document([item])), {"Age": "60", "X-Cache": "HIT"})


ACTS: dict[str, Callable[[Exchange], None]] = {
    "body": body,
    "raw_utf8": raw_utf8,
    "image": image,
    "revised": revised,
    "count": count,
    "other_form": other_form,
    "cached": cached,
}
