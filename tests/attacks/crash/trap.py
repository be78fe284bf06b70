"""In the child: notices the moments of a run, and kills the process with SIGKILL at chosen ones.

Nothing of the product is replaced. It names its own moments (`runner.process.crash_points`). Python tells the rest:
`sys.setprofile` every call and return of C functions; `sys.audit` the names of files that are opened; SQLite itself every
statement it is given. Files are told apart by the name they will have, statements by the table they write.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import sys
import threading
from collections import Counter
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Any

from runner.process import crash_points

_TEMPORARY = re.compile(r"(.+)\.[0-9a-f]{12}$")
_INSERT = re.compile(r"\s*INSERT (?:OR \w+ )?INTO (\w+)")
_FILES = {"job.toml": "job file", "results.parquet": "table", "summary.json": "summary"}
_TRANSACTIONS = {"attempts": "intent", "outcomes": "outcome", "meta": "layout", "tables": "table digest"}
_ALONE = {"runs": "run start", "outcomes": "settlement", "run_ends": "run end"}


class _Place(threading.local):
    """What one thread is doing. file: kind of file being saved; renamed: it has its final name.

    committing: kinds of records; connection: of SQLite, not quite open yet.
    """

    file: str | None = None
    opening: bool = False
    renamed: bool = False
    committing: tuple[str, ...] = ()
    connection: sqlite3.Connection | None = None


class Trap:
    """Counts moments. traps: label -> the occurrence at which the process dies. record: file for what was passed."""

    def __init__(self, traps: dict[str, int], record: Path) -> None:
        self._passed: Counter[str] = Counter()
        self._traps = traps
        self._record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._place = _Place()

    def set(self) -> None:
        """Begin to watch this process: this thread and those to come."""
        crash_points.listen(self._happened)
        sys.addaudithook(self._audit)
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def tell(self, last: str) -> None:
        """Write the last moment, and how often each was passed."""
        os.write(self._record, json.dumps([last, self._passed]).encode())

    def _happened(self, label: str) -> None:
        self._passed[label] += 1
        if self._traps.get(label) == self._passed[label]:
            self.tell(label)
            os.kill(os.getpid(), signal.SIGKILL)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            found = _TEMPORARY.match(PurePosixPath(arguments[0]).name)
            if found:
                self._place.file = _kind(found[1])
                self._place.opening, self._place.renamed = True, False
        elif event == "sqlite3.connect/handle":
            self._place.connection = arguments[0]

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in ("c_call", "c_return"):
            step = _C_STEPS.get(argument.__name__)
            if step is not None:
                step(self, frame, event == "c_call", argument)

    def _open(self, _frame: FrameType, before: bool, _function: Any) -> None:
        if not before and self._place.opening:
            self._place.opening = False
            self._happened(f"{self._place.file}: created")

    def _write(self, _frame: FrameType, before: bool, function: Any) -> None:
        if not before and self._place.file and function.__self__ is sys.modules["posix"]:
            self._happened(f"{self._place.file}: written")

    def _fsync(self, _frame: FrameType, before: bool, _function: Any) -> None:
        if self._place.file:
            what = "folder sync" if self._place.renamed else "sync"
            self._happened(f"{self._place.file}: {_when(before)} {what}")

    def _rename(self, _frame: FrameType, before: bool, _function: Any) -> None:
        if self._place.file:
            self._place.renamed = not before
            self._happened(f"{self._place.file}: {_when(before)} rename")

    def _mkdir(self, _frame: FrameType, before: bool, _function: Any) -> None:
        self._place.file, self._place.renamed = "folder", True
        self._happened(f"folder: {_when(before)} making")

    def _flock(self, _frame: FrameType, before: bool, _function: Any) -> None:
        self._happened(f"lock: {_when(before)}")

    def _execute(self, _frame: FrameType, before: bool, _function: Any) -> None:
        if not before and self._place.committing:
            kinds, self._place.committing = self._place.committing, ()
            for kind in kinds:
                self._happened(f"{kind}: after commit")

    def _close(self, _frame: FrameType, before: bool, function: Any) -> None:
        if isinstance(function.__self__, sqlite3.Connection):
            self._happened(f"ledger: {_when(before)} close")

    def _connect(self, frame: FrameType, before: bool, _function: Any) -> None:
        if not before and self._place.connection is not None:
            opened, self._place.connection = self._place.connection, None
            opened.set_trace_callback(_Statements(self._happened, self._place).given)
        elif frame.f_code.co_filename.endswith("selector_events.py"):
            self._happened(f"connection: {_when(before)}")

    def _send(self, frame: FrameType, before: bool, _function: Any) -> None:
        if frame.f_code.co_qualname.startswith("_SelectorSocketTransport."):
            self._happened(f"request: {_when(before)} send")

    def _recv(self, frame: FrameType, before: bool, _function: Any) -> None:
        if not before and frame.f_code.co_qualname.startswith("_SelectorSocketTransport."):
            self._happened("answer: bytes read")


_C_STEPS = {
    "open": Trap._open,
    "write": Trap._write,
    "fsync": Trap._fsync,
    "rename": Trap._rename,
    "mkdir": Trap._mkdir,
    "flock": Trap._flock,
    "execute": Trap._execute,
    "close": Trap._close,
    "connect": Trap._connect,
    "send": Trap._send,
    "sendmsg": Trap._send,
    "recv": Trap._recv,
    "recv_into": Trap._recv,
}


class _Statements:
    """The statements of one ledger connection, told by SQLite before each is carried out."""

    def __init__(self, happened: Any, place: _Place) -> None:
        self._happened = happened
        self._place = place
        self._tables: list[str] | None = None

    def given(self, sql: str) -> None:
        """Called by SQLite."""
        if sql.startswith("BEGIN"):
            self._tables = []
        elif sql.startswith("COMMIT"):
            kinds = {_TRANSACTIONS[name] for name in self._tables or () if name in _TRANSACTIONS}
            self._tables = None
            self._begin_commit(*kinds)
        elif (found := _INSERT.match(sql)) and self._tables is not None:
            self._tables.append(found[1])
            if found[1] in _TRANSACTIONS:
                self._happened(f"{_TRANSACTIONS[found[1]]}: in its transaction")
        elif found and found[1] in _ALONE:
            self._begin_commit(_ALONE[found[1]])

    def _begin_commit(self, *kinds: str) -> None:
        for kind in kinds:
            self._happened(f"{kind}: before commit")
        self._place.committing = kinds


def _kind(name: str) -> str:
    return _FILES.get(name) or ("paid body" if name.endswith(".body") else "image")


def _when(before: bool) -> str:
    return "before" if before else "after"
