"""Reading the documents of dialects in tests."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

from PIL import Image

from tests.support.simulator import Simulator


def at(document: Any, path: str) -> Any:
    """What stands at a dotted path; with a `*`, the list of what stands at each item."""
    head, _, rest = path.partition(".")
    if not head:
        return document
    if head == "*":
        return [at(item, rest) for item in document]
    return at(document[int(head)] if isinstance(document, list) else document[head], rest)


def place_of(text: str, document: Any) -> str:
    """The dotted path at which a text stands, for `at`, the innermost where it stands twice; "" for nowhere."""
    if isinstance(document, dict):
        found = [f"{key}.{place_of(text, part)}" for key, part in document.items() if _holds(part, text)]
        return max(found, key=lambda path: path.count("."), default="").rstrip(".")
    if isinstance(document, list) and _holds(document, text):
        repeated = "*" if text in ("$url", "$b64_json") else "0"
        return f"{repeated}.{place_of(text, document[0])}".rstrip(".")
    return ""


def _holds(document: Any, text: str) -> bool:
    if isinstance(document, dict | list):
        parts = document.values() if isinstance(document, dict) else document
        return any(_holds(part, text) for part in parts)
    return bool(document == text)


def picture(simulator: Simulator, text: str) -> Image.Image:
    """The image behind a URL, absolute or relative, or in base64 with or without a `data:` prefix."""
    if text.startswith(("http://127.0.0.1:", "/p/img/")):
        reply = simulator.ask("GET", text)
        assert reply.status == 200
        return Image.open(BytesIO(reply.body))
    return Image.open(BytesIO(base64.b64decode(text.rpartition(",")[2], validate=True)))


def meet(faulty: Simulator, kind: str, **fields: Any) -> Any:
    """The answer to a request that meets this kind of fault."""
    return faulty.order(prompt=f"kind {kind};", **fields)


def image_of(reply: Any) -> bytes:
    """The first image of an answer in base64."""
    return base64.b64decode(reply.json()["data"][0]["b64_json"], validate=True)


def fetch(simulator: Simulator, url: str) -> Any:
    root = simulator.base_url.removesuffix("/v1")
    assert url.startswith(f"{root}/files/")
    return simulator.ask("GET", url.removeprefix(root))
