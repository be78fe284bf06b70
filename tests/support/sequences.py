"""What must become of a folder, told without imagemill: the service's own account, and the ledger folded once more.

A row is what the manifest holds; a version is what the ledger knows by a row's id and prompt. Its images have a status
each. `to_run` and `to_retry` tell what may be sent, and nothing else may.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from tests.attacks.crash.ledgers import copied
from tests.attacks.faults.pictures import picture
from tests.support.runs import SeenRequest, Service, error, good

WORDS = ("plain", "rude", "cut", "fails", "empty", "brief")
"""How a prompt begins, and with it how the service takes it: all but `plain` and `rude` only the first time."""
CALM = " calm"
"""With this at its end even a rude prompt is drawn."""
SUCCEEDED, FAILED, PARKED, PENDING = "succeeded", "failed", "parked", "pending"


@dataclass
class Studio:
    """The service. artists: whose row each picture is that it has sent, by sha256."""

    artists: dict[str, str] = field(default_factory=dict)
    service: Service = field(init=False)

    def __post_init__(self) -> None:
        self.service = Service(self._answer)

    async def _answer(self, asked: SeenRequest) -> web.StreamResponse:
        word, row_id, *_ = asked.prompt.split()
        first, count = asked.turn == 0, int(asked.body.get("n", 1))
        if word == "rude" and not asked.prompt.endswith(CALM):
            return error(400, "moderation_blocked", "no")
        if first and word == "fails":
            return error(500, "server_error")
        if first and word == "empty":
            return web.json_response({"created": 1_700_000_000, "data": []})
        if first and word == "cut":
            return web.Response(status=502, text="<html>bad gateway</html>", content_type="text/html")
        count = 1 if first and word == "brief" else count
        for index in range(count):
            self.artists[hashlib.sha256(picture(asked.prompt, index)).hexdigest()] = row_id
        return good(asked.prompt, count)

    def sent(self, start: int) -> Counter[tuple[str, int]]:
        """(prompt, images asked for) of the requests since the first `start`."""
        return Counter((asked.prompt, int(asked.body.get("n", 1))) for asked in self.service.asked[start:])

    @contextmanager
    def open(self) -> Iterator[None]:
        """Serves in a thread for as long as the block lasts."""
        ready, loop = threading.Event(), asyncio.new_event_loop()
        closing = asyncio.Event()

        async def serve() -> None:
            async with self.service.serving():
                ready.set()
                await closing.wait()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        ready.wait(30)
        try:
            yield
        finally:
            loop.call_soon_threadsafe(closing.set)
            thread.join(30)
            loop.close()


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the manifest. Without a prompt it is invalid."""

    row_id: str
    prompt: str
    n: int

    @property
    def key(self) -> tuple[str, str]:
        """What tells its version."""
        return self.row_id, self.prompt


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one image. kind: of the failure."""

    status: str
    kind: str | None = None


@dataclass
class Version:
    """What the ledger knows by an id and a prompt: an answer (or None) an attempt, oldest first."""

    attempts: list[tuple[str | None, str | None, frozenset[int] | None, frozenset[int]]]

    def image(self, index: int) -> Told:
        """What became of one image."""
        if any(index in images for *_, images in self.attempts):
            return Told(SUCCEEDED)
        asked = [each for each in self.attempts if each[2] is None or index in each[2]]
        status, kind, *_ = asked[-1]
        if status is None:
            return Told(PARKED, "interrupted")
        return Told(FAILED, "bad_content") if status == SUCCEEDED else Told(status, kind)

    @property
    def held(self) -> bool:
        """Whether it has an image, or the last that was heard of it is that it may have been paid for."""
        return any(images for *_, images in self.attempts) or self.attempts[-1][0] in (None, PARKED)


@dataclass
class Known:
    """The whole ledger. newest: the version of each id that was first sent last."""

    versions: dict[tuple[str, str], Version] = field(default_factory=dict)
    newest: dict[str, Version] = field(default_factory=dict)
    attempts: int = 0

    def images(self, line: Line, stands: Version | None) -> list[Told]:
        """What became of a row's images. stands: the version that tells it."""
        if not line.prompt:
            return [Told("invalid", "invalid_row")]
        return [Told(PENDING, "stopped") if stands is None else stands.image(i) for i in range(line.n)]

    def succeeded(self) -> set[tuple[str, str, int]]:
        """(id, prompt, index) of all images that were ever acknowledged."""
        found = ((key, images) for key, each in self.versions.items() for *_, images in each.attempts)
        return {(*key, index) for key, images in found for index in images}


