"""The engine, put together from its parts for one run."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from aiolimiter import AsyncLimiter
from yarl import URL

from jobs.circuit_breaker import Breaker
from jobs.retry import RetryPolicy
from runner.artifacts.image_store import ImageStore
from runner.artifacts.worker_pool import SavingProcess
from runner.engine.attempt import AttemptLine
from runner.engine.counters import Numbers
from runner.engine.durable_io import SAVING_THREADS, Persistence
from runner.engine.engine import Engine
from runner.engine.ingest import Landing
from runner.engine.parts import EngineParts
from runner.engine.policy import Verdicts
from runner.engine.queue import Source
from runner.engine.shutdown import Ending
from runner.http.client import Deadlines, Transport
from runner.http.ssrf_guard import Guard
from runner.ledger import completion_cache, item_index
from runner.ledger import writer as ledger
from runner.ledger.reader import next_number
from runner.ledger.totals import Totals
from runner.limits.budget import Budget
from runner.limits.rate_limiter import Pacer
from runner.planning.prepare import Prepared
from runner.process.redaction import REDACTOR
from runner.providers.profile import POLLS_A_SECOND, key_header, speaker
from runner.workspace.folder import OpenFolder
from runner.workspace.reserve import Ballast, Headroom
from schemas.job import Job


@asynccontextmanager
async def assembled(
    ready: Prepared, place: OpenFolder, source: Source, base_url: str, run: int, ending: Ending
) -> AsyncIterator[tuple[Engine, ledger.Writer]]:
    """The engine of one run and its ledger's writer, connections and threads open for as long as the block runs."""
    job = ready.job
    sums = completion_cache.sums(place.connection, place.done)
    numbers = Numbers(
        run,
        next_number(place.connection, "attempts", "attempt"),
        next_number(place.connection, "items", "item"),
    )
    transport = _transport(ready, base_url)
    headroom = Headroom(place.out)
    pacer = Pacer(job.limits, item_index.recent_sends(place.connection, job.limits.window_s, time.time()))
    with (
        Ballast(place.folder) as ballast,
        ThreadPoolExecutor(SAVING_THREADS, thread_name_prefix="save") as pool,
    ):
        images = ImageStore(place.folder, job.output.max_pixels)
        outside = SavingProcess(images, lambda: source.tally.to_make)
        async with transport, ledger.Writer(place.connection) as writer, outside:
            persistence = Persistence(images, outside, pool, writer, ending, ballast)
            landing = Landing(place.folder, persistence, REDACTOR)
            line = AttemptLine(
                transport,
                pacer,
                landing,
                writer,
                persistence,
                ready.prices,
                REDACTOR,
                speaker(job, ready.endpoint.profile),
                AsyncLimiter(POLLS_A_SECOND / 2, 0.5),
                job.output.max_image_bytes,
            )
            engine = Engine(
                EngineParts(
                    source=source,
                    line=line,
                    budget=Budget(job.budget, sums.spent_usd, sums.requests),
                    ending=ending,
                    verdicts=_verdicts(job, sums),
                    headroom=headroom,
                    cost_usd=sums.cost_usd,
                ),
                numbers,
                concurrency=job.limits.concurrency,
            )
            yield engine, writer


def _verdicts(job: Job, sums: Totals) -> Verdicts:
    policy = RetryPolicy(job.retry.attempts, job.retry.on_ambiguous, job.retry.give_up)
    breaker = Breaker(job.run.canary, job.run.max_error_rate)
    return Verdicts(policy, max(0, job.retry.ambiguous_budget - sums.resent), breaker)


def _transport(ready: Prepared, base_url: str) -> Transport:
    endpoint = ready.job.endpoint
    return Transport(
        base_url,
        key_header(endpoint, ready.endpoint.profile, ready.key),
        Guard(URL(base_url), endpoint.download_hosts),
        Deadlines(endpoint.timeout),
    )
