"""Values that a job writes as text: durations, moments, lists of one."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_UNIT = r"(ms|s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?)?|d(?:ays?)?)"
DURATION_PATTERN = rf"^\s*\d+(\.\d+)?\s*({_UNIT}(\s*\d+(\.\d+)?\s*{_UNIT})*)?\s*$"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds of each unit, by its first letter but for milliseconds."""
_DURATION = re.compile(rf"(\d+(?:\.\d+)?)\s*{_UNIT}(?![a-z])")


def parse_duration(value: Any) -> Any:
    """Seconds from a number or from text such as `90`, `90s`, `10m`, `2 minutes`, `1h30m`; other values pass through."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    try:
        return float(text)
    except ValueError:
        pass
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text).strip():
        raise ValueError("not a duration; write 90s, 10m or 6h")
    return sum(float(number) * _UNITS[unit if unit == "ms" else unit[0]] for number, unit in parts)


_Text = Annotated[str, Field(pattern=DURATION_PATTERN)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_SomeSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Duration = Annotated[_Seconds, BeforeValidator(parse_duration, json_schema_input_type=_Seconds | _Text)]
PositiveDuration = Annotated[
    _SomeSeconds, BeforeValidator(parse_duration, json_schema_input_type=_SomeSeconds | _Text)
]


def parse_moment(value: Any) -> Any:
    """Text from a date, a time or both as TOML writes them without quotes; other values pass through."""
    return value.isoformat() if isinstance(value, (date, datetime, time)) else value


def parse_list(value: Any) -> Any:
    """A list of one from a text; other values pass through."""
    return [value] if isinstance(value, str) else value


Moment = Annotated[str, BeforeValidator(parse_moment)]
