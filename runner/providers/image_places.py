"""Images in whatever place of a document: what is known by its bytes or by its name, wherever it stands.

The forms of services whose answers are read so: OpenAI's Responses (`image_generation_call.result`), chat completions
(`message.images`, links and data URLs in the text), Gemini (`inlineData`), Imagen (`bytesBase64Encoded`), Stability
(`artifacts[].base64`), Black Forest Labs (`result.sample`). What a request echoes (`input_image`) or only announces
(`preview`) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner.http.messages import Body
from runner.providers.event_streams import is_partial
from runner.providers.image_answers import ImageEntry, decode_text, entry_from, from_base64

_DEPTH = 10
_MOST_TEXT_CHARS = 100_000
"""Of a text that is searched for links. A data URL in it may be as long as it likes."""
_BASE64_NAMES = frozenset(
    {
        *("b64_json", "base64", "image_base64", "b64", "image_b64", "base64_image", "b64_image"),
        *("bytesBase64Encoded", "imageBytes", "image_bytes"),
    }
)
_URL_NAMES = frozenset(
    {
        *(
            "url",
            "image_url",
            "imageUrl",
            "image_urls",
            "imageUrls",
            "uri",
            "fileUri",
            "image_uri",
            "file_url",
        ),
        *(
            "image",
            "images",
            "output",
            "outputs",
            "output_url",
            "result",
            "results",
            "result_url",
            "result_urls",
        ),
        *(
            "result_image",
            "sample",
            "samples",
            "data",
            "urls",
            "artifacts",
            "predictions",
            "generated_images",
        ),
    }
)
_TEXT_NAMES = frozenset({"content", "text", "output_text"})
_ECHOES = re.compile(
    r"(?:\w*prompt|input|init|source_|src|reference|ref_|mask|negative|request|param|argument|preview|thumb|partial|"
    r"placeholder|blur|avatar|logo|icon|callback|webhook|links|metadata|usage|user|config|poll|status|error|doc|help)",
    re.IGNORECASE,
)
_MAGIC = re.compile(
    r"iVBORw0KGgo|/9j/|R0lGOD|UklGR|AAAA[A-Za-z0-9+/]{2}Z0eX|SUkqA|TU0AK|Qk[0-9A-Z]|PHN2Zy|PD94bWwg"
)
"""The first bytes of PNG, JPEG, GIF, WebP, AVIF and HEIC, TIFF, BMP and SVG in base64."""
_LEAST_BASE64_CHARS = 60
_BASE64_START = re.compile(r"[A-Za-z0-9+/\s]{60}")
_PICTURE = re.compile(r"!\[[^\]\n]{0,500}\]\(\s*<?(https?://[^\s)>\"]{1,4000})", re.IGNORECASE)
_LINK = re.compile(
    r"https?://[^\s)>\"'<\]]{1,4000}?\.(?:png|jpe?g|webp|gif|avif)(?:\?[^\s)>\"'<\]]{0,4000})?", re.I
)
_DATA_START = re.compile(r"data:(?:image/|application/octet-stream|;)", re.IGNORECASE)
_DATA_URL = re.compile(
    r"data:image/[\w.+-]{1,40}(?:;[\w.+=-]{1,40}){0,4};base64,[A-Za-z0-9+/=_-]{1,}", re.IGNORECASE
)


def images(document: Any, body: Body) -> list[ImageEntry]:
    """Every image of the document, those in hand alone where there are any; what stands in two places counts once."""
    first: dict[Any, int] = {}
    found = []
    for container, item in _walk(document, "", body, _DEPTH, 0):
        if item.is_usable and first.setdefault(item.url or item.data, container) == container:
            found.append(item)
    inline = [item for item in found if item.data is not None]
    return inline or found


def in_hand(document: Any, body: Body) -> list[ImageEntry]:
    """The images whose bytes are in the document."""
    return [item for item in images(document, body) if item.data is not None]


def _walk(value: Any, name: str, body: Body, depth: int, container: int) -> Iterator[tuple[int, ImageEntry]]:
    """Images with the list in which they stand: two alike in one list are two."""
    if depth == 0:
        return
    if isinstance(value, str):
        yield from ((container, item) for item in _in_text(value, name, body))
    elif isinstance(value, list):
        for entry in value:
            yield from _walk(entry, name, body, depth - 1, id(value))
    elif isinstance(value, Mapping) and not is_partial(value) and value.get("type") != "input_image":
        inline = _inline_images(value, body)
        if inline:
            yield from ((container, item) for item in inline)
            return
        for key, inner in value.items():
            if isinstance(key, str) and not _ECHOES.match(key):
                yield from _walk(inner, key, body, depth - 1, container)


def _inline_images(value: Mapping[Any, Any], body: Body) -> list[ImageEntry]:
    """The images whose bytes stand in an object itself. Its URLs lead to the same."""
    mime = next((value[key] for key in ("mimeType", "mime_type", "media_type") if key in value), None)
    data = value.get("data")
    if isinstance(mime, str) and mime.startswith("image/") and isinstance(data, str) and data:
        return [entry_from(decode_text(data))]
    found = (
        from_base64(value[key], body) for key in _BASE64_NAMES & value.keys() if isinstance(value[key], str)
    )
    return [item for item in found if item.data is not None]


def _in_text(text: str, name: str, body: Body) -> Iterator[ImageEntry]:
    if name in _BASE64_NAMES and text:
        yield from_base64(text, body)
    elif _DATA_START.match(text) or (
        len(text) >= _LEAST_BASE64_CHARS and _MAGIC.match(text) and _BASE64_START.match(text)
    ):
        yield entry_from(decode_text(text))
    elif name in _URL_NAMES and text[:8].lower().startswith(("http://", "https://")):
        yield ImageEntry(url=text.strip())
    elif name in _TEXT_NAMES:
        yield from _linked_images(text)


def _linked_images(text: str) -> Iterator[ImageEntry]:
    """Images in a text: data URLs, else pictures of Markdown, else links to files of images."""
    found = [
        ImageEntry() if not (data := decode_text(match[0])) else entry_from(data)
        for match in _DATA_URL.finditer(text)
    ]
    if any(item.data is not None for item in found):
        yield from found
        return
    text = text[:_MOST_TEXT_CHARS]
    pictures = [match[1] for match in _PICTURE.finditer(text)]
    yield from (ImageEntry(url=url) for url in pictures or [match[0] for match in _LINK.finditer(text)])


def words_instead(document: Any) -> str:
    """What a language model texts in place of an image; "" where it texts nothing."""
    texts = [text.strip() for text in _texts(document, "", _DEPTH) if text.strip()]
    return " ".join(" ".join(texts).split())[:1000]


def _texts(value: Any, name: str, depth: int) -> Iterator[str]:
    if depth == 0:
        return
    if isinstance(value, str):
        if name in ("content", "text", "refusal", "output_text"):
            yield value[:4000]
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry, name, depth - 1)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, str) and not _ECHOES.match(key):
                yield from _texts(inner, key, depth - 1)
