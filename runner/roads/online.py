"""The online road: one request to the service, its conversation followed to the end, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from aiolimiter import AsyncLimiter

from jobs.classify import Broke, rates_told
from runner.engine.ports import Arrival, CancelSignal, Permit, RateLimiter
from runner.engine.ports import Checkpoint as MakeDurable
from runner.http.client import Transport
from runner.http.memory_budget import Held, Memory, Room
from runner.http.messages import Answer, Broken
from runner.http.ssrf_guard import DownloadRefused
from runner.process.redaction import Redactor
from runner.providers.conversation import Checkpoint, Conversation, Fetch, Poll, Send, StepResult, Wait
from runner.providers.generations import Speaker, converse
from runner.providers.polling import follow
from schemas.failures import Failure, FailureKind
from schemas.outcome import Task, Unfinished
from schemas.received import Pieces, Rejected, Result
from schemas.request import canonical_params
from schemas.row import Row

FETCH_PAUSES_S = (0.5, 2.0, 5.0)
"""Pauses before fetching an image again; fetching is free, and a fresh URL may need a moment."""


class _NoPermit:
    """Of a request that an earlier run sent."""

    def sent(self, now: float) -> None:
        """Nothing leaves."""


@dataclass(slots=True)
class _Exchange:
    """One attempt under way. task: what the service has promised. recording: of the task, on its way to the disk."""

    row: Row
    permit: Permit
    make_durable: MakeDurable
    held: Held
    task: Task | None = None
    recording: asyncio.Future[None] | None = None


class OnlineRoad:
    """Sends each row as one request and waits for its answer, or follows the task that the service makes of it.

    polls: the pace of polls over all tasks. max_bytes: of an image.
    """

    capacity: int | None = None

    def __init__(
        self,
        transport: Transport,
        limiter: RateLimiter,
        redactor: Redactor,
        speaker: Speaker,
        polls: AsyncLimiter,
        max_bytes: int,
    ) -> None:
        self._transport = transport
        self._limiter = limiter
        self._redactor = redactor
        self._speaker = speaker
        self._polls = polls
        self._max_bytes = max_bytes
        self._memory = Memory()

    @asynccontextmanager
    async def send(
        self, row: Row, permit: Permit, checkpoint: MakeDurable, cancel: CancelSignal
    ) -> AsyncIterator[Arrival]:
        """See `Road.send`."""
        with self._memory.holding() as held:
            exchange = _Exchange(row, permit, checkpoint, held)
            talk = self._talk(converse(row.request, self._speaker), exchange)
            yield await self._until(talk, exchange, cancel)

    @asynccontextmanager
    async def rejoin(
        self, row: Row, task: Task, checkpoint: MakeDurable, cancel: CancelSignal
    ) -> AsyncIterator[Arrival]:
        """See `Road.rejoin`."""
        speaker = self._speaker
        dialect = speaker.dialect_of(row.request)
        conversation = follow(task, row.request.n, dialect, speaker.patience, rejoined=True)
        with self._memory.holding() as held:
            exchange = _Exchange(row, _NoPermit(), checkpoint, held, task)
            yield await self._until(self._talk(conversation, exchange), exchange, cancel)

    async def _until(
        self, talking: Coroutine[Any, Any, Result], exchange: _Exchange, cancel: CancelSignal
    ) -> Arrival:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            with cancel.cancellable():
                result = await talking
            return Arrival(result, clock() - started)
        except TimeoutError:
            if not cancel.is_set():
                raise
            if exchange.recording is not None:
                await exchange.recording
        return Arrival(_cut_short(exchange), clock() - started)

    async def _talk(self, conversation: Conversation, exchange: _Exchange) -> Result:
        n = exchange.row.request.n
        step = next(conversation)
        while True:
            result: StepResult = None
            match step:
                case Send():
                    result = await self._send(step, exchange)
                case Checkpoint(task):
                    exchange.task = task
                    exchange.recording = asyncio.ensure_future(_record(exchange.make_durable, task))
                    await asyncio.shield(exchange.recording)
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case Poll(url):
                    result = await self._poll(url, n, exchange.held)
                case Fetch():
                    result = await self._fetch(step, Room(self._max_bytes, exchange.held))
            try:
                step = conversation.send(result)
            except StopIteration as end:
                found: Result = end.value
                return found

    async def _send(self, step: Send, exchange: _Exchange) -> Answer | Broken:
        clock = asyncio.get_running_loop().time
        row = exchange.row
        room = Room(self._cap(row.request.n), exchange.held, on_sent=lambda: exchange.permit.sent(clock()))
        headers = {"Idempotency-Key": idempotency_key(row)}
        answer = await self._transport.post(step.path, step.body, headers, room, query=step.query)
        if isinstance(answer, Answer):
            self._limiter.heard(rates_told(answer.headers))
        return answer

    def _cap(self, n: int) -> int:
        """Bytes of a body that holds n images in base64."""
        return n * (self._max_bytes * 4 // 3) + 2**20

    async def _poll(self, url: str, n: int, held: Held) -> Answer | Broken:
        await self._polls.acquire()
        try:
            return await self._transport.poll(url, Room(self._cap(n), held))
        except DownloadRefused as refusal:
            return Broken(Broke.BEFORE_SENDING, self._redactor.text(str(refusal)))

    async def _fetch(self, step: Fetch, room: Room) -> Pieces | Failure:
        """The image's bytes, tried again while that may help; the last problem otherwise."""
        problem = ""
        for pause in (*FETCH_PAUSES_S, None):
            try:
                answer = await self._transport.fetch(step.url, room)
            except DownloadRefused as refusal:
                return Failure(FailureKind.DOWNLOAD_REFUSED, self._redactor.text(str(refusal)))
            if isinstance(answer, Answer) and answer.status == 200:
                return answer.body.raw
            problem = answer.detail if isinstance(answer, Broken) else f"HTTP {answer.status}"
            if pause is not None:
                await asyncio.sleep(pause)
        return Failure(FailureKind.DOWNLOAD, self._redactor.text(f"the image's URL gave: {problem}"))


async def _record(make_durable: MakeDurable, task: Task) -> None:
    """Make the task durable. A query of its URL may be a signature, which no file may hold."""
    await make_durable(task._replace(poll_url=task.poll_url.partition("?")[0] if task.poll_url else None))


def _cut_short(exchange: _Exchange) -> Result:
    """What an attempt is that nobody waits for any longer."""
    if exchange.task is not None:
        return Unfinished(FailureKind.STOPPED, "imagemill was stopped while the task was made")
    detail = "imagemill was stopped before the answer came; the service may have made and charged the image"
    return Rejected(Failure(FailureKind.DISCONNECTED, detail))


def idempotency_key(row: Row) -> str:
    """The same for the same row, body and edition, in whatever run."""
    parts = [row.fingerprint, canonical_params(row.request.params).encode()]
    if row.manifest_prompt is not None:
        parts.append(b"\0prompt:" + row.request.prompt.encode("utf-8", "surrogatepass"))
    if row.edition:
        parts.append(b"\0edition:%d" % row.edition)
    key = blake2b(b"".join(parts), digest_size=16).hexdigest()
    return f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}"
