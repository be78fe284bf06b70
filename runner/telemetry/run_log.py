"""OUT/logs: one file a run, a JSON object a line: its start, each row that failed, changes of pace, its end.

A thread of its own writes it, each line in one `write`, so that a kill leaves whole lines. A disk that refuses ends the
log and nothing else.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from runner.process.redaction import REDACTOR
from schemas.run_events import PaceChanged, RowFailed, RunEvent

_LOG = logging.getLogger(__name__)
MOST_LINES = 1_000
"""Lines of each kind of failure, and of changes of pace: a bad night has a million, and the ledger has them all."""
PATIENCE_S = 0.5
"""How long the end of a run waits for what is left to write: a disk may hang."""

Clock = Callable[[], float]


class RunLog:
    """The log of one run. open_file: opens it for writing, when there is something to write; may raise OSError.

    wall_s: Unix seconds. Every method returns at once, but for `close`, and none raises.
    """

    def __init__(self, open_file: Callable[[], int], wall_s: Clock) -> None:
        self._open_file = open_file
        self._wall_s = wall_s
        self._seen: Counter[str] = Counter()
        self._lines: deque[bytes | None] = deque()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="run-log", daemon=True)

    def start(self, facts: Mapping[str, Any]) -> None:
        """The run begins. facts: service, versions, settings; without secrets."""
        self._put("start", facts)
        try:
            self._thread.start()
        except RuntimeError as error:  # this machine has no thread left
            _LOG.warning("the run goes on without its log in logs/: %s", error)

    def note(self, event: RunEvent) -> None:
        """Something has happened. Rows that failed are shown by `-v` too."""
        match event:
            case RowFailed():
                _show(event)
                self._put_some(event.kind.value, "failure", _failure(event))
            case PaceChanged():
                self._put_some("pace", "pace", asdict(event))

    def end(self, facts: Mapping[str, Any]) -> None:
        """The run has ended. facts: exit code, reason, figures."""
        failures = {kind: count for kind, count in self._seen.items() if kind != "pace"}
        left_out = {kind: count - MOST_LINES for kind, count in self._seen.items() if count > MOST_LINES}
        self._put("end", {**facts, "failures": failures, "left_out": left_out})

    def close(self) -> None:
        """Wait for a moment until everything is written."""
        self._append(None)
        if self._thread.ident is not None:
            self._thread.join(PATIENCE_S)

    def _put_some(self, kind: str, name: str, facts: Mapping[str, Any]) -> None:
        self._seen[kind] += 1
        if self._seen[kind] <= MOST_LINES:
            self._put(name, facts)
        elif self._seen[kind] == MOST_LINES + 1:
            text = f"more than {MOST_LINES:,} of these: the others are in the ledger only"
            self._put("left_out", {"kind": kind, "message": text})

    def _put(self, name: str, facts: Mapping[str, Any]) -> None:
        moment = datetime.fromtimestamp(self._wall_s(), UTC).isoformat(timespec="milliseconds")
        document = {"time": moment, "event": name, **_hidden(facts)}
        self._append(
            json.dumps(document, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace") + b"\n"
        )

    def _append(self, line: bytes | None) -> None:
        with self._changed:
            self._lines.append(line)
            self._changed.notify()

    def _work(self) -> None:
        try:
            descriptor = self._open_file()
        except OSError as error:
            _refused(error)
            return
        try:
            self._write(descriptor)
        except OSError as error:
            _refused(error)
        finally:
            os.close(descriptor)

    def _write(self, descriptor: int) -> None:
        whole = 0
        while (line := self._next()) is not None:
            try:
                complete = os.write(descriptor, line) == len(line)
            except OSError:
                os.ftruncate(descriptor, whole)
                raise
            if not complete:  # the disk is full
                os.ftruncate(descriptor, whole)
                raise OSError("a line did not fit")
            whole += len(line)

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._lines)
            return self._lines.popleft()


def _show(event: RowFailed) -> None:
    if _LOG.isEnabledFor(logging.DEBUG):
        http = "" if event.http_status is None else f"HTTP {event.http_status}: "
        _LOG.debug("row %s %s: %s: %s%s", event.row_id, event.status, event.kind, http, event.message)


def _failure(event: RowFailed) -> dict[str, Any]:
    facts = asdict(event)
    return {**facts, "row": None if event.row < 0 else event.row, "kind": event.kind.value}


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return REDACTOR.text(value)
    if isinstance(value, Mapping):
        return {str(key): _hidden(item) for key, item in value.items()}
    return [_hidden(item) for item in value] if isinstance(value, (list, tuple)) else value


def _refused(error: OSError) -> None:
    _LOG.warning("the run goes on without its log in logs/: %s", error.strerror or error)
