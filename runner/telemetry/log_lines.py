"""A stream whose lines are log lines: with `--log-format json` what a run says is JSON like everything else on stderr."""

from __future__ import annotations

import io
import logging

_LOG = logging.getLogger(__name__)


class LogLines(io.TextIOBase):
    """Logs each whole line that is written to it, as `info`; what comes before its end is kept until then."""

    def __init__(self) -> None:
        self._rest = ""

    def write(self, text: str) -> int:
        """Take text; blank lines are left out."""
        *lines, self._rest = f"{self._rest}{text}".split("\n")
        for line in filter(str.strip, lines):
            _LOG.info("%s", line)
        return len(text)
