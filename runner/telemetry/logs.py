"""Logging to stderr, through the standard library: so every library's lines pass the same redaction."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TextIO

from runner.process.redaction import REDACTOR

if TYPE_CHECKING:
    from runner.telemetry.log_format import LogFormat

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


class _Lines(logging.Formatter):
    """Formats as `runner.telemetry.log_format` does.

    That is imported for the first line: structlog takes a tenth of a second, and most runs have nothing to log.
    """

    def __init__(self, log_format: LogFormat) -> None:
        super().__init__()
        self._log_format = log_format
        self._made: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """One line, redacted; the bare message where nothing can be imported, as with no descriptors left."""
        if self._made is None:
            try:
                from runner.telemetry.log_format import formatter
            except (ImportError, OSError):
                return REDACTOR.text(f"{record.levelname.lower()}: {record.getMessage()}")
            self._made = formatter(self._log_format)
        return self._made.format(record)


def configure_logging(*, verbosity: int = 0, log_format: LogFormat = "console") -> None:
    """Send all logging to stderr, redacted. Calling it again replaces the earlier configuration.

    verbosity: -1 errors only; 0 our own progress and anybody's warnings; 1 our debug lines; 2 or more everybody's.
    log_format: lines for people, or one JSON object a line.
    """
    handler = _StderrHandler()
    handler.setFormatter(_Lines(log_format))
    ours, others = _LEVELS[max(-1, min(verbosity, 2))]
    logging.basicConfig(handlers=[handler], level=others, force=True)
    logging.captureWarnings(True)
    for name in _OURS:
        logging.getLogger(name).setLevel(ours)
