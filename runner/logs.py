"""Logging to stderr: structlog over the standard library, so that every library's lines pass the same redaction."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from runner.redaction import REDACTOR

LogFormat = Literal["console", "json"]

_OURS = ("runner", "jobs", "schemas")
_LEVELS: dict[int, tuple[int, int]] = {
    -1: (logging.ERROR, logging.ERROR),
    0: (logging.INFO, logging.WARNING),
    1: (logging.DEBUG, logging.WARNING),
    2: (logging.DEBUG, logging.DEBUG),
}
"""-q is -1, each -v adds one: level of our loggers, level of everybody else's."""


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever `sys.stderr` is at that moment: a progress bar replaces it while it is shown."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


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


def configure_logging(*, verbosity: int = 0, log_format: LogFormat = "console") -> None:
    """Send all logging to stderr, redacted. Calling it again replaces the earlier configuration.

    verbosity: -1 errors only; 0 our own progress and anybody's warnings; 1 our debug lines; 2 or more everybody's.
    log_format: lines for people, or one JSON object a line.
    """
    shared = _shared(log_format)
    formatter = structlog.stdlib.ProcessorFormatter
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, formatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    last: list[Processor] = [formatter.remove_processors_meta, redaction, _renderer(log_format)]
    handler = _StderrHandler()
    handler.setFormatter(formatter(foreign_pre_chain=shared, processors=last))
    ours, others = _LEVELS[max(-1, min(verbosity, 2))]
    logging.basicConfig(handlers=[handler], level=others, force=True)
    logging.captureWarnings(True)
    for name in _OURS:
        logging.getLogger(name).setLevel(ours)


def _shared(log_format: LogFormat) -> list[Processor]:
    """What our lines and those of libraries pass alike, before the redaction."""
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
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"),
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=0,
    )
