"""The real engine over a service that the test plays: every request is seen, and answered as the test says."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from runner.app.composition import assembled
from runner.config.credentials import ResolvedEndpoint
from runner.engine.counters import Counters
from runner.engine.engine import Engine
from runner.engine.queue import Source
from runner.engine.shutdown import Ending
from runner.ledger.item_index import ItemIndex
from runner.ledger.reader import next_number, open_reader
from runner.ledger.writer import create_or_open, settle_dead
from runner.planning.prepare import Prepared
from runner.workspace.folder import OpenFolder
from schemas.errors import Reason
from schemas.providers import PROFILES
from tests.canary import CANARY
from tests.faults.pictures import picture
from tests.runner.clock import run
from tests.runner.manifests import Record, intake
from tests.runner.store.flaky import FlakyFolder


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the service got it. turn: how many requests for this prompt came before."""

    prompt: str
    body: dict[str, Any]
    headers: dict[str, str]
    turn: int


Answer = Callable[[Asked], Awaitable[web.StreamResponse]]


@dataclass
class Service:
    """Plays the service. asked: every POST, in order of arrival."""

    answer: Answer
    asked: list[Asked] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    in_flight: int = 0
    most_in_flight: int = 0
    base_url: str = ""

    @property
    def prompts(self) -> list[str]:
        """The prompts that were asked for, in order of arrival."""
        return [asked.prompt for asked in self.asked]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listens on a port of this machine for as long as the block runs."""
        app = web.Application(client_max_size=2**20)
        app.router.add_post("/v1/images/generations", self._generate)
        app.router.add_get("/files/{name}", self._file)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        turn = self.prompts.count(body["prompt"])
        asked = Asked(body["prompt"], body, dict(request.headers), turn)
        self.asked.append(asked)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.answer(asked)
        finally:
            self.in_flight -= 1

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.fetched.append(name)
        if name not in self.files:
            return web.Response(status=404)
        return web.Response(body=self.files[name])


def good(prompt: str, images: int = 1, **more: Any) -> web.Response:
    """The answer that holds the prompt's pictures."""
    data = [{"b64_json": base64.b64encode(picture(prompt, index)).decode()} for index in range(images)]
    return web.json_response({"created": 1_700_000_000, "data": data, **more})


def error(status: int, code: str = "told", message: str = "told", **headers: str) -> web.Response:
    """The service's own error document."""
    document = {"error": {"message": message, "type": "told", "param": None, "code": code}}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(document, status=status, headers=names)


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run left."""

    reason: Reason | None
    counters: Counters
    out: Path

    def ledger(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the folder's ledger."""
        with closing(open_reader(self.out)) as reader:
            return reader.execute(sql).fetchall()

    @property
    def outcomes(self) -> list[tuple[Any, ...]]:
        """(row id, status, kind) of every attempt, in order; status None where it has no outcome."""
        return self.ledger(
            "SELECT row_id, status, kind FROM attempts JOIN items USING (item) LEFT JOIN outcomes USING (attempt) "
            "ORDER BY attempt"
        )

    @property
    def files(self) -> dict[str, bytes]:
        """The image files by the row id and index that the ledger tells."""
        rows = self.ledger(
            "SELECT row_id, idx, file_name FROM images JOIN attempts USING (attempt) JOIN items USING (item)"
        )
        return {f"{row_id}/{index}": (self.out / name).read_bytes() for row_id, index, name in rows}


@dataclass
class Going:
    """A run that is going on."""

    engine: Engine
    ending: Ending
    service: Service
    out: Path

    async def until(self, true: Callable[[], object]) -> None:
        """Let the run go on until this is so."""
        while not true():  # noqa: ASYNC110 - what is waited for is not the test's to announce
            await asyncio.sleep(0.002)

    async def settle(self) -> None:
        """Give everything that could happen now the time to happen."""
        await asyncio.sleep(0.04)


Beside = Callable[[Going], Awaitable[None]]


async def _nothing(_going: Going) -> None:
    pass


def engine_run(
    out: Path,
    service: Service,
    records: Sequence[Record],
    *,
    beside: Beside = _nothing,
    refusals: int = 0,
    prepare: Callable[[sqlite3.Connection], object] = lambda _connection: None,
    batch: int = 64,
    **job: Any,
) -> Ran:
    """Run the engine over these records until it ends. beside: runs meanwhile. refusals: saves that the disk refuses.

    prepare: done to the ledger's connection before the run. job: tables of the job file.
    """

    async def main() -> Ran:
        folder = FlakyFolder(out)
        source = intake(records, batch=batch, **job)
        with closing(create_or_open(out, simulated=False)) as connection:
            settle_dead(connection, now_ms=1)
            number = next_number(connection, "runs", "run")
            connection.execute(
                "INSERT INTO runs VALUES (?, 'r', 0, '0', ?, NULL)", (number, service.base_url)
            )
            prepare(connection)
            endpoint = ResolvedEndpoint(service.base_url, PROFILES["dieyuyun"], "a test")
            ready = Prepared(source.job, endpoint, CANARY, source, out, "r")
            place = OpenFolder(out, folder, connection, 0)
            work = Source(source, ItemIndex(connection))
            ending = Ending()
            async with assembled(ready, place, work, service.base_url, number, ending) as (engine, _writer):
                folder.refusals = refusals
                helper = asyncio.ensure_future(beside(Going(engine, ending, service, out)))
                await engine.run()
                if helper.done():
                    helper.result()
                helper.cancel()
                await asyncio.wait((helper,))
        return Ran(ending.reason, engine.counters, out)

    async def served() -> Ran:
        async with service.serving():
            return await main()

    return run(served())
