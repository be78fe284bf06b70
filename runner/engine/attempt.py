"""One attempt, in the order that GUARANTEES.md demands: intent durable, send, receive, check, save, outcome durable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, NamedTuple

from aiolimiter import AsyncLimiter

from jobs.classify import Broke, rates_told
from jobs.cost import Prices, settled
from runner.engine.durable_io import Persistence
from runner.engine.ingest import Landing
from runner.engine.shutdown import Cut
from runner.http.client import Transport
from runner.http.memory_budget import Held, Room
from runner.http.messages import Answer, Broken, Pieces
from runner.http.ssrf_guard import DownloadRefused
from runner.ledger import statements
from runner.ledger.open_tasks import accepted
from runner.ledger.writer import Statement, Writer
from runner.limits.rate_limiter import Pacer, Permit
from runner.process.redaction import Redactor
from runner.providers.conversation import (
    Checkpoint,
    Conversation,
    Fetch,
    Poll,
    Rejected,
    Result,
    Send,
    StepResult,
    Wait,
)
from runner.providers.generations import Speaker, converse
from runner.providers.polling import follow
from schemas.failures import Billed, Failure, FailureKind, RowStatus
from schemas.outcome import Failed, Outcome, Success, Task, Unfinished
from schemas.request import ImageRequest, canonical_params
from schemas.row import Row

_MAX_ID_CHARS = 200
FETCH_PAUSES_S = (0.5, 2.0, 5.0)
"""Pauses before fetching an image again; fetching is free, and a fresh URL may need a moment."""


NO_PERMIT = Permit([])
"""Of a request that an earlier run sent."""


@dataclass(slots=True)
class Flight:
    """One attempt under way. task: what the service has promised. noting: the record of it, on its way to the disk."""

    attempt: int
    held: Held
    task: Task | None = None
    noting: asyncio.Future[None] | None = None


class AttemptLine(NamedTuple):
    """Everything an attempt passes through. polls: their own pace. max_bytes: an answer, for each image asked for."""

    transport: Transport
    pacer: Pacer
    landing: Landing
    writer: Writer
    persistence: Persistence
    prices: Prices
    redactor: Redactor
    speaker: Speaker
    polls: AsyncLimiter
    max_bytes: int

    async def exchange(self, row: Row, flight: Flight, permit: Permit, *, cut: Cut) -> tuple[Result, float]:
        """Send and receive: the result and the seconds it took. `cut` ends the wait; the request is ambiguous then.

        A task that the service has accepted is not: it is unfinished, and the next run asks for it.
        """
        conversation = converse(row.request, self.speaker)
        return await self._until(self._talk(conversation, row, flight, permit), flight, cut)

    async def rejoin(self, row: Row, task: Task, flight: Flight, *, cut: Cut) -> tuple[Result, float]:
        """Go on asking for the task of an earlier run; as `exchange` otherwise."""
        flight.task = task
        speaker = self.speaker
        conversation = follow(
            task, row.request.n, speaker.dialect_of(row.request), speaker.patience, rejoined=True
        )
        return await self._until(self._talk(conversation, row, flight, NO_PERMIT), flight, cut)

    async def _until(
        self, talking: Coroutine[Any, Any, Result], flight: Flight, cut: Cut
    ) -> tuple[Result, float]:
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            with cut.watched():
                result = await talking
            return result, clock() - started
        except TimeoutError:
            if not cut.is_set():
                raise
            if flight.noting is not None:
                await flight.noting
        if flight.task is not None:
            return Unfinished(
                FailureKind.STOPPED, "imagemill was stopped while the task was made"
            ), clock() - started
        detail = (
            "imagemill was stopped before the answer came; the service may have made and charged the image"
        )
        return Rejected(Failure(FailureKind.DISCONNECTED, detail)), clock() - started

    async def _talk(self, conversation: Conversation, row: Row, flight: Flight, permit: Permit) -> Result:
        step = next(conversation)
        while True:
            result: StepResult = None
            match step:
                case Send():
                    result = await self._send(step, row, flight.held, permit)
                case Checkpoint(task):
                    flight.task = task
                    flight.noting = asyncio.ensure_future(self._note(flight.attempt, task))
                    await asyncio.shield(flight.noting)
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case Poll(url):
                    result = await self._poll(url, row.request.n, flight.held)
                case Fetch():
                    result = await self._fetch(step, Room(self.max_bytes, flight.held))
            try:
                step = conversation.send(result)
            except StopIteration as end:
                found: Result = end.value
                return found

    async def _send(self, step: Send, row: Row, held: Held, permit: Permit) -> Answer | Broken:
        clock = asyncio.get_running_loop().time
        whole = Room(self._cap(row.request.n), held, on_sent=lambda: permit.sent(clock()))
        headers = {"Idempotency-Key": idempotency_key(row)}
        answer = await self.transport.post(step.path, step.body, headers, whole, query=step.query)
        if isinstance(answer, Answer):
            self.pacer.heard(rates_told(answer.headers))
        return answer

    def _cap(self, n: int) -> int:
        """Bytes of a body that holds n images in base64."""
        return n * (self.max_bytes * 4 // 3) + 2**20

    async def _note(self, attempt: int, task: Task) -> None:
        """Make the task durable. A query of its URL may be a signature, which no file may hold."""
        kept = task._replace(poll_url=task.poll_url.partition("?")[0] if task.poll_url else None)
        await self.persistence.record(accepted(attempt, kept, int(time.time() * 1000)))

    async def _poll(self, url: str, n: int, held: Held) -> Answer | Broken:
        await self.polls.acquire()
        try:
            return await self.transport.poll(url, Room(self._cap(n), held))
        except DownloadRefused as refusal:
            return Broken(Broke.BEFORE_SENDING, self.redactor.text(str(refusal)))

    async def _fetch(self, step: Fetch, room: Room) -> Pieces | Failure:
        """The image's bytes, tried again while that may help; the last problem otherwise."""
        problem = ""
        for pause in (*FETCH_PAUSES_S, None):
            try:
                answer = await self.transport.fetch(step.url, room)
            except DownloadRefused as refusal:
                return Failure(FailureKind.DOWNLOAD_REFUSED, self.redactor.text(str(refusal)))
            if isinstance(answer, Answer) and answer.status == 200:
                return answer.body.raw
            problem = answer.detail if isinstance(answer, Broken) else f"HTTP {answer.status}"
            if pause is not None:
                await asyncio.sleep(pause)
        return Failure(FailureKind.DOWNLOAD, self.redactor.text(f"the image's URL gave: {problem}"))

    def outcome_records(
        self, outcome: Outcome, status: RowStatus, attempt: int, request: ImageRequest, latency_s: float
    ) -> tuple[list[Statement], float | None]:
        """The ledger's records of an outcome, and its cost in USD."""
        cost, estimated = self._cost(outcome, request)
        measured = statements.Measured(attempt, int(time.time() * 1000), latency_s, cost, estimated)
        if isinstance(outcome, Success):
            return statements.success(outcome, measured), cost
        return statements.failure(outcome, status, measured), cost

    def _cost(self, outcome: Outcome, request: ImageRequest) -> tuple[float | None, bool]:
        if isinstance(outcome, Success):
            made = (
                len(outcome.images)
                if "fewer_images" in outcome.flags
                else max(request.n, len(outcome.images))
            )
            return settled(request, outcome.reported, self.prices, made)
        if outcome.failure.rule.billed is Billed.YES and outcome.failure.kind is not FailureKind.TRUNCATED:
            return settled(request, outcome.reported, self.prices, request.n)
        return None, False


