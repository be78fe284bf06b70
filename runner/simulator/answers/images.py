"""Where images are made: the items of an answer, drawn in threads or named by URL, and bodies made of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pybase64
from aiohttp import web

from runner.simulator.answers.document import answer_document, picture_of
from runner.simulator.answers.downloads import Entry, UrlBook, answer_url, download
from runner.simulator.dialects.model import Dialect
from runner.simulator.faults.content import image_bytes, images_made, spoil, wants_base64
from runner.simulator.faults.kinds import Fault
from runner.simulator.requests.validate import Order

_DRAWING_THREADS = 2
Document = dict[str, Any]
Dress = Callable[[Document], Document]


class ImageRenderer:
    """Makes bodies for one simulator; `close` ends its threads. grain: files are as large as real ones."""

    def __init__(self, seed: int, profile: str, dialect: Dialect, *, grain: bool = False) -> None:
        self._seed = seed
        self._grain = grain
        self._profile = dialect.profile or profile
        self._relative = dialect.relative
        self._only_base64 = dialect.reading.forced_format == "b64_json"
        self._urls = UrlBook(dialect)
        self._pool = ThreadPoolExecutor(_DRAWING_THREADS, thread_name_prefix="draw")

    def close(self) -> None:
        """End the threads; what waits for them is given up."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def body(
        self, order: Order, fault: Fault | None, key: str, request: web.Request, dress: Dress
    ) -> bytes:
        """The body of a good answer, faults of the document and of the images included.

        key: the caller's. dress: makes the dialect's document of a plain answer.
        """
        made = images_made(order.n, fault)
        pictures = [
            replace(picture_of(order, index, max(made, order.n), self._seed), grain=self._grain)
            for index in range(made)
        ]
        forced = None if self._only_base64 else wants_base64(fault)
        if order.as_url if forced is None else not forced:
            origin = "" if self._relative else f"{request.scheme}://{request.host}"
            now = asyncio.get_running_loop().time()
            items = [{"url": answer_url(origin, self._urls.add(one, fault, now), fault)} for one in pictures]
            return self._document(order, items, fault, key, dress)

        def drawn() -> bytes:
            files = (image_bytes(picture, fault) for picture in pictures)
            items = [{"b64_json": pybase64.b64encode(file).decode()} for file in files]
            return self._document(order, items, fault, key, dress)

        return await self._in_pool(drawn)

    def _document(
        self, order: Order, items: list[Document], fault: Fault | None, key: str, dress: Dress
    ) -> bytes:
        document = answer_document(order, items, self._profile, self._seed, int(time.time()))
        return spoil(document, fault, key, dress)

    def find(self, request: web.Request) -> Entry | web.Response:
        """The image that a GET is for, or the answer where there is none."""
        now = asyncio.get_running_loop().time()
        return self._urls.find(request.match_info["name"], request.query.get("sig", ""), now)

    async def send(self, request: web.Request, entry: Entry) -> web.StreamResponse:
        """Answer a GET for an image."""
        return await download(request, entry, lambda: self._in_pool(image_bytes, entry.picture, entry.fault))

    async def _in_pool(self, work: Callable[..., bytes], *arguments: Any) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
