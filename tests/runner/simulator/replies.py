"""Reading the documents of dialects in tests."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

from PIL import Image


def at(document: Any, path: str) -> Any:
    """What stands at a dotted path; with a `*`, the list of what stands at each item."""
    head, _, rest = path.partition(".")
    if not head:
        return document
    if head == "*":
        return [at(item, rest) for item in document]
    return at(document[int(head)] if isinstance(document, list) else document[head], rest)


def picture(simulator: Any, text: str) -> Image.Image:
    """The image behind a URL, absolute or relative, or in base64 with or without a `data:` prefix."""
    if text.startswith(("http://127.0.0.1:", "/p/img/")):
        reply = simulator.ask("GET", text)
        assert reply.status == 200
        return Image.open(BytesIO(reply.body))
    return Image.open(BytesIO(base64.b64decode(text.rpartition(",")[2], validate=True)))
