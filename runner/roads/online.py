"""The online road: one request to the service, its conversation followed to the end, over HTTP."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from aiolimiter import AsyncLimiter

from jobs.classify import BreakKind
from jobs.rate_headers import reported_rates
from runner.engine.ports import Arrival, CancelSignal, Permit, RateLimiter
from runner.engine.ports import Checkpoint as MakeDurable
from runner.http.client import HttpClient
from runner.http.image_urls import is_bare_name
from runner.http.memory_budget import MemoryBudget, MemoryShare, ResponseBudget
from runner.http.messages import Answer, BrokenExchange
from runner.http.ssrf_guard import OWN_HOST, DownloadRefused
from runner.process.redaction import Redactor
from runner.providers.conversation import Checkpoint, Conversation, Fetch, Poll, Send, StepResult, Wait
from runner.providers.generations import ClientProfile, converse
from runner.providers.image_links import fetch_again
from runner.providers.polling import follow_task
from schemas.errors import JobError
from schemas.failures import Failure, FailureKind
from schemas.outcome import OpenWork, Unfetched, Unfinished
from schemas.received import Pieces, Rejected, Result
from schemas.request import canonical_params
from schemas.row import Row

FETCH_PAUSES_S = (0.5, 2.0)
"""Pauses before fetching an image again at once: a fresh URL may need a moment. The engine has it tried again later."""


QUICK_S = 5.0
"""A host that takes longer to say no is not asked again at once: the request holds its place meanwhile."""


class _NoPermit:
    """The permit of a request that an earlier run sent."""

    def sent(self, now: float) -> None:
        """Nothing leaves."""

    def unused(self) -> None:
        """Nothing was to leave."""


@dataclass(slots=True)
class _Exchange:
    """One attempt in flight.

    task: what the service has promised. recording: the write of it to the ledger. answer: the last one that came.
    """

    row: Row
    permit: Permit
    make_durable: MakeDurable
    share: MemoryShare
    task: OpenWork | None = None
    recording: asyncio.Future[None] | None = None
    answer: Answer | None = None
    has_left: bool = False

    def left(self) -> None:
        """Note that the request's headers leave now."""
        self.has_left = True
        self.permit.sent(asyncio.get_running_loop().time())


