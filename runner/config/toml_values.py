"""Settings of the command line, read as TOML values."""

from __future__ import annotations

import math
import tomllib
from typing import Any

_PARAM = "request.param."


def read_setting(key: str, text: str) -> Any:
    """The value of `--set key=text`, or of an environment variable: read as TOML, and as text where it is not.

    Only body fields (`request.param.…`) can be of any type; elsewhere plain numbers and true/false stay text, which the
    key's own type then reads, so that `--set request.model=5` names model `5`.
    """
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = document.get("value")
    if len(document) > 1:
        return text
    if isinstance(value, (str, list, dict)):
        return value
    typed = isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))
    return value if typed and key.startswith(_PARAM) else text
