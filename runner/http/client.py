"""HTTP, one exchange at a time: sends a request, reads the whole answer, and says how far it got when it breaks.

Nothing is decided here: what a status or a broken connection means is `jobs.classify`'s. The one judgement made is
whether the request's headers had been written, because that is what separates "never sent" from "may have been paid".
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from jobs.classify import BreakKind
from jobs.connection_reuse import MAX_IDLE_S, ConnectionReuse
from runner.http import image_urls
from runner.http.broken_framing import Arriving, as_it_came, ended_within
from runner.http.exchange_errors import ProxyRefused, broken_exchange
from runner.http.fast.receive import DirectBodyReader, can_take_over
from runner.http.image_body import ByteCollector, ImageLifter
from runner.http.image_urls import as_written
from runner.http.memory_budget import ResponseBudget
from runner.http.messages import Answer, Body, BodyTooLarge, BrokenExchange
from runner.http.network import Network
from runner.http.sessions import (
    MAX_UNSENT,
    PROGRESS,
    ConnectionUnusable,
    RequestProgress,
    SendSlots,
    Sessions,
)
from runner.http.ssrf_guard import DownloadRefused, Guard
from runner.http.stream import BodyReader, StreamBodyReader
from runner.process.event_loop import woke_within

IDLE_TIMEOUT_S = 60.0
MAX_REDIRECTS = 3
FREE_DEADLINE_S = 60.0
"""From the headers of what is free to the last byte of a poll, or to the first of an image."""

WOKEN_S = 2 * MAX_IDLE_S
"""A connection that was young when the process was stopped may be dead by now, and nothing has told so."""

_FROM_A_PROXY = 407
"""Only a proxy answers so, and it has passed nothing on."""

_JSON = json.JSONEncoder(ensure_ascii=False)
_LINE_BREAK = re.compile(r"[\r\n\0]")


class Timeouts(NamedTuple):
    """total_s: from send to last byte. idle_s: silence inside a body."""

    total_s: float
    idle_s: float = IDLE_TIMEOUT_S


WholeAnswer = tuple[int, Mapping[str, str], Body]
"""A whole answer: status, headers with lower-case names, body."""


class _Request(NamedTuple):
    method: str
    url: URL
    headers: Mapping[str, str]
    data: bytes | None = None


class HttpClient:
    """The endpoint's connections, and the guarded ones for image URLs. Use as an async context manager.

    Args:
        headers: sent with each request to the endpoint, the key among them; never sent to image URLs elsewhere.
        network: the proxies in between, and the certificates that are believed.
        reuse: decides when a request that costs money may reuse a connection.
        reader: how the bodies of answers to POSTs and polls are read; None: the fastest way that works.
        own_images: images are fetched from the endpoint's host, whatever host their URLs name.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        guard: Guard,
        timeouts: Timeouts,
        *,
        network: Network | None = None,
        reuse: ConnectionReuse | None = None,
        reader: BodyReader | None = None,
        own_images: bool = False,
    ) -> None:
        whole = URL(base_url)
        self._base, self._query = whole.with_query(None), whole.query
        self._headers = dict(headers)
        self._posted = {**headers, "Content-Type": "application/json", "Accept": "application/json"}
        self._guard = guard
        self._timeouts = timeouts
        self._urls: dict[tuple[str, tuple[tuple[str, str], ...]], URL] = {}
        self._network = network or Network()
        self._reuse = reuse or ConnectionReuse()
        self._given_reader = reader
        self._own_images = own_images
        self._sessions = Sessions(guard, self._reuse.unasked)
        self._send_slots = SendSlots(MAX_UNSENT)

    def use_key(self, header: Mapping[str, str]) -> None:
        """Send this header with each request to the endpoint from now on, in place of the one of the same name."""
        self._headers.update(header)
        self._posted.update(header)

    async def __aenter__(self) -> HttpClient:
        idle_s = self._timeouts.idle_s
        self._reader = self._given_reader or (
            DirectBodyReader(idle_s, unasked=self._reuse.unasked)
            if await can_take_over()
            else StreamBodyReader(idle_s)
        )
        if self._base.scheme == "https":
            await asyncio.to_thread(self._network.tls)
        await self._sessions.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sessions.__aexit__()

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        budget: ResponseBudget,
        *,
        query: Sequence[tuple[str, str]] = (),
    ) -> Answer | BrokenExchange:
        """POST JSON to a path below the base URL. Redirects are answers, not followed."""
        data = _JSON.encode(body).encode("utf-8", "surrogatepass")
        request = _Request("POST", self._url(path, query), {**self._posted, **headers}, data)
        if any(map(_LINE_BREAK.search, request.headers.values())):
            return BrokenExchange(BreakKind.BEFORE_SENDING, "a header holds a line break")
        clock, reuse = asyncio.get_running_loop().time, self._reuse
        reuse_allowed = not woke_within(WOKEN_S) and reuse.allows(clock())
        async with self._send_slots.slot() as slot:
            progress = RequestProgress(self._timeouts.total_s, budget.on_sent, slot)
            answer = await self._within_deadline(
                self._send_paid(request, budget, progress, reuse_allowed), request.url, budget, progress
            )
        if isinstance(answer, Answer) and not answer.unterminated:
            reuse.answered(clock(), answer.latency_s, reuse_allowed=reuse_allowed, reused=answer.reused)
        else:
            reuse.broke(reuse_allowed=reuse_allowed)
        return answer

    async def _send_paid(
        self, request: _Request, budget: ResponseBudget, progress: RequestProgress, reuse_allowed: bool
    ) -> WholeAnswer:
        """Send over a reused connection if that is allowed; over a fresh one if not, or if that one turns out unusable."""
        if reuse_allowed:
            try:
                return await self._send_over(self._sessions.keepalive, request, budget, progress)
            except ConnectionUnusable:
                self._reuse.broke(reuse_allowed=True)
        return await self._send_over(self._sessions.fresh, request, budget, progress)

    def _url(self, path: str, query: Sequence[tuple[str, str]]) -> URL:
        """The URL of a path below the base URL; cached."""
        key = (path, tuple(query))
        if key not in self._urls:
            self._urls[key] = self._below(path).update_query(list(query))
        return self._urls[key]

    async def poll(self, url: str, budget: ResponseBudget) -> Answer | BrokenExchange:
        """GET what the service says of a task. url: absolute, below the host (`/…`), or below the base URL.

        Redirects are answers. Raises DownloadRefused for a target that the guard does not allow.
        """
        below = not url.startswith("/") and "://" not in url
        target = self._below(url) if below else self._target(self._base, url)
        headers = {**self._headers, "Accept": "application/json"} if self._guard.same_origin(target) else {}
        return await self._exchange(self._sessions.polls, _Request("GET", target, headers), budget)

    def _below(self, path: str) -> URL:
        """A path below the base URL (quoted already), with the query that the base URL has."""
        url = URL(f"{str(self._base).rstrip('/')}/{path}", encoded=True)
        return url.update_query(self._query) if self._query else url

    def whole_url(self, url: str) -> str:
        """The URL of an image that may be relative to the endpoint; as it is where it cannot be read as one."""
        return image_urls.whole(self._base, url)

    async def fetch(self, url: str, budget: ResponseBudget) -> Answer | BrokenExchange:
        """GET an image URL, absolute or relative to the endpoint, over at most three redirects.

        Raises DownloadRefused for a target that the guard does not allow, at whatever hop.
        """
        target = self._target(self._base, image_urls.at_home(url) if self._own_images else url)
        for _ in range(MAX_REDIRECTS + 1):
            headers = self._headers if self._guard.takes_key(target) else {}
            answer = await self._exchange(
                self._sessions.files, _Request("GET", target, headers), budget, lift=False
            )
            location = answer.headers.get("location") if isinstance(answer, Answer) else None
            if (
                not isinstance(answer, Answer)
                or answer.status not in (301, 302, 303, 307, 308)
                or not location
            ):
                return answer
            target = self._target(target, location)
        return BrokenExchange(
            BreakKind.DISCONNECTED, f"the image's URL redirects more than {MAX_REDIRECTS} times"
        )

    def _target(self, base: URL, text: str) -> URL:
        try:
            target = base.join(as_written(text))
            self._guard.check(target)
        except (ValueError, TypeError):
            raise DownloadRefused("the image's URL cannot be read as one") from None
        return target

    async def _exchange(
        self, session: aiohttp.ClientSession, request: _Request, budget: ResponseBudget, *, lift: bool = True
    ) -> Answer | BrokenExchange:
        if self._network.proxy_for(request.url) is not None:
            await self._guard.check_before_proxy(request.url)
        progress = RequestProgress(min(self._timeouts.total_s, FREE_DEADLINE_S), budget.on_sent)
        return await self._within_deadline(
            self._send_over(session, request, budget, progress, lift=lift), request.url, budget, progress
        )

    async def _within_deadline(
        self,
        exchange: Coroutine[Any, Any, WholeAnswer],
        url: URL,
        budget: ResponseBudget,
        progress: RequestProgress,
    ) -> Answer | BrokenExchange:
        """Await an exchange within its deadline; how it broke is a value."""
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            async with asyncio.timeout(None) as progress.deadline:
                status, headers, body = await exchange
        except DownloadRefused:
            raise
        except (TimeoutError, BodyTooLarge, aiohttp.ClientError, OSError, ssl.SSLError, ValueError) as error:
            latency_s = clock() - started
            broken = broken_exchange(error, url, self._network.proxy_for(url), progress, latency_s)
            came = None if isinstance(error, BodyTooLarge) else progress.arriving
            return as_it_came(broken, came, latency_s=latency_s, reused=not progress.fresh)
        finally:
            budget.share.received()
            progress.arriving = None
            progress.deadline = None  # its timeout references the task, and so the whole answer
        latency_s = clock() - started
        if ended_within(status, headers, body):
            detail = "the answer broke off: the connection ended within the document"
            return BrokenExchange(BreakKind.BODY_CUT, detail, status, latency_s=latency_s, body=body)
        return Answer(status, headers, body, latency_s, reused=not progress.fresh)

    async def _send_over(
        self,
        session: aiohttp.ClientSession,
        request: _Request,
        budget: ResponseBudget,
        progress: RequestProgress,
        *,
        lift: bool = True,
    ) -> WholeAnswer:
        deadline, url = progress.deadline, request.url
        assert deadline is not None
        PROGRESS.set(progress)
        async with session.request(
            request.method,
            url,
            data=request.data,
            allow_redirects=False,
            **self._network.options(url, request.headers),
        ) as response:
            if response.status == _FROM_A_PROXY and self._network.proxy_for(url) is not None:
                raise ProxyRefused(response.status, response.reason)
            progress.status = response.status
            if session is self._sessions.files:
                deadline.reschedule(asyncio.get_running_loop().time() + self._timeouts.total_s)
            budget.share.receiving()
            sink = ImageLifter(budget.max_bytes) if lift else ByteCollector(budget.max_bytes)
            names = {name.lower(): value for name, value in response.headers.items()}
            progress.arriving = Arriving(response.status, names, sink)
            body = await self._reader.read(response, sink, budget, deadline)
        return response.status, names, body
