"""What a log line looks like: structlog's processors, the last but one of which is the redaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from runner.process.redaction import REDACTOR

LogFormat = Literal["console", "json"]

_LEVELS = {"info": "note", "critical": "error"}


def formatter(log_format: LogFormat) -> logging.Formatter:
    """For lines for people (`console`), or one JSON object a line (`json`)."""
    made = structlog.stdlib.ProcessorFormatter
    last: list[Processor] = [made.remove_processors_meta, redaction, _renderer(log_format)]
    return made(foreign_pre_chain=_before(log_format), processors=last)


def _redacted(value: Any, *, lines: bool = False) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {REDACTOR.text(str(key)): _redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_redacted(item) for item in value]
    return REDACTOR.text(str(value), lines=lines)


def redaction(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """structlog processor: no secret, no signed URL and no control character leaves in any value of a line."""
    return {key: _redacted(value, lines=key in ("exception", "stack")) for key, value in event.items()}


def _before(log_format: LogFormat) -> list[Processor]:
    """What every line passes before the redaction."""
    utc = log_format == "json"
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso" if utc else "%H:%M:%S", utc=utc),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _renderer(log_format: LogFormat) -> Processor:
    return structlog.processors.JSONRenderer() if log_format == "json" else _for_people


def _for_people(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """`warning: …`, `note: …` as everything else on stderr; debug lines, which are looked at for their times, have these."""
    level, moment = event.pop("level", "info"), event.pop("timestamp", "")
    event.pop("logger", None)
    lines = [str(event.pop(name)) for name in ("stack", "exception") if event.get(name)]
    text = " ".join([str(event.pop("event", "")), *(f"{name}={value}" for name, value in event.items())])
    begin = f"{moment} " if level == "debug" else f"{_LEVELS.get(level, level)}: "
    return "\n".join([begin + text, *lines])
