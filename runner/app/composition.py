"""The engine, put together from its parts for one run."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiolimiter import AsyncLimiter
from yarl import URL

from jobs.brake import Brake
from jobs.circuit_breaker import Breaker
from jobs.refusals import Addressee
from jobs.retry import RetryPolicy
from runner.artifacts.local_folder import LocalFolder
from runner.config.credentials import find_key, key_may_change
from runner.engine.engine import Engine, RunTerms
from runner.engine.policy import RunPolicy
from runner.engine.ports import Ports
from runner.engine.shutdown import Shutdown
from runner.http.client import HttpClient, Timeouts
from runner.http.ssrf_guard import Guard
from runner.ledger.attempt_log import LedgerLog
from runner.ledger.statistics import Totals
from runner.ledger.writer import Writer
from runner.limits.budget import Budget
from runner.limits.rate_limiter import AdaptiveRateLimiter, longest_window_s
from runner.planning.prepare import PreparedJob
from runner.planning.source import PendingRowSource
from runner.process.redaction import REDACTOR
from runner.providers.profile import POLLS_A_SECOND, client_profile, key_header
from runner.roads.online import OnlineRoad
from runner.workspace.folder import Workspace
from runner.workspace.reserve import DiskReserve
from schemas.attempt import NextNumbers
from schemas.errors import JobError
from schemas.run_events import RunEvent

_LOG = logging.getLogger(__name__)


@asynccontextmanager
async def compose_engine(
    ready: PreparedJob,
    workspace: Workspace,
    source: PendingRowSource,
    base_url: str,
    run: int,
    shutdown: Shutdown,
    note: Callable[[RunEvent], None] = lambda _event: None,
) -> AsyncIterator[tuple[Engine, Writer]]:
    """The engine of one run and its ledger's writer, connections and threads open for as long as the block runs.

    note: hears of rows that fail and of changes of pace.
    """
    job = ready.job
    ledger = workspace.ledger
    sums = ledger.totals(workspace.completed)
    numbers = NextNumbers(run, ledger.next_attempt(), ledger.next_item())
    client = _http_client(ready, base_url)
    limiter = AdaptiveRateLimiter(job.limits, ledger.recent_sends(longest_window_s(job.limits), time.time()))
    with DiskReserve(workspace.folder) as reserve:
        store = LocalFolder(workspace.folder, job.output.image_check, shutdown.forced, reserve.release)
        async with client, ledger.writer() as writer, store:
            ports = Ports(
                source=source,
                road=_online_road(ready, client, limiter),
                log=LedgerLog(writer),
                store=store,
                limiter=limiter,
                budget=Budget(job.budget, sums.spent_usd, sums.requests),
            )
            engine = Engine(
                ports,
                numbers,
                RunTerms(
                    ready.prices, sums.cost_usd, job.limits.concurrency, job.endpoint.fetch_timeout, note
                ),
                shutdown=shutdown,
                policy=_run_policy(ready, sums),
                redactor=REDACTOR,
            )
            yield engine, writer


def _online_road(ready: PreparedJob, client: HttpClient, limiter: AdaptiveRateLimiter) -> OnlineRoad:
    job = ready.job
    return OnlineRoad(
        client,
        limiter,
        REDACTOR,
        client_profile(job, ready.endpoint.profile, asyncio.get_running_loop().time, time.time),
        AsyncLimiter(POLLS_A_SECOND / 2, 0.5),
        job.output.max_image_bytes,
        _key_reader(ready),
    )


def _key_reader(ready: PreparedJob) -> Callable[[], Awaitable[Mapping[str, str] | None]] | None:
    """Reads the key again from a file or a command; None where it can be no other."""
    endpoint, key = ready.job.endpoint, ready.key
    if ready.job.simulate or not key_may_change(endpoint):
        return None

    async def read() -> Mapping[str, str] | None:
        nonlocal key
        try:
            found = await asyncio.to_thread(find_key, endpoint, environ=dict(os.environ), cwd=Path.cwd())
        except JobError as error:
            _LOG.warning("the key was refused, and cannot be read again: %s", error.message)
            return None
        if found.value == key:
            return None
        key = found.value
        _LOG.info("the key was refused; going on with another one from %s", found.source)
        return key_header(endpoint, ready.endpoint.profile, key)

    return read


def _run_policy(ready: PreparedJob, sums: Totals) -> RunPolicy:
    job, retry = ready.job, ready.job.retry
    policy = RetryPolicy(retry.attempts, retry.on_ambiguous, retry.give_up, retry.moderation)
    breaker = Breaker(job.run.canary, job.run.max_error_rate)
    brake = Brake(job.run.max_unusable or None, Addressee(ready.key_from or "", ready.endpoint.base_url))
    left = max(0, retry.ambiguous_budget - sums.resent)
    return RunPolicy(policy, left, breaker, brake, first_contact_s=job.run.first_contact)


def _http_client(ready: PreparedJob, base_url: str) -> HttpClient:
    endpoint = ready.job.endpoint
    return HttpClient(
        base_url,
        key_header(endpoint, ready.endpoint.profile, ready.key),
        Guard(URL(base_url), endpoint.download_hosts, ready.network.proxies.addresses),
        Timeouts(endpoint.timeout),
        network=ready.network,
        own_images=endpoint.download_own,
    )
