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
from yarl import URL

from runner.app.composition import compose_engine
from runner.engine.engine import Engine
from runner.engine.run_state import Counters
from runner.engine.shutdown import Shutdown
from runner.ledger.ledger_file import LedgerFile
from runner.ledger.reader import connection_of, open_reader
from runner.planning.source import PendingRowSource
from runner.workspace.folder import Workspace
from schemas.errors import Reason
from tests.attacks.faults.pictures import picture
from tests.support.clock import clock, run
from tests.support.flaky import FlakyFolder
from tests.support.manifests import Record, prepared, row_stream


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request as the service got it. turn: how many requests for this prompt came before."""

    prompt: str
    body: dict[str, Any]
    headers: dict[str, str]
    turn: int
    request: web.Request


Answer = Callable[[SeenRequest], Awaitable[web.StreamResponse]]


@dataclass
class Service:
    """Plays the service. asked: every POST, in order of arrival. host: answers a fetch instead of the file, unless None.
    hang: does so, in its own time.
    """

    answer: Answer
    asked: list[SeenRequest] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    host: Callable[[str], web.Response | None] = lambda _name: None
    hang: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    in_flight: int = 0
    most_in_flight: int = 0
    base_url: str = ""

    @property
    def prompts(self) -> list[str]:
        """The prompts that were asked for, in order of arrival."""
        return [asked.prompt for asked in self.asked]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listens on a port of this machine for as long as the block runs; on the same one each time."""
        app = web.Application(client_max_size=2**20)
        app.router.add_post("/v1/images/generations", self._generate)
        app.router.add_get("/files/{name}", self._file)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        port = URL(self.base_url).port if self.base_url else 0
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        turn = self.prompts.count(body["prompt"])
        asked = SeenRequest(body["prompt"], body, dict(request.headers), turn, request)
        self.asked.append(asked)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.answer(asked)
        finally:
            self.in_flight -= 1

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        self.fetched.append(name)
        if self.hang is not None:
            return await self.hang(request)
        if (answer := self.host(name)) is not None:
            return answer
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


def serving(*answers: Callable[[SeenRequest], web.StreamResponse | None], delay_s: float = 0.0) -> Service:
    """A service whose first answer that is not None counts; a good one otherwise."""

    async def answer(asked: SeenRequest) -> web.StreamResponse:
        await asyncio.sleep(delay_s)
        found = (each(asked) for each in answers)
        return next((each for each in found if each is not None), None) or good(
            asked.prompt, asked.body.get("n", 1)
        )

    return Service(answer)


def once(
    prompt: str, answer: Callable[[], web.StreamResponse]
) -> Callable[[SeenRequest], web.StreamResponse | None]:
    """This answer to the first request for a prompt."""
    return lambda asked: answer() if asked.prompt == prompt and not asked.turn else None


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


def kinds(ran: Ran) -> dict[str, list[tuple[str | None, str | None]]]:
    """Row id -> (status, kind) of each of its attempts."""
    told: dict[str, list[tuple[str | None, str | None]]] = {}
    for row_id, status, kind in ran.outcomes:
        told.setdefault(row_id, []).append((status, kind))
    return told


@dataclass
class Going:
    """A run that is going on."""

    engine: Engine
    shutdown: Shutdown
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


async def hurrying(going: Going) -> None:
    """Let no row wait long for its next attempt."""
    while True:
        await going.settle()
        if len(going.engine.state.waiting):
            clock().put_forward(31)


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
        source = row_stream(records, batch=batch, **job)
        with LedgerFile.create_or_open(out, simulated=False) as ledger:
            ledger.park_dead_attempts(now_ms=1)
            number = ledger.start_run(
                "r", started_ms=0, version="0", endpoint=service.base_url, command='{"command": "run"}'
            )
            prepare(connection_of(ledger))
            ready = prepared(out, source, service.base_url)
            workspace = Workspace(out, folder, ledger, 0)
            work = PendingRowSource(source, ledger.item_index(), ledger.open_tasks())
            shutdown = Shutdown()
            async with compose_engine(ready, workspace, work, service.base_url, number, shutdown) as (
                engine,
                _writer,
            ):
                folder.refusals = refusals
                helper = asyncio.ensure_future(beside(Going(engine, shutdown, service, out)))
                await engine.run()
                if helper.done():
                    helper.result()
                helper.cancel()
                await asyncio.wait((helper,))
        return Ran(shutdown.reason, engine.counters, out)

    async def served() -> Ran:
        async with service.serving():
            return await main()

    return run(served())
