"""The engine, put together from its parts for one run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiolimiter import AsyncLimiter
from yarl import URL

from jobs.circuit_breaker import Breaker
from jobs.retry import RetryPolicy
from runner.artifacts.local_folder import LocalFolder
from runner.engine.engine import Engine
from runner.engine.policy import Verdicts
from runner.engine.ports import Ports
from runner.engine.shutdown import Ending
from runner.http.client import Deadlines, Transport
from runner.http.ssrf_guard import Guard
from runner.ledger.attempt_log import LedgerLog
from runner.ledger.statistics import Totals
from runner.ledger.writer import Writer
from runner.limits.budget import Budget
from runner.limits.rate_limiter import Pacer
from runner.planning.prepare import Prepared
from runner.planning.source import Source
from runner.process.redaction import REDACTOR
from runner.providers.profile import POLLS_A_SECOND, key_header, speaker
from runner.roads.online import OnlineRoad
from runner.workspace.folder import OpenFolder
from runner.workspace.reserve import Ballast
from schemas.attempt import NextNumbers
from schemas.job import Job


@asynccontextmanager
async def assembled(
    ready: Prepared, place: OpenFolder, source: Source, base_url: str, run: int, ending: Ending
) -> AsyncIterator[tuple[Engine, Writer]]:
    """The engine of one run and its ledger's writer, connections and threads open for as long as the block runs."""
    job = ready.job
    ledger = place.ledger
    sums = ledger.totals(place.completed)
    numbers = NextNumbers(run, ledger.next_attempt(), ledger.next_item())
    transport = _transport(ready, base_url)
    limiter = Pacer(job.limits, ledger.recent_sends(job.limits.window_s, time.time()))
    with Ballast(place.folder) as ballast:
        store = LocalFolder(place.folder, job.output.max_pixels, ballast.drop)
        async with transport, ledger.writer() as writer, store:
            ports = Ports(
                source=source,
                road=_online_road(ready, transport, limiter),
                log=LedgerLog(writer),
                store=store,
                limiter=limiter,
                budget=Budget(job.budget, sums.spent_usd, sums.requests),
            )
            engine = Engine(
                ports,
                numbers,
                ending=ending,
                verdicts=_verdicts(job, sums),
                prices=ready.prices,
                redactor=REDACTOR,
                cost_usd=sums.cost_usd,
                concurrency=job.limits.concurrency,
            )
            yield engine, writer


def _online_road(ready: Prepared, transport: Transport, limiter: Pacer) -> OnlineRoad:
    job = ready.job
    return OnlineRoad(
        transport,
        limiter,
        REDACTOR,
        speaker(job, ready.endpoint.profile, asyncio.get_running_loop().time, time.time),
        AsyncLimiter(POLLS_A_SECOND / 2, 0.5),
        job.output.max_image_bytes,
    )


def _verdicts(job: Job, sums: Totals) -> Verdicts:
    policy = RetryPolicy(job.retry.attempts, job.retry.on_ambiguous, job.retry.give_up)
    breaker = Breaker(job.run.canary, job.run.max_error_rate)
    return Verdicts(policy, max(0, job.retry.ambiguous_budget - sums.resent), breaker)


def _transport(ready: Prepared, base_url: str) -> Transport:
    endpoint = ready.job.endpoint
    return Transport(
        base_url,
        key_header(endpoint, ready.endpoint.profile, ready.key),
        Guard(URL(base_url), endpoint.download_hosts, ready.network.proxies.addresses),
        Deadlines(endpoint.timeout),
        network=ready.network,
    )
