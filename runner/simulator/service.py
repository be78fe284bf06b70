"""The service as an aiohttp application: who may ask, what is admitted, what is charged, what is answered."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pybase64
from aiohttp import web

from runner.simulator import wire
from runner.simulator.answers import answer_document, latency_of, picture_of
from runner.simulator.config import SimulatorConfig
from runner.simulator.downloads import UrlBook, answer_url, download
from runner.simulator.errors import ServiceError, page_of, refusal_error
from runner.simulator.faults import KINDS, Fault, FaultPlan, Stage
from runner.simulator.spoiling import image_bytes, images_made, spoil, wants_base64
from runner.simulator.tally import PromptTally, Tally
from runner.simulator.timetable import Timetable
from runner.simulator.validation import Order, check_order, read_document
from runner.simulator.windows import Limiter
from schemas.endpoints import PROFILES

GENERATIONS = "/v1/images/generations"
MAX_BODY_BYTES = 2**20
REFUSED_KEY = "invalid"
CALLER_GONE = 499
_DRAWING_THREADS = 2

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Attempt:
    """One POST for images on its way through; `key`, `fault` and `number` are known once it is admitted.

    started: seconds, monotonic. number: which request for its prompt this is, from 1.
    """

    request: web.Request
    id: str
    started: float
    key: str = ""
    fault: Fault | None = None
    number: int = 0


class Service:
    """One simulated service with its counts; `application` serves it."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.tally = Tally()
        self.limiter = Limiter(config.limits)
        self.timetable = Timetable(config.limits, config.limits_changes, config.outages)
        self.first_request: float | None = None
        self.plan = FaultPlan(config.faults, config.seed)
        self.urls = UrlBook()
        self.pool = ThreadPoolExecutor(_DRAWING_THREADS, thread_name_prefix="draw")

    def application(self) -> web.Application:
        """The routes, ready to be run."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_json_errors])
        app.router.add_post(GENERATIONS, self.generations)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/files/{name}", self.files)
        app.router.add_get("/stats", self.stats)
        app.cleanup_ctx.append(self._pool_life)
        return app

    async def _pool_life(self, app: web.Application) -> AsyncIterator[None]:
        yield
        self.pool.shutdown(wait=False, cancel_futures=True)

    async def stats(self, request: web.Request) -> web.Response:
        """`GET /stats`: what was charged, without a key."""
        return web.json_response(self.tally.document(self.limiter))

    async def models(self, request: web.Request) -> web.Response:
        """`GET /v1/models`."""
        caller_key(request)
        names = [PROFILES[self.config.profile].model, "gpt-image-2", "gpt-image-1.5", "gpt-image-1-mini"]
        owned = {"object": "model", "created": 1_776_729_600, "owned_by": "simulator"}
        return web.json_response(
            {"object": "list", "data": [{"id": name} | owned for name in dict.fromkeys(names)]}
        )

    async def files(self, request: web.Request) -> web.StreamResponse:
        """`GET /files/…`: an image that an answer named by URL; no key needed."""
        self.tally.downloads += 1
        self.tally.downloads_with_key += "Authorization" in request.headers or "x-api-key" in request.headers
        now = asyncio.get_running_loop().time()
        entry = self.urls.find(request.match_info["name"], request.query.get("sig", ""), now)
        if isinstance(entry, web.Response):
            return entry
        return await download(request, entry, lambda: self._in_pool(image_bytes, entry.picture, entry.fault))

    async def generations(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/images/generations`."""
        attempt = Attempt(request, f"req_{uuid.uuid4().hex}", time.monotonic())
        self.tally.begin()
        if self.first_request is None:
            self.first_request = attempt.started
        try:
            response = await self._answer(attempt)
        except ServiceError as error:
            if attempt.fault is None:
                self.tally.refused += 1
            response = error_response(error)
        finally:
            self.tally.in_flight -= 1
        self.tally.statuses[str(response.status) if wire.is_connected(request) else "cut"] += 1
        if not response.prepared:
            response.headers.update(self._headers(attempt))
        return response

    def _headers(self, attempt: Attempt) -> dict[str, str]:
        now = time.monotonic()
        own = {
            "x-request-id": attempt.id,
            "openai-processing-ms": str(round((now - attempt.started) * 1000)),
            "openai-version": "2020-10-01",
        }
        return own | self.limiter.headers(now)

    async def _answer(self, attempt: Attempt) -> web.StreamResponse:
        order = await self._admit(attempt)
        fault = attempt.fault
        if fault is None:
            await self._take_time(attempt, order)
            return _json_response(await self._body(attempt, order))
        kind = KINDS[fault.kind]
        if kind.late:
            await self._take_time(attempt, order)
        if not kind.paces:
            await asyncio.sleep(fault.delay_s)
        if kind.stage is Stage.REFUSAL:
            raise refusal_error(fault, attempt.id)
        if kind.stage is Stage.PAGE:
            return _page_response(fault)
        if kind.stage is Stage.WIRE:
            return await wire.misbehave(attempt.request, fault, lambda: self._body(attempt, order))
        return _json_response(await self._body(attempt, order))

    async def _admit(self, attempt: Attempt) -> Order:
        """Check key, body and limits, choose the fault, and charge; ServiceError where the service refuses."""
        attempt.key = caller_key(attempt.request)
        document = read_document(await _read_body(attempt.request), attempt.request.content_type)
        if isinstance(document.get("prompt"), str):
            self.tally.arrive(document["prompt"])
        order = check_order(document, self.config.profile)
        entry = self.tally.prompts[order.prompt]
        attempt.number = entry.requests
        attempt.fault = self._outage() or self._limited(order, entry)
        if attempt.fault is not None:
            self.tally.faults[attempt.fault.kind] += 1
        if attempt.fault is None or attempt.fault.is_billed:
            self.tally.bill(entry, order.n)
        else:
            self.tally.refused += 1
        return order

    def _elapsed_s(self) -> float:
        """Seconds since the first request."""
        now = time.monotonic()
        return now - (now if self.first_request is None else self.first_request)

    def _outage(self) -> Fault | None:
        return self.timetable.outage_at(self._elapsed_s())

    def _limited(self, order: Order, entry: PromptTally) -> Fault | None:
        """The fault of a request that the limits admit; ServiceError for one that they refuse."""
        self.limiter.limits = self.timetable.limits_at(self._elapsed_s())
        self.limiter.admit(time.monotonic(), order.n)
        return self.plan.choose(order.prompt, entry.row)

    async def _take_time(self, attempt: Attempt, order: Order) -> None:
        seconds = latency_of(self.config.latency, self.config.seed, order.prompt, attempt.number)
        if seconds:
            await asyncio.sleep(seconds)

    async def _body(self, attempt: Attempt, order: Order) -> bytes:
        """The body of a 200, faults of the document and of the images included."""
        origin = f"{attempt.request.scheme}://{attempt.request.host}"
        fault, made = attempt.fault, images_made(order.n, attempt.fault)
        pictures = [picture_of(order, index, max(made, order.n), self.config.seed) for index in range(made)]
        forced = wants_base64(fault)
        if order.as_url if forced is None else not forced:
            now = asyncio.get_running_loop().time()
            items = [{"url": answer_url(origin, self.urls.add(one, fault, now), fault)} for one in pictures]
            return self._document(attempt, order, items)

        def drawn() -> bytes:
            files = (image_bytes(picture, fault) for picture in pictures)
            return self._document(
                attempt, order, [{"b64_json": pybase64.b64encode(file).decode()} for file in files]
            )

        return await self._in_pool(drawn)

    def _document(self, attempt: Attempt, order: Order, items: list[dict[str, Any]]) -> bytes:
        document = answer_document(order, items, self.config.profile, self.config.seed, int(time.time()))
        return spoil(document, attempt.fault, attempt.key)

    async def _in_pool(self, work: Callable[..., bytes], *arguments: Any) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self.pool, work, *arguments)


