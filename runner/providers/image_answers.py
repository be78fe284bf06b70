"""Reading an Images answer, as generously as its many speakers require (see "Other speakers" in the README)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runner.http.image_body import decode_loosely
from runner.http.messages import LIFTED, Body, Pieces
from schemas.outcome import Reported

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-oneapi-request-id", "apim-request-id", "x-trace-id")
_MAX_TEXT_CHARS = 100_000


class Item(NamedTuple):
    """One entry of `data`: image bytes, or a URL to fetch, or the problem with it."""

    data: Pieces | None = None
    url: str | None = None
    problem: str | None = None
    revised_prompt: str | None = None


def items(document: Any, body: Body) -> list[Item] | None:
    """The images of an answer; None when it holds no list of them, an empty list when the list is empty."""
    data = document.get("data") if isinstance(document, Mapping) else None
    if isinstance(data, Mapping):
        data = data.get("images", data.get("data"))
    if not isinstance(data, list):
        return None
    return [item_of(entry, body) for entry in data]


def item_of(entry: Any, body: Body) -> Item:
    """One entry of a list of images: an object with `b64_json` or `url`, or a URL alone."""
    if isinstance(entry, str):
        entry = {"url": entry}
    if not isinstance(entry, Mapping):
        return Item(problem="an entry of data is neither an object nor a URL")
    revised = entry.get("revised_prompt")
    revised = revised[:_MAX_TEXT_CHARS] if isinstance(revised, str) and revised else None
    encoded = entry.get("b64_json")
    if isinstance(encoded, str) and encoded:
        return _from_base64(encoded, body, revised)
    url = entry.get("url")
    if isinstance(url, Sequence) and not isinstance(url, str):
        url = next((each for each in url if isinstance(each, str) and each), None)
    if isinstance(url, str) and url.startswith("data:"):
        return _decoded(_loosely(url), revised)
    if isinstance(url, str) and url.strip():
        return Item(url=url.strip(), revised_prompt=revised)
    return Item(problem="an entry of data holds neither b64_json nor url", revised_prompt=revised)


def _from_base64(encoded: str, body: Body, revised: str | None) -> Item:
    number = encoded.removeprefix(LIFTED)
    if number == encoded or not number.isdigit() or int(number) >= len(body.images):
        return _decoded(_loosely(encoded), revised)
    return _decoded(body.images[int(number)].pieces, revised)


def _loosely(text: str) -> Pieces | None:
    data = decode_loosely(text.encode("ascii", "replace"))
    return None if data is None else (data,)


def _decoded(data: Pieces | None, revised: str | None) -> Item:
    if not data or not any(data):
        problem = "b64_json is not base64" if data is None else "b64_json is empty"
        return Item(problem=problem, revised_prompt=revised)
    return Item(data=data, revised_prompt=revised)


def reported(document: Any, headers: Mapping[str, str]) -> Reported:
    """What the service tells about an answer besides its images. Absent, null or nonsensical fields are None."""
    request_id = next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), None)
    if not isinstance(document, Mapping):
        return Reported(request_id=request_id)
    usage = document.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    return Reported(
        created=_whole(document.get("created"), 253_402_300_799),
        request_id=request_id,
        input_tokens=_whole(usage.get("input_tokens"), 10**12),
        output_tokens=_whole(usage.get("output_tokens"), 10**12),
        cost_usd=_cost(usage.get("cost", document.get("cost"))),
    )


def _whole(value: Any, maximum: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= maximum else None


def _cost(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e6 else None
