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

from jobs.classify import Broke
from jobs.keeping import Keeping
from runner.http.exchange_errors import ProxyRefused, broken
from runner.http.fast.receive import DirectBodyReader, can_take_over
from runner.http.image_body import Gatherer, Lifter
from runner.http.memory_budget import Room
from runner.http.messages import Answer, Body, BodyTooLarge, Broken
from runner.http.network import Network
from runner.http.sessions import MOST_LEAVING, ConnectionUnusable, Progress, Sessions, Turns
from runner.http.ssrf_guard import DownloadRefused, Guard
from runner.http.stream import BodyReader, StreamBodyReader

IDLE_TIMEOUT_S = 60.0
MAX_REDIRECTS = 3
POLL_DEADLINE_S = 60.0
"""From a poll's headers to its last byte."""

_FROM_A_PROXY = 407
"""Only a proxy answers so, and it has passed nothing on."""

_JSON = json.JSONEncoder(ensure_ascii=False)
_LEGAL_URL = re.compile(r"[\w.~:/?#\[\]@!$&'()*+,;=%-]+", re.ASCII)
_LINE_BREAK = re.compile(r"[\r\n\0]")


class Deadlines(NamedTuple):
    """total_s: from send to last byte. idle_s: silence inside a body."""

    total_s: float
    idle_s: float = IDLE_TIMEOUT_S


Told = tuple[int, Mapping[str, str], Body]
"""A whole answer: status, headers with lower-case names, body."""


class _Request(NamedTuple):
    method: str
    url: URL
    headers: Mapping[str, str]
    data: bytes | None = None