def known(out: Path) -> Known:
    """Reads a copy of the ledger; empty where there is none yet."""
    with _reading(out) as connection:
        return _known(connection)


def recorded_files(out: Path) -> list[tuple[str, str]]:
    """Name and sha256 of every image file that the ledger tells and that was not pruned."""
    with _reading(out) as connection:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            return []
        rows = connection.execute(
            "SELECT file_name, sha256 FROM images LEFT JOIN pruned USING (attempt, idx) WHERE pruned_ms IS NULL"
        )
        return [(name, digest.hex()) for name, digest in rows]


@contextmanager
def _reading(out: Path) -> Iterator[sqlite3.Connection]:
    with copied(out) as folder, closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        yield connection


def _known(connection: sqlite3.Connection) -> Known:
    found = Known()
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        return found
    images: dict[int, set[int]] = {}
    for attempt, index in connection.execute("SELECT attempt, idx FROM images"):
        images.setdefault(attempt, set()).add(index)
    for row_id, prompt in connection.execute("SELECT row_id, prompt FROM items ORDER BY item"):
        found.newest[row_id] = found.versions[row_id, prompt] = Version([])
    rows = connection.execute(
        "SELECT attempt, row_id, items.prompt, status, kind, indexes FROM attempts JOIN items USING (item) "
        "LEFT JOIN outcomes USING (attempt) ORDER BY attempt"
    )
    for attempt, row_id, prompt, status, kind, indexes in rows:
        asked = frozenset(json.loads(indexes)) if indexes else None
        each = (status, kind, asked, frozenset(images.get(attempt, ())))
        found.versions[row_id, prompt].attempts.append(each)
        found.attempts += 1
    return found


@dataclass(frozen=True)
class Wish:
    """A retry. rows: ids, where they are named. calm: with another prompt."""

    options: tuple[str, ...] = ()
    statuses: frozenset[str] = frozenset({FAILED, PENDING})
    kind: str | None = None
    rows: frozenset[str] | None = None
    calm: bool = False

    def takes(self, row_id: str, image: Told) -> bool:
        """Whether this image was asked for."""
        fits = self.kind is None or self.kind == image.kind
        return image.status in self.statuses and fits and (self.rows is None or row_id in self.rows)


class Refused(Exception):
    """Nothing may be sent, and nothing changed: the manifest was edited and the policy is `stop`."""


Sends = Counter[tuple[str, int]]


def standing(lines: Iterable[Line], ledger: Known, policy: str) -> dict[Line, Version | None]:
    """The version that tells each row; None for those that are yet to be sent. Raises Refused."""
    found: dict[Line, Version | None] = {}
    for line in lines:
        own, old = ledger.versions.get(line.key), ledger.newest.get(line.row_id)
        if own is None and line.prompt and old is not None and old.held and policy != "regenerate":
            if policy == "stop":
                raise Refused
            own = old
        found[line] = own
    return found


def to_run(lines: Sequence[Line], ledger: Known, policy: str) -> Sends:
    """What `run` sends: rows that were never sent."""
    told = standing(lines, ledger, policy)
    return Counter((line.prompt, line.n) for line, version in told.items() if version is None and line.prompt)


def to_retry(lines: Sequence[Line], ledger: Known, policy: str, wish: Wish) -> Sends:
    """What a retry sends: of each row with an image that it takes, those and whatever else the row lacks."""
    sends: Sends = Counter()
    for line, version in standing(lines, ledger, policy).items():
        if not line.prompt or version is not ledger.versions.get(line.key):
            continue
        images = ledger.images(line, version)
        taken = [wish.takes(line.row_id, image) for image in images]
        lacks = any(each and image.status != SUCCEEDED for each, image in zip(taken, images, strict=True))
        asked = [
            each or (lacks and image.status != SUCCEEDED) for each, image in zip(taken, images, strict=True)
        ]
        if any(asked):
            sends[line.prompt + CALM * wish.calm, sum(asked)] += 1
    return sends