def safe(outcome: Outcome, redactor: Redactor) -> Outcome:
    """The outcome with every text of the service's made harmless."""
    reported = outcome.reported
    if reported.request_id is not None:
        reported = reported._replace(request_id=redactor.text(reported.request_id)[:_MAX_ID_CHARS])
    if reported.task_id is not None:
        reported = reported._replace(task_id=redactor.text(reported.task_id)[:_MAX_ID_CHARS])
    if isinstance(outcome, Success):
        return outcome if reported is outcome.reported else replace(outcome, reported=reported)
    failure = outcome.failure
    clean = Failure(
        failure.kind,
        redactor.text(failure.message),
        redactor.text(failure.code) if failure.code else None,
        failure.http_status,
        failure.retry_after_s,
        failure.billed,
    )
    return Failed(clean, reported, outcome.quarantined)


def idempotency_key(row: Row) -> str:
    """The same for the same row, body and edition, in whatever run."""
    parts = [row.fingerprint, canonical_params(row.request.params).encode()]
    if row.manifest_prompt is not None:
        parts.append(b"\0prompt:" + row.request.prompt.encode("utf-8", "surrogatepass"))
    if row.edition:
        parts.append(b"\0edition:%d" % row.edition)
    key = blake2b(b"".join(parts), digest_size=16).hexdigest()
    return f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}"
