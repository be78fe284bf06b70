"""One POST or GET being answered, and the state that all of them share."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from tests.attacks.faults import pictures
from tests.attacks.faults.journal import Journal, prompt_hash
from tests.attacks.faults.marker import Marker
from tests.attacks.faults.wire import ClientGone, Request, Wire

SIGNATURE = "sig-canary-5f0c2b7e91"
"""Stands in the query of every image URL: a client must write it nowhere."""

Json = dict[str, Any]


def head(status: int, headers: dict[str, str], *, version: str = "1.1", reason: str | None = None) -> bytes:
    """Status line and headers, with the empty line that ends them."""
    if reason is None:
        reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    lines = [f"HTTP/{version} {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass")


def whole(status: int, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """A correct answer. `headers` are added to, or replace, content type and length."""
    base = {"Content-Type": "application/json", "Content-Length": str(len(body)), "x-request-id": "req_fault"}
    return head(status, base | (headers or {})) + body


@dataclass
class Link:
    """An image behind a URL. gets: how often it was fetched; marker: how fetching it misbehaves."""

    data: bytes
    media_type: str
    prompt_hash: str
    marker: Marker
    gets: int = 0


@dataclass
class House:
    """What connections share: the journal, the listeners' addresses, the published links, and the key's fate."""

    journal: Journal
    key: str | None = None
    ports: dict[str, int] = field(default_factory=dict)
    revoked: bool = False
    stopping: threading.Event = field(default_factory=threading.Event)
    accept_faults: list[str] = field(default_factory=list)
    links: dict[str, Link] = field(default_factory=dict)
    _seen: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def nth(self, prompt: str) -> int:
        """Which request of this prompt this is, from 1."""
        with self._lock:
            self._seen[prompt] += 1
            return self._seen[prompt]

    def next_accept_fault(self) -> str | None:
        """The fault of the next connection to the endpoint, until the list is used up."""
        with self._lock:
            return self.accept_faults.pop(0) if self.accept_faults else None

    def publish(self, token: str, link: Link, *, folder: str = "/img") -> str:
        """Make an image fetchable; the path and query of its URL."""
        with self._lock:
            self.links.setdefault(token, link)
        return f"{folder}/{token}?sig={SIGNATURE}"

    def fetched(self, link: Link) -> int:
        """Count one fetch; which one it is, from 1."""
        with self._lock:
            link.gets += 1
            return link.gets


@dataclass
class Exchange:
    """One POST /v1/images/generations.

    number: `seq` of its journal line. nth: which request of its prompt. held: sha256 of images within the answer.
    """

    house: House
    wire: Wire
    request: Request
    doc: Json
    number: int
    nth: int
    marker: Marker
    held: list[str] = field(default_factory=list)

    @property
    def prompt(self) -> str:
        """The prompt as it was sent."""
        return str(self.doc.get("prompt", ""))

    @property
    def n(self) -> int:
        """Images asked for."""
        return int(self.doc.get("n", 1))

    @property
    def key(self) -> str:
        """The key that came with the request, for the faults that echo it."""
        return self.request.headers.get("authorization", "").removeprefix("Bearer ")

    def note(self, event: str, **fields: Any) -> None:
        """Journal an event of this exchange."""
        self.house.journal.write(event, exchange=self.number, prompt_hash=prompt_hash(self.prompt), **fields)

    def charge(self, images: int | None = None) -> None:
        """Take the money: from here on this request is paid for, whatever becomes of the answer."""
        self.note("charged", images=self.n if images is None else images)

    def holds(self, data: bytes) -> None:
        """Note that the answer holds these bytes: quarantining them is as good as quarantining the answer."""
        self.held.append(hashlib.sha256(data).hexdigest())

    def picture(self, index: int = 0, form: str | None = None) -> bytes:
        """The picture asked for, in the format and size asked for."""
        asked = str(self.doc.get("size", "auto"))
        size = tuple(int(part) for part in asked.split("x")) if "x" in asked else None
        form = form or str(self.doc.get("output_format", "png")).upper()
        return pictures.picture(self.prompt, index, size=size, form=form)  # type: ignore[arg-type]

    def link(self, data: bytes, index: int = 0, media_type: str = "image/png", folder: str = "/img") -> str:
        """Publish an image and return the path of its URL."""
        mark = prompt_hash(self.prompt)
        token = hashlib.sha256(f"{mark}{index}{self.nth}".encode()).hexdigest()[:20] + ".png"
        return self.house.publish(token, Link(data, media_type, mark, self.marker), folder=folder)

    def url(self, path: str) -> str:
        """An absolute URL on the endpoint's own origin."""
        return f"http://127.0.0.1:{self.house.ports['endpoint']}{path}"

    def item(self, index: int = 0) -> Json:
        """A correct item of `data`, as base64 or as URL, whichever was asked for (URL by default)."""
        data = self.picture(index)
        if self.doc.get("response_format", "url") == "b64_json":
            return {"b64_json": base64.b64encode(data).decode(), "revised_prompt": None}
        return {"url": self.url(self.link(data, index)), "revised_prompt": None}

    def document(self, items: list[Any] | None = None) -> Json:
        """A correct answer document."""
        return {
            "created": 1_790_000_000,
            "data": [self.item(index) for index in range(self.n)] if items is None else items,
            "usage": {"total_tokens": 110, "input_tokens": 10, "output_tokens": 100},
        }

    def body(self) -> bytes:
        """A correct answer body."""
        return json.dumps(self.document()).encode()

    def hand_over(self, data: bytes, *, status: int = 200) -> None:
        """Send the last bytes of a whole answer; journal `flushed` when the client was there to take them."""
        if self.wire.gone():
            raise ClientGone
        self.wire.send(data)
        body = data.partition(b"\r\n\r\n")[2]
        sums = [hashlib.sha256(body).hexdigest(), *self.held]
        self.note("flushed", status=status, body_sha256=sums)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """A whole, correctly framed answer. One that is not 2xx is journalled as `refused` first."""
        if not 200 <= status < 300:
            self.note("refused", status=status)
        self.hand_over(whole(status, body, headers), status=status)

    def succeed(self) -> None:
        """What a request without a fault gets: charged, then answered."""
        self.charge()
        self.answer(200, self.body())
