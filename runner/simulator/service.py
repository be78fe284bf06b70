"""The service as an aiohttp application: its routes, and what each request is answered."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from runner.simulator.admission import MAX_BODY_BYTES, SUBMIT_STAGES, Admission, Attempt
from runner.simulator.answers.images import ImageRenderer
from runner.simulator.answers.templates import Document, error_body, synchronous_answer
from runner.simulator.config import SimulatorConfig
from runner.simulator.console import GENERATIONS
from runner.simulator.dialects import DIALECTS
from runner.simulator.faults import wire
from runner.simulator.faults.kinds import KINDS, Stage
from runner.simulator.faults.refusals import turn_away
from runner.simulator.front_page import front_page
from runner.simulator.requests.errors import ServiceError
from runner.simulator.requests.read import caller_key
from runner.simulator.requests.responses import as_service_error, json_response
from runner.simulator.requests.validate import Order
from runner.simulator.stats import Stats
from runner.simulator.tasks.life import TaskBook
from runner.simulator.tasks.polls import Polls
from schemas.providers import PROFILES

CALLER_GONE = 499
KEY_HEADERS = ("Authorization", "x-api-key", "api-key")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """One simulated service with its counts; `application` serves it."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.dialect = DIALECTS[config.dialect]
        self.stats = Stats()
        book = TaskBook()
        self.admission = Admission(config, self.stats, book)
        self.renderer = ImageRenderer(config.seed, config.profile, self.dialect, grain=config.realistic)
        self.polls = Polls(self.dialect, self.renderer, self.stats, book, self.admission.outage)

    def application(self) -> web.Application:
        """The routes, ready to be run."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._json_errors])
        base = self.dialect.route or self.dialect.base
        app.router.add_post(f"{base}/{GENERATIONS}", self.generations)
        if self.dialect.switch.path:
            app.router.add_post(f"{base}/{self.dialect.switch.path}", self.generations)
        for path in self.polls.paths(base):
            app.router.add_get(path, self.polls.poll)
        app.router.add_get(f"{base}/models", self.models)
        app.router.add_get(f"{self.dialect.files}{{name}}", self.files)
        app.router.add_get("/stats", self.counts)
        app.router.add_get("/", self.page)
        app.cleanup_ctx.append(self._renderer_life)
        return app

    async def _renderer_life(self, app: web.Application) -> AsyncIterator[None]:
        yield
        self.renderer.close()

    async def counts(self, request: web.Request) -> web.Response:
        """`GET /stats`: what was charged, without a key."""
        return web.json_response(self._figures())

    async def page(self, request: web.Request) -> web.Response:
        """`GET /`: the same for people, without a key."""
        base_url = f"{request.scheme}://{request.host}{self.dialect.base}{self.dialect.base_query}"
        return web.Response(text=front_page(self._figures(), base_url), content_type="text/html")

    def _figures(self) -> Document:
        tasks = self.polls.book.document(time.monotonic())
        return self.stats.document(self.admission.limiter) | tasks

    async def models(self, request: web.Request) -> web.Response:
        """`GET …/models`."""
        caller_key(request, self.dialect)
        names = [PROFILES[self.config.profile].model, "gpt-image-2", "gpt-image-1.5", "gpt-image-1-mini"]
        owned = {"object": "model", "created": 1_776_729_600, "owned_by": "simulator"}
        return web.json_response(
            {"object": "list", "data": [{"id": name} | owned for name in dict.fromkeys(names)]}
        )

    async def files(self, request: web.Request) -> web.StreamResponse:
        """`GET /files/…`: an image that an answer named by URL; no key needed."""
        self.stats.downloads += 1
        self.stats.downloads_with_key += any(name in request.headers for name in KEY_HEADERS)
        entry = self.renderer.find(request)
        return entry if isinstance(entry, web.Response) else await self.renderer.send(request, entry)

    async def generations(self, request: web.Request) -> web.StreamResponse:
        """`POST …/images/generations`."""
        attempt = Attempt(request, f"req_{uuid.uuid4().hex}", time.monotonic())
        self.stats.begin()
        try:
            response = await self._answer(attempt)
        except ServiceError as error:
            if attempt.fault is None:
                self.stats.refused += 1
            response = self._error_response(error)
        finally:
            self.stats.in_flight -= 1
        self.stats.statuses[str(response.status) if wire.is_connected(request) else "cut"] += 1
        if not response.prepared:
            for name, value in self._headers(attempt).items():
                response.headers.setdefault(name, value)
        return response

    def _headers(self, attempt: Attempt) -> dict[str, str]:
        now = time.monotonic()
        own = {
            "x-request-id": attempt.id,
            "openai-processing-ms": str(round((now - attempt.started) * 1000)),
            "openai-version": "2020-10-01",
        }
        return own | self.admission.limiter.headers(now)

    async def _answer(self, attempt: Attempt) -> web.StreamResponse:
        order = await self.admission.admit(attempt)
        fault, task = attempt.fault, attempt.task
        if fault is None:
            return await self._good(attempt, order)
        kind = KINDS[fault.kind]
        if kind.stage not in SUBMIT_STAGES:
            return await self._good(attempt, order)
        if task is None and kind.late:
            await asyncio.sleep(attempt.latency_s)
        if not kind.paces:
            await asyncio.sleep(fault.delay_s)
        if kind.stage is not Stage.WIRE:
            return turn_away(fault, attempt.id)
        return await wire.misbehave(attempt.request, fault, lambda: self._body(attempt, order))

    async def _good(self, attempt: Attempt, order: Order) -> web.StreamResponse:
        """A submit's or a synchronous answer, the latter in its time; faults of its document are in it."""
        task, fault = attempt.task, attempt.fault
        if task is not None:
            body, headers = self.polls.submitted(task, attempt.request)
            task.answered = wire.is_connected(attempt.request)
            return json_response(body, self.dialect.task.submit_status, headers)
        await asyncio.sleep(attempt.latency_s)
        if fault is not None and not KINDS[fault.kind].paces:
            await asyncio.sleep(fault.delay_s)
        return json_response(await self._body(attempt, order))

    async def _body(self, attempt: Attempt, order: Order) -> bytes:
        """The body of a 200 to a POST."""
        if attempt.task is not None:
            return self.polls.submitted(attempt.task, attempt.request)[0]
        extra = {
            "id": attempt.id,
            "model": order.model,
            "background": order.background,
            "output_format": order.format,
            "size": order.size,
            "quality": order.quality,
        }

        def dress(document: Document) -> Document:
            return synchronous_answer(document, self.dialect, extra)

        return await self.renderer.body(order, attempt.fault, attempt.key, attempt.request, dress)

    def _error_response(self, error: ServiceError) -> web.Response:
        status, document = error_body(error, self.dialect)
        return json_response(json.dumps(document).encode(), status, error.headers)

    @web.middleware
    async def _json_errors(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Every refusal, aiohttp's own included, in the service's JSON shape; callers who leave leave no trace."""
        try:
            return await handler(request)
        except ConnectionError:
            return web.Response(status=CALLER_GONE)
        except ServiceError as error:
            return self._error_response(error)
        except web.HTTPException as error:
            return self._error_response(as_service_error(request, error))
