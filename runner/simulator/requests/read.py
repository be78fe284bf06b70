"""A request as one dialect reads it: the key, the query, whether a task is wanted, and the order in the body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aiohttp import web

from runner.simulator.dialects.model import Dialect, Reading
from runner.simulator.requests.errors import ServiceError
from runner.simulator.requests.validate import Order, check_order
from schemas.request import FIELDS

REFUSED_KEY = "invalid"
_LONG_EDGE = {"1k": 1024, "2k": 2048}
_SQUARE = "512x512"


def caller_key(request: web.Request, dialect: Dialect) -> str:
    """The caller's key; ServiceError 404 without the query that the dialect needs, 401 without a good key."""
    if dialect.query[0] and not request.query.get(dialect.query[0]):
        raise ServiceError(404, "Resource not found")
    found = (_header_key(request, name) for name in dialect.keys)
    key = next((key for key in found if key), "")
    if not key:
        way = "Authorization: Bearer" if dialect.keys[0] == "authorization" else f"{dialect.keys[0]}:"
        raise ServiceError(401, f"You didn't provide an API key. You need to send it as '{way} YOUR_KEY'.")
    if key == REFUSED_KEY:
        message = f"Incorrect API key provided: {key[:2]}***{key[-2:]}."
        raise ServiceError(401, message, code="invalid_api_key")
    return key


def _header_key(request: web.Request, name: str) -> str:
    if name != "authorization":
        return request.headers.get(name, "").strip()
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else ""


def wants_task(request: web.Request, document: dict[str, Any], dialect: Dialect) -> bool:
    """Whether the request asks for a task. document: its body."""
    switch = dialect.switch
    return (
        switch.always
        or bool(switch.path and request.path.endswith(f"/{switch.path}"))
        or any(document.get(name) is value for name, value in switch.body)
        or bool(switch.query[0] and request.query.get(switch.query[0]) == switch.query[1])
        or bool(switch.header[0] and request.headers.get(switch.header[0]) == switch.header[1])
    )


def read_order(document: dict[str, Any], dialect: Dialect, profile: str) -> Order:
    """The order in a request body. profile: the simulator's own. ServiceError names the first mistake."""
    reading = dialect.reading
    for name in reading.refused:
        if name in document:
            raise _refused(name, reading)
    plain = _plain(document, dialect)
    if not plain.get("model") and reading.model:
        plain["model"] = reading.model
    size = SIZES[reading.size](document)
    if size is not None:
        plain["size"] = size
    answer = _answer_format(plain, reading)
    order = check_order(plain, dialect.profile or profile)
    if answer:
        order = replace(order, as_url=answer == "url")
    return replace(order, format=reading.image) if reading.image else order


def _refused(name: str, reading: Reading) -> ServiceError:
    message = reading.refusal.format(name=name)
    return ServiceError(400, message, param=name, code="unknown_parameter")


def _plain(document: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    """The body without what only this dialect takes."""
    extras = dict(dialect.reading.extras) | {name: bool for name, _ in dialect.switch.body}
    for name, kind in extras.items():
        if name in document and not _is_of(document[name], kind):
            message = f"Invalid type for '{name}': expected {kind.__name__}."
            raise ServiceError(400, message, param=name, code="invalid_type")
    known = {"prompt", *FIELDS}
    return {
        name: value
        for name, value in document.items()
        if name not in extras and (name in known or not dialect.reading.ignores_unknown)
    }


def _is_of(value: Any, kind: type) -> bool:
    return type(value) is kind or (kind is float and type(value) is int)


def _answer_format(plain: dict[str, Any], reading: Reading) -> str:
    """How images are sent, where the dialect has words of its own for `response_format` or a default; they are taken out,
    because the profile need not know that field. "" where it is as documented."""
    if not reading.formats and not reading.default_format:
        return reading.forced_format
    words = dict(reading.formats) or {name: name for name in ("url", "b64_json")}
    asked = plain.pop("response_format", None)
    if asked is not None and asked not in words:
        message = f"Invalid value: '{asked}'. Supported values are: {', '.join(map(repr, words))}."
        raise ServiceError(400, message, param="response_format", code="invalid_value")
    return reading.forced_format or (reading.default_format if asked is None else words[asked])


def _from_edges(document: dict[str, Any]) -> str | None:
    width, height = document.get("width", 1024), document.get("height", 1024)
    return f"{width}x{height}"


def _from_ratio(document: dict[str, Any]) -> str | None:
    """The size for `aspect_ratio` (such as 3:2) and `resolution` (1k or 2k): its long edge is the resolution's."""
    long_edge = _LONG_EDGE.get(document.get("resolution", "1k"))
    ratio = document.get("aspect_ratio", "auto")
    wide, _, high = ("1:1" if ratio == "auto" else ratio).partition(":")
    if long_edge is None:
        raise ServiceError(400, "Invalid value for resolution.", param="resolution", code="invalid_value")
    if not (wide.isdecimal() and high.isdecimal() and int(wide) and int(high)):
        raise ServiceError(400, "Invalid value for aspect_ratio.", param="aspect_ratio", code="invalid_value")
    scale = long_edge / max(int(wide), int(high))
    return f"{_in_steps(int(wide) * scale)}x{_in_steps(int(high) * scale)}"


def _in_steps(pixels: float) -> int:
    return max(16, round(pixels / 16) * 16)


def _square_unless_given(document: dict[str, Any]) -> str | None:
    """LocalAI makes 512x512 of every size without an x, silently."""
    size = document.get("size", "")
    return None if isinstance(size, str) and "x" in size else _SQUARE


SIZES: dict[str, Callable[[dict[str, Any]], str | None]] = {
    "size": lambda document: None,
    "edges": _from_edges,
    "ratio": _from_ratio,
    "square_unless_given": _square_unless_given,
}
"""Where the size comes from; None leaves it to the field `size`."""
