"""Entries of an answer that stand for images: bytes, a URL to fetch, or why there is neither; and what it tells besides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jobs.error_documents import read_error
from jobs.error_words import declines, is_content
from runner.http.image_body import decode_loosely
from runner.http.messages import LIFTED, Body
from schemas.outcome import Reported
from schemas.received import Pieces

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-oneapi-request-id", "apim-request-id", "x-trace-id")
_MAX_TEXT_CHARS = 100_000
_NUMBER = re.compile(r"[0-9]{1,9}")
_UNSAFE = ("respect_moderation", "is_image_safe")
"""Fields that are false where the image was made and is withheld (xAI, Ideogram)."""
_INSTEAD = ("text", "refusal", "content", "message")
TICKS = 1e10
"""Of a US dollar: `usage.cost_in_usd_ticks` (docs.x.ai, cost tracking)."""


class ImageEntry(NamedTuple):
    """One entry of an answer: image bytes, or a URL to fetch, or the problem with it.

    refused: the problem is that the service's content filter withholds the image. code: the service's own, of a problem.
    """

    data: Pieces | None = None
    url: str | None = None
    problem: str | None = None
    revised_prompt: str | None = None
    refused: bool = False
    code: str | None = None

    @property
    def is_usable(self) -> bool:
        """Whether there is an image, in hand or behind a URL."""
        return self.data is not None or self.url is not None


def image_entries(document: Any, body: Body) -> list[ImageEntry] | None:
    """The images of an answer; None when it holds no list of them, an empty list when the list is empty."""
    data = document.get("data") if isinstance(document, Mapping) else None
    if isinstance(data, Mapping):
        data = data.get("images", data.get("data"))
    if not isinstance(data, list):
        return None
    return [image_entry(entry, body) for entry in data]


def image_entry(entry: Any, body: Body) -> ImageEntry:
    """One entry of a list of images: an object with `b64_json` or `url`, or a URL alone."""
    if isinstance(entry, str):
        entry = {"url": entry}
    if not isinstance(entry, Mapping):
        return ImageEntry(problem="an entry of data is neither an object nor a URL")
    revised = entry.get("revised_prompt")
    revised = revised[:_MAX_TEXT_CHARS] if isinstance(revised, str) and revised else None
    encoded, url = entry.get("b64_json"), _url_of(entry.get("url"))
    if isinstance(encoded, str) and encoded:
        found = from_base64(encoded, body)._replace(revised_prompt=revised)
        if found.is_usable or url is None:
            return found if found.is_usable else _withheld(entry, found)
    if url is not None and url.startswith("data:"):
        return entry_from(decode_text(url))._replace(revised_prompt=revised)
    if url is not None:
        return ImageEntry(url=url, revised_prompt=revised)
    problem = "b64_json is empty" if encoded == "" else "an entry of data holds neither b64_json nor url"
    return _withheld(entry, ImageEntry(problem=problem, revised_prompt=revised))


def _url_of(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("url")
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = next((each for each in value if isinstance(each, str) and each), None)
    return value.strip() if isinstance(value, str) and value.strip() else None


def _withheld(entry: Mapping[str, Any], without: ImageEntry) -> ImageEntry:
    """An entry without an image, with the reason that the service tells in its place."""
    if any(entry.get(name) is False for name in _UNSAFE):
        return without._replace(problem="the service's moderation withholds this image", refused=True)
    error = read_error(entry, "")
    if error.own_json:
        refused = is_content(error.words, error.code, error.message)
        return without._replace(problem=error.message[:1000], refused=refused, code=error.code)
    words = next((text for name in _INSTEAD if isinstance(text := entry.get(name), str) and text), None)
    if words is None:
        return without
    return without._replace(
        problem=f"words instead of an image: {words[:1000]}", refused=declines(words[:4000])
    )


def from_base64(encoded: str, body: Body) -> ImageEntry:
    """The image of a `b64_json`, which was taken out of the document while it arrived."""
    number = encoded.removeprefix(LIFTED)
    if number == encoded or not _NUMBER.fullmatch(number) or int(number) >= len(body.images):
        return entry_from(decode_text(encoded))
    lifted = body.images[int(number)]
    if (
        lifted.pieces is None
        and lifted.text is not None
        and lifted.text[:8].lower().startswith((b"http://", b"https://"))
    ):
        return ImageEntry(url=lifted.text.decode("utf-8", "replace").strip())
    return entry_from(lifted.pieces)


def decode_text(text: str) -> Pieces | None:
    """The bytes of base64 with all that it may have around it; None where it is none."""
    data = decode_loosely(text.encode("ascii", "replace"))
    return None if data is None else (data,)


def entry_from(data: Pieces | None) -> ImageEntry:
    """The entry of decoded base64."""
    if not data or not any(data):
        return ImageEntry(problem="b64_json is not base64" if data is None else "b64_json is empty")
    return ImageEntry(data=data)


def reported(document: Any, headers: Mapping[str, str]) -> Reported:
    """What an answer reports besides its images. Absent, null or nonsensical fields are None."""
    request_id = next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), None)
    if not isinstance(document, Mapping):
        return Reported(request_id=request_id)
    usage = document.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    return Reported(
        created=_whole(document.get("created"), 253_402_300_799),
        request_id=request_id,
        input_tokens=_whole(usage.get("input_tokens", usage.get("prompt_tokens")), 10**12),
        output_tokens=_whole(usage.get("output_tokens", usage.get("completion_tokens")), 10**12),
        cost_usd=_cost(usage, document),
    )


def _whole(value: Any, maximum: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= maximum else None


def _cost(usage: Mapping[str, Any], document: Mapping[str, Any]) -> float | None:
    ticks = _amount(usage.get("cost_in_usd_ticks"), 1e6 * TICKS)
    return ticks / TICKS if ticks is not None else _amount(usage.get("cost", document.get("cost")), 1e6)


def _amount(value: Any, limit: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < limit else None
