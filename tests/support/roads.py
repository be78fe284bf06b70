"""The online road to a service on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiolimiter import AsyncLimiter
from yarl import URL

from runner.http.client import HttpClient, Timeouts
from runner.http.ssrf_guard import Guard
from runner.process.redaction import Redactor
from runner.providers.profile import client_profile
from runner.roads.online import OnlineRoad
from schemas.job import Job
from schemas.providers import PROFILES
from tests.support.fakes import FakeLimiter

MAX_IMAGE_BYTES = 10**6


@asynccontextmanager
async def online_road(
    base_url: str,
    *,
    limiter: FakeLimiter | None = None,
    polls: AsyncLimiter | None = None,
    redactor: Redactor | None = None,
    total_s: float = 5.0,
    read_key: Callable[[], Awaitable[Mapping[str, str] | None]] | None = None,
    **endpoint: Any,
) -> AsyncIterator[OnlineRoad]:
    """A road without a key. total_s: of one exchange. read_key: see `OnlineRoad`. endpoint: settings of the job's table."""
    clock = asyncio.get_running_loop().time
    job = Job.model_validate({"endpoint": {"poll_every": 0.001, **endpoint}})
    spoken = client_profile(job, PROFILES["openai"], clock, clock)
    async with HttpClient(base_url, {}, Guard(URL(base_url)), Timeouts(total_s)) as transport:
        paced = polls or AsyncLimiter(10, 0.5)
        yield OnlineRoad(
            transport,
            limiter or FakeLimiter([]),
            redactor or Redactor(),
            spoken,
            paced,
            MAX_IMAGE_BYTES,
            read_key,
        )
