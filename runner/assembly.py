"""The engine, put together from its parts for one run."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from aiolimiter import AsyncLimiter
from yarl import URL

from jobs.breaker import Breaker
from jobs.retry import RetryPolicy
from runner.attempt import AttemptLine
from runner.counters import Numbers
from runner.ending import Ending
from runner.engine import Engine
from runner.folder import Ballast, Headroom, OpenFolder
from runner.guard import Guard
from runner.landing import Landing
from runner.money import Budget
from runner.pacer import Pacer
from runner.parts import EngineParts
from runner.persistence import SAVING_THREADS, Persistence
from runner.prepared import Prepared
from runner.redaction import REDACTOR
from runner.saving import SavingProcess
from runner.speaking import POLLS_A_SECOND, key_header, speaker
from runner.store import donemap, ledger, views
from runner.store.images import ImageStore
from runner.store.totals import Totals
from runner.transport import Deadlines, Transport
from runner.verdicts import Verdicts
from runner.work import Source
from schemas.job import Job


@asynccontextmanager
async def assembled(
    ready: Prepared, place: OpenFolder, source: Source, base_url: str, run: int, ending: Ending
) -> AsyncIterator[tuple[Engine, ledger.Writer]]:
    """The engine of one run and its ledger's writer, connections and threads open for as long as the block runs."""
    job = ready.job
    sums = donemap.sums(place.connection, place.done)
    numbers = Numbers(
        run,
        ledger.next_number(place.connection, "attempts", "attempt"),
        ledger.next_number(place.connection, "items", "item"),
    )
    transport = _transport(ready, base_url)
    headroom = Headroom(place.out)
    pacer = Pacer(job.limits, views.recent_sends(place.connection, job.limits.window_s, time.time()))
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
