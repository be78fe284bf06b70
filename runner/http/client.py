"""HTTP, one exchange at a time: sends a request, reads the whole answer, and says how far it got when it breaks.

Nothing is decided here: what a status or a broken connection means is `jobs.classify`'s. The one judgement made is
whether the request's headers had been written, because that is what separates "never sent" from "may have been paid".
"""

from __future__ import annotations

import asyncio
import errno
import json
import re
import ssl
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from jobs.classify import Broke
from jobs.keeping import Keeping
from runner.http.fast.heads import fields, start_of_post
from runner.http.fast.pool import Connections
from runner.http.fast.receive import Gatherer, Receiver, Window, fits
from runner.http.image_body import Lifter
from runner.http.memory_budget import Room
from runner.http.messages import Answer, BodyTooLarge, Broken
from runner.http.sessions import MOST_LEAVING, PLAIN, Progress, Sessions, Sockets, Turn, Turns
from runner.http.ssrf_guard import DownloadRefused, Guard
from runner.http.stream import Told, is_good, read

IDLE_TIMEOUT_S = 60.0
MAX_REDIRECTS = 3
POLL_DEADLINE_S = 60.0
"""From a poll's headers to its last byte."""

_JSON = json.JSONEncoder(ensure_ascii=False)
_LEGAL_URL = re.compile(r"[\w.~:/?#\[\]@!$&'()*+,;=%-]+", re.ASCII)


class Deadlines(NamedTuple):
    """total_s: from send to last byte. idle_s: silence inside a body."""

    total_s: float
    idle_s: float = IDLE_TIMEOUT_S


class _Request(NamedTuple):
    method: str
    url: URL
    headers: Mapping[str, str]
    data: bytes | None = None


class Transport:
    """The endpoint's connections, and the guarded ones for image URLs. Use as an async context manager.

    headers: sent with each request to the endpoint, the key among them; never sent to image URLs elsewhere.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str], guard: Guard, deadlines: Deadlines) -> None:
        whole = URL(base_url)
        self._base, self._query = whole.with_query(None), whole.query
        self._headers = dict(headers)
        self._posted = {**headers, "Content-Type": "application/json", "Accept": "application/json"}
        self._guard = guard
        self._deadlines = deadlines
        self._urls: dict[tuple[str, tuple[tuple[str, str], ...]], URL] = {}
        self._starts: dict[URL, bytes] = {}
        """What requests begin with, by where they go."""
        window = Window()
        self._receiver = Receiver(window, deadlines.idle_s)
        self._keeping = Keeping()
        sockets = Sockets()
        self._sessions = Sessions(guard, sockets)
        self._connections = Connections(whole, sockets, self._receiver, window, deadlines.idle_s)
        self._leaving = Turns(MOST_LEAVING)

    async def __aenter__(self) -> Transport:
        await self._sessions.__aenter__()
        await self._connections.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connections.__aexit__()
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
        clock, keeping = asyncio.get_running_loop().time, self._keeping
        kept = keeping.allows(clock())
        request = _Request("POST", self._url(path, query), headers, data)
        if self._connections.usable:
            progress = Progress(self._deadlines.total_s, room.on_sent)
            answer = await self._told(self._over_connection(request, room, progress, kept), room, progress)
        else:
            request = request._replace(headers={**self._posted, **headers})
            async with self._leaving.turn() as turn:
                answer = await self._exchange(self._sessions.requests, request, room, turn)
        if isinstance(answer, Answer):
            keeping.answered(clock(), answer.latency_s, kept=kept, reused=answer.reused)
        else:
            keeping.broke(kept=kept)
        return answer

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
        self,
        session: aiohttp.ClientSession,
        request: _Request,
        room: Room,
        turn: Turn | None = None,
        *,
        lift: bool = True,
    ) -> Answer | Broken:
        total_s = self._deadlines.total_s
        total_s = min(total_s, POLL_DEADLINE_S) if session is self._sessions.polls else total_s
        progress = Progress(total_s, room.on_sent, turn)
        return await self._told(self._over_session(session, request, room, progress, lift), room, progress)

    async def _told(
        self, exchange: Coroutine[Any, Any, Told], room: Room, progress: Progress
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
            return _broken(error, progress, clock() - started)
        finally:
            room.held.arrived()
            progress.deadline = None  # through its task it knows the whole answer
        return Answer(status, headers, body, clock() - started, progress.reused)

    async def _over_connection(self, request: _Request, room: Room, progress: Progress, kept: bool) -> Told:
        start, data = self._starts.get(request.url), request.data or b""
        if start is None:
            start = self._starts[request.url] = start_of_post(request.url, {**PLAIN, **self._posted})
        own = {**request.headers, "Content-Length": str(len(data))}
        if not kept:
            own["Connection"] = "close"
        whole = b"%b%b\r\n%b" % (start, fields(own), data)
        return await self._connections.exchange(whole, room, progress, self._leaving, kept=kept)

    async def _over_session(
        self, session: aiohttp.ClientSession, request: _Request, room: Room, progress: Progress, lift: bool
    ) -> Told:
        deadline = progress.deadline
        assert deadline is not None
        async with session.request(
            request.method,
            request.url,
            data=request.data,
            headers=request.headers,
            allow_redirects=False,
            trace_request_ctx=progress,
        ) as response:
            progress.status = response.status
            room.held.arrives()
            good = is_good(response.status)
            sink = Lifter(room.max_bytes) if lift else Gatherer(room.max_bytes)
            if lift and good and fits(response):
                await self._receiver.receive(response, sink, room, deadline)
                body = sink.finish()
            else:
                body = await read(
                    response.content, sink, room, deadline, good=good, idle_s=self._deadlines.idle_s
                )
        return response.status, {name.lower(): value for name, value in response.headers.items()}, body


def _as_written(text: str) -> URL:
    """The URL without any quoting undone or redone, which would break a signature over it; quoted where it must be."""
    return URL(text, encoded=_LEGAL_URL.fullmatch(text) is not None)


def _broken(error: Exception, progress: Progress, latency_s: float) -> Broken:
    status = progress.status
    local = getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
    if not progress.sent:
        return Broken(Broke.BEFORE_SENDING, f"no connection: {_reason(error)}", local=local)
    if status is not None:
        return Broken(Broke.BODY_CUT, f"the answer broke off: {_reason(error)}", status, latency_s=latency_s)
    if isinstance(error, TimeoutError):
        return Broken(Broke.TIMEOUT, f"no answer within {latency_s:.0f} s", latency_s=latency_s)
    return Broken(Broke.DISCONNECTED, f"no answer: {_reason(error)}", latency_s=latency_s)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    if isinstance(error, TimeoutError):
        return text or "silence for too long"
    return text or type(error).__name__
