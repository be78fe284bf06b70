"""Request fields under the names and in the forms that a service has for them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_SIZE = re.compile(r"(\d+)x(\d+)")
WIDTH_AND_HEIGHT = "width+height"
ASPECT_RATIO = "aspect_ratio"
_BASE64 = "base64"


def renamed(body: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The body with fields renamed. names: our field -> theirs.

    `width+height` splits a size; `aspect_ratio` reduces it (`1536x1024` is `3:2`); `FIELD:base64` is a field whose value
    `b64_json` is called `base64` there. A size that is no WIDTHxHEIGHT (`auto`) is left out under `width+height`.
    """
    other: dict[str, Any] = {}
    for name, value in body.items():
        target = names.get(name)
        if target is None:
            other[name] = value
        elif target == WIDTH_AND_HEIGHT:
            size = _SIZE.fullmatch(str(value))
            if size is not None:
                other |= {"width": int(size[1]), "height": int(size[2])}
        elif target == ASPECT_RATIO:
            other[target] = _ratio(str(value))
        elif target.endswith(f":{_BASE64}"):
            other[target.removesuffix(f":{_BASE64}")] = _BASE64 if value == "b64_json" else value
        else:
            other[target] = value
    return other


def _ratio(size: str) -> str:
    found = _SIZE.fullmatch(size)
    if found is None:
        return size
    width, height = int(found[1]), int(found[2])
    common = math.gcd(width, height) or 1
    return f"{width // common}:{height // common}"
