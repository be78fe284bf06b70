"""The simulator of `--simulate`: a process of its own on a free loopback port, which ends when this process does."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runner.process.children import end_child
from schemas.errors import ExitCode, JobError
from schemas.job import Job
from schemas.providers import PROFILES
from schemas.task_dialects import AUTO, SYNC

_START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 0.5
"""It has nothing to lose, and may be frozen."""


@asynccontextmanager
async def simulator(job: Job) -> AsyncIterator[str]:
    """The base URL of a simulator that runs for as long as the block does. Raises JobError when it does not start.

    A scenario is read here first, so that what is wrong with it is the error of this command, and not of a child of its.
    """
    if (scenario := job.simulator.scenario) is not None:
        from runner.simulator.options import configure

        await asyncio.to_thread(configure, scenario=Path(scenario))
    package_root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (package_root, os.environ.get("PYTHONPATH"))))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "runner.simulator",
        "--parent-stdin",
        *_options(job),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        yield await _base_url(process)
    finally:
        process.stdin.close()
        await end_child(process, _END_TIMEOUT_S, _END_TIMEOUT_S)


def _options(job: Job) -> list[str]:
    table, dialect = job.simulator, job.endpoint.dialect
    profile = PROFILES[job.endpoint.profile]
    if dialect in (AUTO.name, SYNC):
        dialect = profile.name if profile.simulated_as else profile.dialect
    given = {
        "--latency": table.latency,
        "--rpm": table.rpm,
        "--ipm": table.ipm,
        "--seed": table.seed,
        "--scenario": table.scenario,
        "--profile": profile.simulated_as or profile.name,
        "--dialect": None if dialect == AUTO.name else dialect,
    }
    flags = ["--realistic"] if table.realistic else []
    return flags + [text for name, value in given.items() if value is not None for text in (name, str(value))]


async def _base_url(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _START_TIMEOUT_S)
    except TimeoutError:
        line = b""
    text = line.decode("utf-8", "replace").strip()
    if not text.startswith("base_url="):
        raise JobError(
            "the simulator did not start",
            fix="see what it says by itself: imagemill simulate",
            exit_code=ExitCode.USAGE,
        )
    return text.removeprefix("base_url=")