def caller_key(request: web.Request) -> str:
    """The key of `Authorization: Bearer …` or `x-api-key`; ServiceError 401 where it is missing or refused."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    key = bearer.strip() if scheme.lower() == "bearer" else ""
    key = key or request.headers.get("x-api-key", "").strip()
    if not key:
        raise ServiceError(
            401, "You didn't provide an API key. You need to send it as 'Authorization: Bearer YOUR_KEY'."
        )
    if key == REFUSED_KEY:
        raise ServiceError(
            401, f"Incorrect API key provided: {key[:2]}***{key[-2:]}.", code="invalid_api_key"
        )
    return key


async def _read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        message = f"The request is larger than {MAX_BODY_BYTES} bytes."
        raise ServiceError(413, message, code="request_too_large") from None


def error_response(error: ServiceError) -> web.Response:
    """The answer for a refusal."""
    return _json_response(json.dumps(error.document()).encode(), error.status, error.headers)


def _json_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def _page_response(fault: Fault) -> web.Response:
    page = page_of(fault)
    headers = {"Location": page.location} if page.location else None
    return web.Response(text=page.body, status=page.status, content_type=page.content_type, headers=headers)


@web.middleware
async def _json_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every refusal, aiohttp's own included, in the service's JSON shape; callers who leave leave no trace."""
    try:
        return await handler(request)
    except ConnectionError:
        return web.Response(status=CALLER_GONE)
    except ServiceError as error:
        return error_response(error)
    except web.HTTPException as error:
        messages = {
            404: f"Invalid URL ({request.method} {request.path})",
            405: f"Not allowed to {request.method} on {request.path}.",
        }
        codes = {404: "unknown_url", 405: "method_not_supported"}
        message = messages.get(error.status, error.reason)
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return error_response(
            ServiceError(error.status, message, code=codes.get(error.status), headers=allow)
        )