class Transport:
    """The endpoint's connections, and the guarded ones for image URLs. Use as an async context manager.

    Args:
        headers: sent with each request to the endpoint, the key among them; never sent to image URLs elsewhere.
        network: the proxies in between, and the certificates that are believed.
        keeping: when a connection may be used again for a request that costs money.
        reader: how the bodies of answers to POSTs and polls are read; None: the fastest way that works.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        guard: Guard,
        deadlines: Deadlines,
        *,
        network: Network | None = None,
        keeping: Keeping | None = None,
        reader: BodyReader | None = None,
    ) -> None:
        whole = URL(base_url)
        self._base, self._query = whole.with_query(None), whole.query
        self._headers = dict(headers)
        self._posted = {**headers, "Content-Type": "application/json", "Accept": "application/json"}
        self._guard = guard
        self._deadlines = deadlines
        self._urls: dict[tuple[str, tuple[tuple[str, str], ...]], URL] = {}
        self._network = network or Network()
        self._keeping = keeping or Keeping()
        self._given_reader = reader
        self._sessions = Sessions(guard)
        self._leaving = Turns(MOST_LEAVING)

    async def __aenter__(self) -> Transport:
        idle_s = self._deadlines.idle_s
        self._reader = self._given_reader or (
            DirectBodyReader(idle_s) if await can_take_over() else StreamBodyReader(idle_s)
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
        room: Room,
        *,
        query: Sequence[tuple[str, str]] = (),
    ) -> Answer | Broken:
        """POST JSON to a path below the base URL. Redirects are answers, not followed."""
        data = _JSON.encode(body).encode("utf-8", "surrogatepass")
        request = _Request("POST", self._url(path, query), {**self._posted, **headers}, data)
        if any(map(_LINE_BREAK.search, request.headers.values())):
            return Broken(Broke.BEFORE_SENDING, "a header holds a line break")
        clock, keeping = asyncio.get_running_loop().time, self._keeping
        kept = keeping.allows(clock())
        async with self._leaving.turn() as turn:
            progress = Progress(self._deadlines.total_s, room.on_sent, turn)
            answer = await self._told(self._paid(request, room, progress, kept), request.url, room, progress)
        if isinstance(answer, Answer):
            keeping.answered(clock(), answer.latency_s, kept=kept, reused=answer.reused)
        else:
            keeping.broke(kept=kept)
        return answer

    async def _paid(self, request: _Request, room: Room, progress: Progress, kept: bool) -> Told:
        """Over a connection that is kept, if one may be used; over a fresh one where that turns out to be unusable."""
        if kept:
            try:
                return await self._over(self._sessions.kept, request, room, progress)
            except ConnectionUnusable:
                self._keeping.broke(kept=True)
                progress.reused = False
        return await self._over(self._sessions.fresh, request, room, progress)

    def _url(self, path: str, query: Sequence[tuple[str, str]]) -> URL:
        """Where requests go; worked out once."""
        key = (path, tuple(query))
        if key not in self._urls:
            self._urls[key] = self._below(path).update_query(list(query))
        return self._urls[key]

    async def poll(self, url: str, room: Room) -> Answer | Broken:
        """GET what the service says of a task. url: absolute, below the host (`/…`), or below the base URL.

        Redirects are answers. Raises DownloadRefused for a target that the guard does not allow.
        """
        below = not url.startswith("/") and "://" not in url
        target = self._below(url) if below else self._target(self._base, url)
        headers = {**self._headers, "Accept": "application/json"} if self._guard.same_origin(target) else {}
        return await self._exchange(self._sessions.polls, _Request("GET", target, headers), room)

    def _below(self, path: str) -> URL:
        """A path below the base URL (quoted already), with the query that the base URL has."""
        url = URL(f"{str(self._base).rstrip('/')}/{path}", encoded=True)
        return url.update_query(self._query) if self._query else url

    async def fetch(self, url: str, room: Room) -> Answer | Broken:
        """GET an image URL, absolute or relative to the endpoint, over at most three redirects.

        Raises DownloadRefused for a target that the guard does not allow, at whatever hop.
        """
        target = self._target(self._base, url)
        for _ in range(MAX_REDIRECTS + 1):
            headers = self._headers if self._guard.takes_key(target) else {}
            answer = await self._exchange(
                self._sessions.files, _Request("GET", target, headers), room, lift=False
            )
            location = answer.headers.get("location") if isinstance(answer, Answer) else None
            if (
                not isinstance(answer, Answer)
                or answer.status not in (301, 302, 303, 307, 308)
                or not location
            ):
                return answer
            target = self._target(target, location)
        return Broken(Broke.DISCONNECTED, f"the image's URL redirects more than {MAX_REDIRECTS} times")

    def _target(self, base: URL, text: str) -> URL:
        try:
            target = base.join(_as_written(text))
            self._guard.check(target)
        except (ValueError, TypeError):
            raise DownloadRefused("the image's URL cannot be read as one") from None
        return target

    async def _exchange(
        self, session: aiohttp.ClientSession, request: _Request, room: Room, *, lift: bool = True
    ) -> Answer | Broken:
        if self._network.proxy_of(request.url) is not None:
            await self._guard.check_before_proxy(request.url)
        total_s = self._deadlines.total_s
        total_s = min(total_s, POLL_DEADLINE_S) if session is self._sessions.polls else total_s
        progress = Progress(total_s, room.on_sent)
        return await self._told(
            self._over(session, request, room, progress, lift=lift), request.url, room, progress
        )

    async def _told(
        self, exchange: Coroutine[Any, Any, Told], url: URL, room: Room, progress: Progress
    ) -> Answer | Broken:
        """What an exchange comes to, within its deadline."""
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            async with asyncio.timeout(None) as progress.deadline:
                status, headers, body = await exchange
        except DownloadRefused:
            raise
        except (TimeoutError, BodyTooLarge, aiohttp.ClientError, OSError, ssl.SSLError, ValueError) as error:
            return broken(error, url, self._network.proxy_of(url), progress, clock() - started)
        finally:
            room.held.arrived()
            progress.deadline = None  # through its task it knows the whole answer
        return Answer(status, headers, body, clock() - started, progress.reused)

    async def _over(
        self,
        session: aiohttp.ClientSession,
        request: _Request,
        room: Room,
        progress: Progress,
        *,
        lift: bool = True,
    ) -> Told:
        deadline, url = progress.deadline, request.url
        assert deadline is not None
        async with session.request(
            request.method,
            url,
            data=request.data,
            allow_redirects=False,
            trace_request_ctx=progress,
            **self._network.options(url, request.headers),
        ) as response:
            if response.status == _FROM_A_PROXY and self._network.proxy_of(url) is not None:
                raise ProxyRefused(response.status, response.reason)
            progress.status = response.status
            room.held.arrives()
            sink = Lifter(room.max_bytes) if lift else Gatherer(room.max_bytes)
            body = await self._reader.read(response, sink, room, deadline)
        return response.status, {name.lower(): value for name, value in response.headers.items()}, body


def _as_written(text: str) -> URL:
    """The URL without any quoting undone or redone, which would break a signature over it; quoted where it must be."""
    return URL(text, encoded=_LEGAL_URL.fullmatch(text) is not None)
