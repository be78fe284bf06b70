"""The fault server as a witness: its process, and its journal read as it grows."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.attacks.faults.journal import Event, History, prompt_hash


class Witness:
    """A fault server that lets in any key, and what it saw. Use as a context manager; may be shared by threads."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._read = 0
        self._events: dict[str, list[Event]] = defaultdict(list)
        self.base_url = ""

    def __enter__(self) -> Witness:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.attacks.faults.server", "--journal", str(self._journal)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self.base_url = self._process.stdout.readline().strip().removeprefix("base_url=")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)

    def history(self, prompts: Iterable[str]) -> History:
        """Everything seen so far that concerns these prompts."""
        with self._lock:
            self._refresh()
            found = [event for prompt in prompts for event in self._events[prompt_hash(prompt)]]
        return History(tuple(sorted(found, key=lambda event: event["seq"])))

    def _refresh(self) -> None:
        with self._journal.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        for line in whole.splitlines():
            event = json.loads(line)
            self._events[event.get("prompt_hash", "")].append(event)
