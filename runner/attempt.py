"""One attempt, in the order that GUARANTEES.md demands: intent durable, send, receive, check, save, outcome durable."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from hashlib import blake2b
from uuid import UUID

from jobs.cost import Prices, settled
from jobs.evidence import rates_told
from runner.dialects import sync
from runner.dialects.conversation import Conversation, Fetch, Received, Rejected, Send, StepResult
from runner.guard import DownloadRefused
from runner.landing import Landing
from runner.memory import Held
from runner.pacer import Pacer, Permit
from runner.persistence import Persistence
from runner.redaction import Redactor
from runner.store import records
from runner.store.ledger import Statement, Writer
from runner.transport import Answer, Broken, Room, Transport
from schemas.failures import Billed, Failure, FailureKind, RowStatus
from schemas.outcome import Failed, Outcome, Success
from schemas.request import ImageRequest, canonical_params
from schemas.row import Row

_MAX_ID_CHARS = 200
FETCH_PAUSES_S = (0.5, 2.0, 5.0)
"""Pauses before fetching an image again; fetching is free, and a fresh URL may need a moment."""


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """Everything an attempt passes through. max_bytes: an answer, for each image asked for."""

    transport: Transport
    pacer: Pacer
    landing: Landing
    writer: Writer
    persistence: Persistence
    prices: Prices
    redactor: Redactor
    server_error_billed: Billed
    max_bytes: int

    async def exchange(
        self, row: Row, held: Held, permit: Permit, *, cut: asyncio.Event
    ) -> tuple[Received | Rejected, float]:
        """Send and receive: the result and the seconds it took. `cut` ends the wait; the request is ambiguous then."""
        started = asyncio.get_running_loop().time()
        talk = asyncio.create_task(self._converse(row, held, permit))
        stop = asyncio.create_task(cut.wait())
        await asyncio.wait((talk, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not talk.done():
            talk.cancel()
            await asyncio.wait((talk,))
        latency = asyncio.get_running_loop().time() - started
        if talk.cancelled():
            detail = "imagemill was stopped before the answer came; the service may have made and charged the image"
            return Rejected(Failure(FailureKind.DISCONNECTED, detail)), latency
        return talk.result(), latency

    async def _converse(self, row: Row, held: Held, permit: Permit) -> Received | Rejected:
        conversation: Conversation = sync.converse(
            row.request, server_error_billed=self.server_error_billed, now=time.time
        )
        loop = asyncio.get_running_loop()
        cap = row.request.n * (self.max_bytes * 4 // 3) + 2**20
        whole = Room(cap, held, on_sent=lambda: permit.sent(loop.time()))
        step = next(conversation)
        while True:
            result: StepResult
            if isinstance(step, Send):
                headers = {"Idempotency-Key": idempotency_key(row.fingerprint, row.request)}
                result = await self.transport.post(step.path, step.body, headers, whole)
                if isinstance(result, Answer):
                    self.pacer.heard(rates_told(result.headers))
            else:
                result = await self._fetch(step, Room(self.max_bytes, held))
            try:
                step = conversation.send(result)
            except StopIteration as end:
                found: Received | Rejected = end.value
                return found

    async def _fetch(self, step: Fetch, room: Room) -> bytes | Failure:
        """The image's bytes, tried again while that may help; the last problem otherwise."""
        problem = ""
        for pause in (*FETCH_PAUSES_S, None):
            try:
                answer = await self.transport.fetch(step.url, room)
            except DownloadRefused as refusal:
                return Failure(FailureKind.DOWNLOAD_REFUSED, self.redactor.text(str(refusal)))
            if isinstance(answer, Answer) and answer.status == 200:
                return answer.body.skeleton
            problem = answer.detail if isinstance(answer, Broken) else f"HTTP {answer.status}"
            if pause is not None:
                await asyncio.sleep(pause)
        return Failure(FailureKind.DOWNLOAD, self.redactor.text(f"the image's URL gave: {problem}"))

    def outcome_records(
        self, outcome: Outcome, status: RowStatus, attempt: int, request: ImageRequest, latency_s: float
    ) -> tuple[list[Statement], float | None]:
        """The ledger's records of an outcome, and its cost in USD."""
        cost, estimated = self._cost(outcome, request)
        measured = records.Measured(attempt, int(time.time() * 1000), latency_s, cost, estimated)
        if isinstance(outcome, Success):
            return records.success(outcome, measured), cost
        return records.failure(outcome, status, measured), cost

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
        reported = replace(reported, request_id=redactor.text(reported.request_id)[:_MAX_ID_CHARS])
    if isinstance(outcome, Success):
        return replace(outcome, reported=reported)
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


def idempotency_key(fingerprint: bytes, request: ImageRequest) -> str:
    """The same for the same row and body, in whatever run."""
    digest = blake2b(fingerprint + canonical_params(request.params).encode(), digest_size=16).digest()
    return str(UUID(bytes=digest))