class OnlineRoad:
    """Sends each row as one request and waits for its answer, or follows the task that the service makes of it.

    polls: the pace of polls over all tasks. max_bytes: of an image. read_key: reads the key again; the header with it,
    None where it is the same or cannot be read.
    """

    capacity: int | None = None

    def __init__(
        self,
        client: HttpClient,
        limiter: RateLimiter,
        redactor: Redactor,
        client_profile: ClientProfile,
        polls: AsyncLimiter,
        max_bytes: int,
        read_key: Callable[[], Awaitable[Mapping[str, str] | None]] | None = None,
    ) -> None:
        self._read_key = read_key
        self._reading = asyncio.Lock()
        self._read_at = -math.inf
        self._renewed = False
        self._client = client
        self._limiter = limiter
        self._redactor = redactor
        self._client_profile = client_profile
        self._polls = polls
        self._max_bytes = max_bytes
        self._memory = MemoryBudget()

    @asynccontextmanager
    async def send(
        self, row: Row, permit: Permit, checkpoint: MakeDurable, cancel: CancelSignal
    ) -> AsyncIterator[Arrival]:
        """See `Road.send`."""
        with self._memory.share() as share:
            exchange = _Exchange(row, permit, checkpoint, share)
            talk = self._talk(converse(row.request, self._client_profile), exchange)
            yield await self._until(talk, exchange, cancel)

    @asynccontextmanager
    async def rejoin(
        self, row: Row, task: OpenWork, checkpoint: MakeDurable, cancel: CancelSignal
    ) -> AsyncIterator[Arrival]:
        """See `Road.rejoin`."""
        conversation = self._resumed(row, task)
        with self._memory.share() as share:
            exchange = _Exchange(row, _NoPermit(), checkpoint, share, task)
            yield await self._until(self._talk(conversation, exchange), exchange, cancel)

    def _resumed(self, row: Row, task: OpenWork) -> Conversation:
        if isinstance(task, Unfetched):
            return fetch_again(task)
        client_profile = self._client_profile
        dialect = client_profile.dialect_of(row.request)
        return follow_task(task, row.request.n, dialect, client_profile.timing, rejoined=True)

    async def renew_key(self, left_at: float) -> bool:
        """See `Road.renew_key`."""
        if self._read_key is None:
            return False
        async with self._reading:
            if left_at > self._read_at:
                header = await self._read_key()
                self._renewed = header is not None
                if header is not None:
                    self._client.use_key(header)
                self._read_at = asyncio.get_running_loop().time()  # until now, requests left with the old one
            return self._renewed

    async def _until(
        self, talking: Coroutine[Any, Any, Result], exchange: _Exchange, cancel: CancelSignal
    ) -> Arrival:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            async with cancel.cancellable():
                result = await talking
            return Arrival(result, clock() - started)
        except TimeoutError:
            if not cancel.is_set():
                raise
            if exchange.recording is not None:
                await exchange.recording
        finally:
            if not exchange.has_left:
                exchange.permit.unused()
        return Arrival(_cut_short(exchange), clock() - started)

    async def _talk(self, conversation: Conversation, exchange: _Exchange) -> Result:
        """Follow a conversation to its end. Whatever a service sends is an outcome of its own row, exceptions too."""
        step = next(conversation)
        while True:
            result: StepResult = None
            match step:
                case Checkpoint(task):
                    if isinstance(task, Unfetched):
                        task = self._located(task)
                    exchange.task = task
                    exchange.recording = asyncio.ensure_future(exchange.make_durable(task))
                    await asyncio.shield(exchange.recording)
                case Wait(seconds):
                    await asyncio.sleep(seconds)
            try:
                if isinstance(step, Send | Poll | Fetch):
                    result = await self._over_http(step, exchange)
                step = conversation.send(result)
            except StopIteration as end:
                found: Result = end.value
                return found
            except (OSError, JobError):
                raise
            except Exception as error:  # noqa: BLE001 - a row's outcome, not the end of the run
                return _unreadable(error, exchange.answer)

    async def _over_http(self, step: Send | Poll | Fetch, exchange: _Exchange) -> StepResult:
        match step:
            case Send():
                result = await self._send(step, exchange)
            case Poll(url):
                result = await self._poll(url, exchange.row.request.n, exchange.share)
            case Fetch():
                return await self._fetch(step, ResponseBudget(self._max_bytes, exchange.share))
        if isinstance(result, Answer):
            exchange.answer = result
            if isinstance(step, Send):
                self._limiter.observe_rates(reported_rates(result.headers))
        return result

    async def _send(self, step: Send, exchange: _Exchange) -> Answer | BrokenExchange:
        row = exchange.row
        budget = ResponseBudget(self._cap(row.request.n), exchange.share, on_sent=exchange.left)
        headers = {"Idempotency-Key": idempotency_key(row)}
        return await self._client.post(step.path, step.body, headers, budget, query=step.query)

    def _cap(self, n: int) -> int:
        """Bytes of a body that holds n images in base64."""
        return n * (self._max_bytes * 4 // 3) + 2**20

    async def _poll(self, url: str, n: int, share: MemoryShare) -> Answer | BrokenExchange:
        await self._polls.acquire()
        try:
            return await self._client.poll(url, ResponseBudget(self._cap(n), share))
        except DownloadRefused as refusal:
            return BrokenExchange(BreakKind.BEFORE_SENDING, self._redactor.text(str(refusal)))

    def _located(self, unfetched: Unfetched) -> Unfetched:
        """With whole URLs, which lead to the same place whatever service a later run is sent to."""
        links = (replace(link, url=self._client.whole_url(link.url)) for link in unfetched.links)
        return replace(unfetched, links=tuple(links))

    async def _fetch(self, step: Fetch, budget: ResponseBudget) -> Pieces | Failure:
        """The image's bytes, tried again for a moment; the last problem otherwise."""
        problem, status = "", None
        clock = asyncio.get_running_loop().time
        for pause in (*FETCH_PAUSES_S, None):
            started = clock()
            try:
                answer = await self._client.fetch(step.url, budget)
            except DownloadRefused as refusal:
                return Failure(FailureKind.DOWNLOAD_REFUSED, self._redactor.text(str(refusal)))
            if isinstance(answer, Answer) and answer.status == 200:
                return answer.body.raw
            status = answer.status
            problem = answer.detail if isinstance(answer, BrokenExchange) else f"HTTP {status}"
            if pause is None or clock() - started > QUICK_S:
                break
            await asyncio.sleep(pause)
        unreached = isinstance(answer, BrokenExchange) and answer.how is BreakKind.BEFORE_SENDING
        if unreached and is_bare_name(step.url):
            problem = f"{problem}; {OWN_HOST}"
        text = self._redactor.text(f"the image's URL gave: {problem}")
        return Failure(FailureKind.DOWNLOAD, text, http_status=status)


def _cut_short(exchange: _Exchange) -> Result:
    """The result of an attempt whose wait was cancelled."""
    if exchange.task is not None:
        what = "its images were fetched" if isinstance(exchange.task, Unfetched) else "the task was made"
        return Unfinished(FailureKind.STOPPED, f"imagemill was stopped while {what}")
    if not exchange.has_left:
        return Rejected(Failure(FailureKind.CONNECT, "imagemill was stopped before the request was sent"))
    detail = "imagemill was stopped before the answer came; the service may have made and charged the image"
    return Rejected(Failure(FailureKind.INTERRUPTED, detail))


def _unreadable(error: Exception, answer: Answer | None) -> Rejected:
    """The outcome of an answer over which reading it failed: paid, as far as anybody can tell."""
    detail = f"imagemill could not read the answer ({type(error).__name__}: {str(error)[:200]})"
    status, body = (None, None) if answer is None else (answer.status, answer.body)
    return Rejected(Failure(FailureKind.BAD_CONTENT, detail, http_status=status), body)


def idempotency_key(row: Row) -> str:
    """The same for the same row, body and edition, in whatever run."""
    parts = [row.fingerprint, canonical_params(row.request.params).encode()]
    if row.manifest_prompt is not None:
        parts.append(b"\0prompt:" + row.request.prompt.encode("utf-8", "surrogatepass"))
    if row.edition:
        parts.append(b"\0edition:%d" % row.edition)
    key = blake2b(b"".join(parts), digest_size=16).hexdigest()
    return f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}"
