"""The server's journal: what it was asked, what it charged, what it handed over. One JSON object a line.

Every line is on its way to disk (one `os.write` with O_APPEND) before the bytes it speaks of leave the server, so
what the client can know is always a subset of the journal. Times are seconds of the server's monotonic clock.

event             fields besides `event`, `seq`, `time`
`connected`       listener (a connection to a listener that is not the endpoint, or one broken on accept)
`request`         listener, path, prompt, prompt_hash, idempotency_key, authorization (sha256 or null), key_ok, cookie
`charged`         exchange (seq of the request), prompt_hash, images: money
`refused`         exchange, prompt_hash, status: an answer that is not 2xx
`flushed`         exchange, prompt_hash, status, body_sha256 (of the body and of what it holds): the whole answer was
                  handed to the kernel and the client was there
`part`            exchange, prompt_hash, body_sha256 (of the start of a body that breaks, as it may be kept)
`closed_by_client` exchange, prompt_hash, sent: bytes handed over before it went
`get`             listener, path, prompt_hash and data_sha256 of the image, credentials (names of headers that carried any)
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ENDPOINT = "endpoint"
"""Listener name of the endpoint's own origin; every other listener is foreign."""

CREDENTIAL_HEADERS = ("authorization", "cookie", "x-api-key", "api-key", "proxy-authorization")

Event = dict[str, Any]


def prompt_hash(prompt: str) -> str:
    """16 hex digits that stand for a prompt."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Journal:
    """The writing end. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self._seq = 0

    def write(self, event: str, **fields: Any) -> int:
        """Append one line and return its `seq`."""
        with self._lock:
            self._seq += 1
            line = {"event": event, "seq": self._seq, "time": time.monotonic(), **fields}
            os.write(self._file, json.dumps(line).encode() + b"\n")
            return self._seq


@dataclass(frozen=True)
class History:
    """The reading end: the events of one journal, in order."""

    events: tuple[Event, ...]

    @cached_property
    def _by_prompt(self) -> dict[tuple[str, str], list[Event]]:
        grouped: dict[tuple[str, str], list[Event]] = {}
        for event in self.events:
            grouped.setdefault((event["event"], event.get("prompt_hash", "")), []).append(event)
        return grouped

    def of(self, event: str, prompt: str) -> list[Event]:
        """Events of one sort for one prompt."""
        return self._by_prompt.get((event, prompt_hash(prompt)), [])

    def all(self, event: str) -> list[Event]:
        """Events of one sort."""
        return [each for each in self.events if each["event"] == event]

    def requests(self, prompt: str) -> int:
        """POSTs for a prompt that reached the server."""
        return len(self.of("request", prompt))

    def charges(self, prompt: str) -> int:
        """Images that a prompt was charged for, all its requests together."""
        return sum(event["images"] for event in self.of("charged", prompt))

    def charged_requests(self, prompt: str) -> int:
        """Requests of a prompt that were charged."""
        return len(self.of("charged", prompt))

    def flushed(self, prompt: str) -> int:
        """Answers under 2xx for a prompt that were handed over whole."""
        return sum(200 <= event["status"] < 300 for event in self.of("flushed", prompt))

    def request_times(self, prompt: str) -> list[float]:
        """When the requests of a prompt arrived."""
        return [event["time"] for event in self.of("request", prompt)]

    def idempotency_keys(self, prompt: str) -> set[str | None]:
        """The distinct `Idempotency-Key` values of a prompt's requests; None stands for a request without."""
        return {event["idempotency_key"] for event in self.of("request", prompt)}

    def foreign(self) -> list[Event]:
        """Everything that reached a listener other than the endpoint's."""
        return [event for event in self.events if event.get("listener", ENDPOINT) != ENDPOINT]

    def credentials_abroad(self) -> list[Event]:
        """Requests of any sort that carried a credential to a foreign origin, or to a path outside the base URL."""
        return [
            event
            for event in self.events
            if event.get("credentials")
            and (event["listener"] != ENDPOINT or not event["path"].startswith("/v1/"))
        ]

    def max_concurrent(self) -> int:
        """Most requests open at once, from arrival to the end of the answer."""
        ends = {"flushed", "closed_by_client"}
        steps = Counter[int]()
        open_now: set[int] = set()
        for event in self.events:
            if event["event"] == "request":
                open_now.add(event["seq"])
            elif event["event"] in ends:
                open_now.discard(event["exchange"])
            steps[len(open_now)] += 1
        return max(steps, default=0)


def read(path: Path) -> History:
    """Read a journal, also one that is being written: an unfinished last line is left out."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return History(tuple(json.loads(line) for line in lines))
